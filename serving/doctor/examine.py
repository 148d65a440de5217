"""All checks in a row."""

from __future__ import annotations

from collections.abc import Iterator

from recsys.bundle import BundleRepository
from serving.doctor import machine, redis, store
from serving.doctor.bundle import Inspected, inspected, staleness
from serving.doctor.circumstances import Circumstances
from serving.doctor.disk import disk
from serving.doctor.findings import Finding
from serving.doctor.limits import Limits, limits


def examine(seen: Circumstances) -> Iterator[Finding]:
    """What there is to say, check by check; nothing is changed but for files that are removed at once."""
    there = limits(seen.system)
    bundle = inspected(BundleRepository(seen.settings.shop.models))
    yield from _machine(seen, there, bundle)
    yield from disk(seen, bundle.size)
    yield from _store(seen, bundle)
    yield from redis.cache(seen)


def _machine(seen: Circumstances, there: Limits, bundle: Inspected) -> Iterator[Finding]:
    yield from machine.software()
    yield machine.processor()
    yield from machine.threads(there, seen)
    yield from machine.memory(there, seen, bundle.size, bundle.training_bytes)
    yield machine.open_files()
    yield machine.compiled_code(seen)
    yield machine.port(seen)


def _store(seen: Circumstances, bundle: Inspected) -> Iterator[Finding]:
    path = seen.settings.shop.store
    unfit = list(store.usable(path))
    yield from unfit
    if not unfit:
        yield store.integrity(path, seen)
        yield store.log_size(path)
    yield from bundle.findings
    if unfit:
        return
    found, said = store.surveyed(path, bundle.newest or 0, seen)
    yield from said
    if found is not None:
        yield from staleness(bundle.newest, found)
