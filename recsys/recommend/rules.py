"""What the rules of a placement come to for one answer, before anything is ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recsys.data.catalog import Catalog
from recsys.data.item_column import ColumnKind
from recsys.data.item_table import ItemTable
from recsys.errors import InputError
from recsys.models.kernels import Floats
from recsys.recommend.filling import Filling, filling_of
from recsys.recommend.filters import NOBODY, AskerFacts, Filter, Where
from recsys.recommend.models import BundleModels
from recsys.recommend.placement import Boost, Fallback, Placement

Flags = npt.NDArray[np.bool_]
Items = npt.NDArray[np.int32]

_NO_ITEMS = np.zeros(0, dtype=np.int32)


LONG_AGO, NEVER = -(1 << 62), 1 << 62


class Rules(NamedTuple):
    """What a list is made by.

    Attributes
    ----------
    where : what passes the placement's filter; None where it has none.
    among : bool, shape (items,); what is listed at all; None where the filter alone decides.
    showable, barred, filtered : bool, shape (items,), what may be shown and passes for somebody without a history;
        int32, what of that does not pass for whoever asks; and how many items that may be shown do not pass. None where
        that is not known yet.
    boost : float64, shape (items,), above 0; what scores are multiplied by; None where they count as they are.
    fillings : what fills the list up, in this order; None where popular items do, as they are.
    state : lists of one placement with equal states were made by the same rules, but for what passes a filter.
    trouble : which rule could not be kept, and why; None where all are.
    since, until : milliseconds UTC from when until before when they come to the same for one history under one
        catalogue; never where they ask what a shop knows of its customers, which may change at any time.
    """

    where: Where | None = None
    among: Flags | None = None
    showable: Flags | None = None
    barred: Items = _NO_ITEMS
    filtered: int | None = None
    boost: Floats | None = None
    fillings: tuple[Filling, ...] | None = None
    state: str = ""
    trouble: str | None = None
    since: int = LONG_AGO
    until: int = NEVER

    def narrowed(self, where: Where) -> Rules:
        """The same for what passes another filter, which says what the placement's says as well, where it has one."""
        state = f"{self.state};{where.key}"
        return self._replace(where=where, showable=None, barred=_NO_ITEMS, filtered=None, state=state)

    @property
    def filters(self) -> bool:
        """Whether there is anything to pass."""
        return self.where is not None or self.among is not None

    @property
    def passing(self) -> Flags | None:
        """What passes everything: bool, shape (items,); None where there is nothing to pass. Takes a while."""
        if self.where is None:
            return self.among
        return self.where.mask if self.among is None else self.among & self.where.mask

    def listable(self, catalog: Catalog, now: int) -> Flags:
        """What may be shown at `now` (milliseconds UTC) and passes everything, but for what is barred: bool, shape
        (items,)."""
        if self.showable is not None:
            return self.showable
        showable, passing = catalog.showable(now), self.passing
        return showable if passing is None else showable & passing

    def without(self, blocked: Flags) -> Rules:
        """The same where some items are not listed."""
        among = ~blocked if self.among is None else self.among & ~blocked
        return self._replace(among=among, showable=None, barred=_NO_ITEMS, filtered=None)


NO_RULES = Rules()

MOST_BOOSTED = 1e4
"""So much all boosts of an item do together at most, and the inverse at least: beyond it scores lose their order."""


class _Own(NamedTuple):
    """What the rules came to for one history: of which catalogue and items that may be shown, and whether boosts were
    told of whoever asks as filters were."""

    made_of: object
    shown: Flags
    alike: bool
    rules: Rules


class _Boosting(NamedTuple):
    """What scores are multiplied by, the same for somebody without a history, and from when until before when
    (milliseconds UTC); `state` says which they are."""

    table: ItemTable
    since: int
    until: int
    boost: Floats | None
    base: Floats | None
    state: str


class PlacementRules:
    """The rules of one placement over one bundle; what they come to is kept as long as nothing changes.

    Raises InputError for a filter that is none.
    """

    def __init__(self, placement: Placement, models: BundleModels) -> None:
        self._placement = placement
        self._models = models
        self._where = None if placement.where is None else Filter(placement.where)
        self._boosts = [(boost, Filter(boost.where)) for boost in placement.boosts]
        self._plain = placement.fallback == (Fallback.POPULAR,) and not placement.minimum_relevance
        self.plain = self._plain and not self.need_a_table
        """Whether there is nothing that could be different next time."""
        self._passing: tuple[Flags, Flags, Flags, int] | None = None
        self._basis: tuple[Catalog, ItemTable, object] | None = None
        self._boosting: _Boosting | None = None
        self._factors: tuple[str, Floats] | None = None
        self._fillings: tuple[tuple[object, object], tuple[Filling, ...], str] | None = None
        self._digests: list[tuple[Flags, str]] = []

    @property
    def need_a_table(self) -> bool:
        """Whether a rule asks for attributes of items."""
        return self._where is not None or bool(self._boosts)

    def check(self, columns: Mapping[str, ColumnKind]) -> None:
        """Raises InputError for a filter that asks for something that the catalogue does not have."""
        for each in (*([] if self._where is None else [self._where]), *(made for _, made in self._boosts)):
            if each.check(columns).parameters:
                raise InputError(
                    f"the filter {each.text!r} of the placement {self._placement.name} has parameters",
                    expected="a filter without: nobody gives them",
                )

    def now(
        self,
        catalog: Catalog,
        now: int,
        table: ItemTable | None = None,
        asker: AskerFacts = NOBODY,
        liked: AskerFacts | None = None,
    ) -> Rules:
        """What they come to at `now` (milliseconds UTC) for whoever asks.

        A filter that does not fit the catalogue any more lets nothing through, and a boost counts for nothing.

        Parameters
        ----------
        table : of the same version as the catalogue. None where no rule needs it, else raises InputError.
        liked : what boosts are told of whoever asks; as filters are where it is None.
        """
        if not self.need_a_table:
            fillings, state = self._filled_with(catalog, None)
            return Rules(fillings=fillings, state=state)
        if table is None:
            raise InputError(
                f"the placement {self._placement.name} without the attributes of items",
                expected="the table of items that its filter and its boosts are about",
            )
        shown, alike = catalog.showable(now), liked is None or liked.history is asker.history
        kept: dict[str, _Own] = asker.history.kept(self._models.filtered, dict)
        last = kept.get(self._placement.name)
        made_of = self._made_of(catalog, table)
        same = last is not None and last.made_of is made_of and last.shown is shown and last.alike == alike
        if last is not None and same and last.rules.since <= now < last.rules.until:
            return last.rules
        rules = self._made(catalog, shown, table, asker, liked or asker, now)
        kept[self._placement.name] = _Own(made_of, shown, alike, rules)
        return rules

    def _made_of(self, catalog: Catalog, table: ItemTable) -> object:
        """The same object as long as both are the same: histories keep neither of them."""
        known = self._basis
        if known is None or known[0] is not catalog or known[1] is not table:
            known = self._basis = catalog, table, object()
        return known[2]

    def _made(
        self, catalog: Catalog, shown: Flags, table: ItemTable, asker: AskerFacts, liked: AskerFacts, now: int
    ) -> Rules:
        """As `now`, where something may have changed."""
        trouble, where, among, showable, barred, filtered = None, None, None, None, _NO_ITEMS, None
        since, until = LONG_AGO, NEVER
        if self._where is not None:
            try:
                where = self._where.where(table, asker, now)
                showable, barred, filtered = self._showable(shown, where)
                since, until = where.since, where.until
                until = since if self._where.check(table.kinds).attributes else until
            except InputError as error:
                trouble, among = f"the filter does not fit the catalogue: {error}", np.zeros(table.size, np.bool_)
        boosts = self._boosted(table, liked, now)
        fillings, filled_by = self._filled_with(catalog, boosts.base)
        state = f"{'' if where is None else where.key};{boosts.state};{filled_by}"
        since, until = max(since, boosts.since), min(until, boosts.until)
        return Rules(where, among, showable, barred, filtered, boosts.boost, fillings, state, trouble, since, until)

    def _showable(self, shown: Flags, where: Where) -> tuple[Flags, Items, int]:
        """As in `Rules`."""
        known = self._passing
        if known is None or known[0] is not shown or known[1] is not where.items:
            both = shown & where.items
            known = self._passing = (shown, where.items, both, int(np.count_nonzero(shown & ~where.items)))
        _, _, both, filtered = known
        if not len(where.spots):
            return both, _NO_ITEMS, filtered
        before, own = both[where.spots], shown[where.spots] & where.spared
        come, gone = own & ~before, where.spots[before & ~own]
        if come.any():
            both = both.copy()
            both[where.spots[come]] = True
        return both, gone, filtered + len(gone) - int(np.count_nonzero(come))

    def _boosted(self, table: ItemTable, asker: AskerFacts, now: int) -> _Boosting:
        """What the boosts come to for whoever asks; kept where it is the same for everybody."""
        known = self._boosting
        if known is not None and known.table is table and known.since <= now < known.until:
            return known
        since, until, alike, never = LONG_AGO, NEVER, True, False
        in_force: list[tuple[Boost, Where]] = []
        for boost, made in self._boosts:
            starts, ends = boost.starts or LONG_AGO, boost.ends or NEVER
            since = max([since, *(at for at in (starts, ends) if at <= now)])
            until = min([until, *(at for at in (starts, ends) if at > now)])
            if not starts <= now < ends:
                continue
            try:
                where, needs = made.where(table, asker, now), made.check(table.kinds)
            except InputError:
                continue
            in_force.append((boost, where))
            since, until = max(since, where.since), min(until, where.until)
            alike, never = alike and not (needs.asks or needs.attributes), never or bool(needs.attributes)
        base, state = self._factors_of(in_force, table.size)
        if alike:
            self._boosting = _Boosting(table, since, until, base, base, state)
            return self._boosting
        until = since if never else until
        spots = np.concatenate([where.spots for _, where in in_force])
        if base is None or not len(spots):
            return _Boosting(table, since, until, base, base, state)
        own = _multiplied(len(spots), [(boost.factor, where.lets(spots)) for boost, where in in_force])
        factors = base.copy()
        factors[spots] = own
        state += f",{blake2b(spots.tobytes() + own.tobytes(), digest_size=16).hexdigest()}"
        return _Boosting(table, since, until, factors, base, state)

    def _factors_of(self, in_force: Sequence[tuple[Boost, Where]], size: int) -> tuple[Floats | None, str]:
        """The factors for somebody without a history, and what says which they are."""
        if not in_force:
            return None, ""
        state = ",".join(f"{boost.factor!r}{self._digest(where.items)}" for boost, where in in_force)
        if self._factors is None or self._factors[0] != state:
            factors = [(boost.factor, where.items) for boost, where in in_force]
            self._factors = state, _multiplied(size, factors)
        return self._factors[1], state

    def _filled_with(self, catalog: Catalog, boost: Floats | None) -> tuple[tuple[Filling, ...] | None, str]:
        """What fills a list up, and what says which it is."""
        fallback = self._placement.fallback
        if self._plain and boost is None:
            return None, ""
        # New items are put in order by their dates; a catalogue that changes otherwise shares them with this one.
        depends = (catalog.published if Fallback.NEW in fallback else None, boost)
        known = self._fillings
        if known is None or known[0][0] is not depends[0] or known[0][1] is not depends[1]:
            models = self._models
            made = tuple(filling_of(each, models.bundle, models.sources, catalog, boost) for each in fallback)
            digest = blake2b(digest_size=16)
            for filling in made if Fallback.NEW in fallback else ():
                digest.update(filling.item.tobytes())
            known = self._fillings = (depends, made, digest.hexdigest())
        return known[1], known[2]

    def _digest(self, items: Flags) -> str:
        """What tells these items from others, on every machine."""
        for known, digest in self._digests:
            if known is items:
                return digest
        digest = blake2b(np.packbits(items).tobytes(), digest_size=16).hexdigest()
        self._digests = [(items, digest), *self._digests[: len(self._boosts)]]
        return digest


def _multiplied(size: int, factors: Sequence[tuple[float, Flags]]) -> Floats:
    """The product of the factors of each item, within `MOST_BOOSTED`."""
    product = np.ones(size)
    with np.errstate(over="ignore", under="ignore"):
        for factor, items in factors:
            product[items] *= factor
    return np.clip(product, 1 / MOST_BOOSTED, MOST_BOOSTED)
