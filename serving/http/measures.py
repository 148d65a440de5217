"""How large this process and the shop's files are, read from the operating system."""

from __future__ import annotations

import os
import resource
import shutil
from contextlib import suppress
from pathlib import Path

from serving.http.metrics import Metrics

_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/proc/self/fd")


def measure_process(metrics: Metrics) -> None:
    """Sets the metrics of this worker's process; what the system does not tell is left out."""
    metrics.workers.set(1)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY:
        metrics.max_files.set(limit)
    # Only Linux has these files.
    with suppress(OSError):
        metrics.resident_bytes.set(int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        metrics.open_files.set(sum(1 for _ in _DESCRIPTORS.iterdir()))


def measure_disk(metrics: Metrics, store: Path) -> None:
    """Sets the metrics of the store's files and of the disk that they are on; nothing while they cannot be reached."""
    with suppress(OSError):
        usage = shutil.disk_usage(store.parent)
        metrics.disk_free_bytes.set(usage.free)
        metrics.disk_bytes.set(usage.total)
        metrics.store_bytes.labels("database").set(store.stat().st_size)
        log = store.with_name(f"{store.name}-wal")
        # It is there only while the store is open for writing.
        metrics.store_bytes.labels("log").set(log.stat().st_size if log.exists() else 0)
