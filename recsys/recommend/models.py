"""One bundle's models as all of its spots use them: ready for the kernel, and what histories say to them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from recsys.bundle.bundle import ModelBundle
from recsys.data.events import EventKind
from recsys.data.history import History
from recsys.recommend.kernel import Workspace
from recsys.recommend.sources import AllSources

MOST_SPEAKERS = 1_000
"""Items of a history that speak, at most: the strongest. What an answer costs is in proportion to them."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What a history says to one recommender, whenever it is asked.

    Attributes
    ----------
    items, strengths : int32 and float32, shape (m,); what speaks, ascending, and how much.
    kinds : int32, shape (m,); the code of the kind of event on each that weighs most.
    seen : int32; items that are not shown again.
    """

    items: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float32]
    kinds: npt.NDArray[np.int32]
    seen: npt.NDArray[np.int32]


class BundleModels:
    """What the recommenders of one bundle share, so that another spot costs next to nothing. May be used from several
    threads."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.bundle = bundle
        self.sources = AllSources(bundle)
        self.filtered = object()
        """Owns what histories keep of what filters let through."""
        # Histories hold whoever owns what they keep, and outlive a bundle: none of them may hold it.
        self._tastes = object()
        self._seen = object()
        self._own = threading.local()

    def workspace(self) -> Workspace:
        """This thread's own."""
        work: Workspace | None = getattr(self._own, "work", None)
        if work is None:
            work = self._own.work = Workspace.of(len(self.bundle.items))
        return work

    def taste(self, history: History, mask_kinds: frozenset[EventKind]) -> Taste:
        """What a history says where items with one of these kinds of events are not shown again; made once."""
        made: dict[frozenset[EventKind], Taste] = history.kept(self._tastes, dict)
        taste = made.get(mask_kinds)
        if taste is None:
            seen = self.seen(history, mask_kinds)
            # Spots differ in what they show again, and in nothing else that a history says.
            like = next(iter(made.values()), None)
            taste = made[mask_kinds] = self._taste(history, seen) if like is None else replace(like, seen=seen)
        return taste

    def seen(self, history: History, mask_kinds: frozenset[EventKind]) -> npt.NDArray[np.int32]:
        """As in `Taste`, which is not made for it."""
        made: dict[frozenset[EventKind], npt.NDArray[np.int32]] = history.kept(self._seen, dict)
        seen = made.get(mask_kinds)
        if seen is None:
            seen = made[mask_kinds] = history.items_of(mask_kinds)
        return seen

    def _taste(self, history: History, seen: npt.NDArray[np.int32]) -> Taste:
        items, strengths, kinds = history.speakers(self.bundle.manifest.event_weights)
        if len(items) > MOST_SPEAKERS:
            loudest = np.sort(np.lexsort((items, -strengths))[:MOST_SPEAKERS])
            items, strengths, kinds = items[loudest], strengths[loudest], kinds[loudest]
        return Taste(items, strengths, kinds.astype(np.int32), seen)
