"""All published bundles of a shop, which of them answers, and the way back."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from recsys.bundle.bundle import (
    BUILD,
    Arrays,
    ModelBundle,
    read_bundle,
    read_manifest,
    write_bundle,
)
from recsys.bundle.manifest import Manifest
from recsys.durable import locked, replace_file, sync
from recsys.errors import BundleError

CURRENT = "current"
REPORTS = "reports"
"""The folder, beside the bundles, in which each retraining leaves what it found."""

REPORT, REPORT_TEXT = "report.json", "report.md"
"""What was found when a bundle was to be published, beside its manifest; no part of the bundle's id."""

_UNFINISHED = ".unfinished-"
PUBLICATIONS_KEPT = 500
"""`current` names so many publications at most, the newest: it is read often and must stay small."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One change of the bundle in force: `action` is `publish`, `promote` or `rollback`; `at` in milliseconds UTC."""

    bundle: str
    action: str
    at: int


class BundleRepository:
    """A folder of bundles. `current` is one small file that is replaced as a whole, so that readers see the old state
    or the new one and a crash leaves either; it holds every publication, the last of which is in force.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def reports(self) -> Path:
        """Where retraining leaves its reports."""
        return self.folder / REPORTS

    def publications(self) -> list[Publication]:
        """Every change of the current bundle, oldest first."""
        path = self.folder / CURRENT
        try:
            return [Publication(**entry) for entry in orjson.loads(path.read_bytes())]
        except FileNotFoundError:
            return []
        except (OSError, orjson.JSONDecodeError, TypeError) as error:
            raise BundleError(
                f"{path} cannot be read: {error!r}",
                expected="the list of publications",
                remedy="delete it and name the bundle to use with `bookmatch models promote`",
            ) from error

    def current_id(self) -> str | None:
        """The id of the bundle in force, or None when nothing was published."""
        publications = self.publications()
        return publications[-1].bundle if publications else None

    def bundle_ids(self) -> list[str]:
        """The ids of all bundles in the folder, in the order in which they were first published."""
        if not self.folder.is_dir():
            return []
        order = {entry.bundle: place for place, entry in reversed(list(enumerate(self.publications())))}
        ids = [
            path.name
            for path in self.folder.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name != REPORTS
        ]
        return sorted(ids, key=lambda bundle_id: (order.get(bundle_id, len(order)), bundle_id))

    def manifest(self, bundle_id: str) -> Manifest:
        """The manifest alone; BundleError for an unknown or unreadable bundle."""
        return read_manifest(self._known(bundle_id))[1]

    def build(self, bundle_id: str) -> Mapping[str, object]:
        """When, where and how long: what is true of this build and not of its content."""
        path = self._known(bundle_id) / BUILD
        try:
            build: Mapping[str, object] = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        return build

    def size(self, bundle_id: str) -> int:
        """The bytes of all its files."""
        return sum(path.stat().st_size for path in self._known(bundle_id).rglob("*") if path.is_file())

    def load(self, bundle_id: str) -> ModelBundle:
        """The bundle, verified and mapped into memory."""
        return read_bundle(self._known(bundle_id), bundle_id)

    def publish(self, manifest: Manifest, arrays: Arrays, build: Mapping[str, object], now: int) -> str:
        """Writes a bundle, verifies it by reading it back, puts it in force, and returns its id.

        Publishing a bundle that is there already writes no second copy (a damaged copy is replaced).
        """
        with self._locked():
            bundle_id = self._written(manifest, arrays, build)
            self._put_in_force(Publication(bundle_id, "publish", now))
        return bundle_id

    def add(self, manifest: Manifest, arrays: Arrays, build: Mapping[str, object]) -> str:
        """The same without putting it in force: it lies beside the others and can be promoted."""
        with self._locked():
            return self._written(manifest, arrays, build)

    def keep_report(self, bundle_id: str, report: bytes, text: bytes) -> None:
        """Leaves what was found when a bundle was to be published in its folder, as JSON and as Markdown, in the place
        of what was found before; it goes when the bundle is removed. BundleError for what the disk refuses."""
        folder = self._known(bundle_id)
        with self._locked():
            replace_file(folder / REPORT_TEXT, text)
            replace_file(folder / REPORT, report)

    def report(self, bundle_id: str) -> Mapping[str, Any] | None:
        """What `keep_report` left for programs; None where nothing is there, BundleError for what cannot be read."""
        path = self._known(bundle_id) / REPORT
        try:
            report: Mapping[str, Any] = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError) as error:
            raise BundleError(f"{path} cannot be read: {error}") from error
        return report

    def put_in_force(self, bundle_id: str, now: int) -> None:
        """Publishes a bundle that was added; BundleError when it does not verify."""
        self.load(bundle_id)
        with self._locked():
            self._put_in_force(Publication(bundle_id, "publish", now))

    def prune(self, keep: int, used: Collection[str] = ()) -> list[str]:
        """Removes bundles, and returns their ids: all but the one in force, those that rolling back leads to, `keep`
        together (1 or more), the newest that was never in force, and those that are `used` by somebody else, such as
        experiments. Who has a removed one open goes on reading it."""
        with self._locked():
            published = {entry.bundle for entry in self.publications()}
            way_back = list(dict.fromkeys(reversed(self._way_back())))
            there = self.bundle_ids()
            never = [bundle_id for bundle_id in there if bundle_id not in published]
            kept = {*way_back[:keep], self.current_id(), *used, *sorted(never, key=self._age_of)[:1]}
            gone = [bundle_id for bundle_id in there if bundle_id not in kept]
            for bundle_id in gone:
                # Under another name first: what is half removed is no bundle.
                leaving = self.folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
                (self.folder / bundle_id).rename(leaving)
                shutil.rmtree(leaving)
        return gone

    def _age_of(self, bundle_id: str) -> float:
        """Smaller for what was written later."""
        return -(self.folder / bundle_id).stat().st_mtime

    def _written(self, manifest: Manifest, arrays: Arrays, build: Mapping[str, object]) -> str:
        for leftover in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(leftover)
        unfinished = self.folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
        try:
            bundle_id = write_bundle(unfinished, manifest, arrays, build)
            read_bundle(unfinished, bundle_id)
            self._adopt(unfinished, bundle_id)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return bundle_id

    def promote(self, bundle_id: str, now: int) -> None:
        """Puts a bundle that is there in force; BundleError when it does not verify."""
        self.load(bundle_id)
        with self._locked():
            self._put_in_force(Publication(bundle_id, "promote", now))

    def rollback(self, now: int) -> str:
        """Puts the bundle that was in force before the current one in force again and returns its id.

        Rolling back again goes one further back; BundleError when there is nothing further back.
        """
        with self._locked():
            stack = self._way_back()
            if len(stack) < 2:
                raise BundleError(
                    "there is no earlier bundle to go back to", remedy="see `bookmatch models list` for what there is"
                )
            self.load(stack[-2])
            self._put_in_force(Publication(stack[-2], "rollback", now))
            return stack[-2]

    def _way_back(self) -> list[str]:
        """The bundles that rolling back leads to, the one in force last."""
        stack: list[str] = []
        for entry in self.publications():
            if entry.action == "rollback":
                stack = stack[:-1]
            elif not stack or stack[-1] != entry.bundle:
                stack.append(entry.bundle)
        return stack

    def _known(self, bundle_id: str) -> Path:
        if bundle_id not in self.bundle_ids():
            raise BundleError(
                f"there is no bundle {bundle_id!r} in {self.folder}",
                expected="one of those that `bookmatch models list` shows" if self.bundle_ids() else "",
                remedy="" if self.bundle_ids() else "train one with `bookmatch train`",
            )
        return self.folder / bundle_id

    def _adopt(self, unfinished: Path, bundle_id: str) -> None:
        final = self.folder / bundle_id
        if final.exists():
            try:
                read_bundle(final, bundle_id)
            except BundleError:
                shutil.rmtree(final)
            else:
                return
        unfinished.rename(final)
        sync(self.folder)

    def _put_in_force(self, publication: Publication) -> None:
        entries = [asdict(entry) for entry in [*self.publications(), publication]][-PUBLICATIONS_KEPT:]
        replace_file(self.folder / CURRENT, orjson.dumps(entries, option=orjson.OPT_INDENT_2))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One publisher at a time, over all processes of the machine; BundleError for what the disk refuses."""
        try:
            with locked(self.folder):
                yield
        except OSError as error:
            raise BundleError(
                f"bundles cannot be written to {self.folder}: {error}",
                remedy="see that there is room and that the folder may be written; the bundle in force stays",
            ) from error
