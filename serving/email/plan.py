"""From a campaign to a plan: every customer of the audience in one row, planned or suppressed with the first cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.bundle import ModelBundle
from recsys.customers.accounts import with_members
from recsys.data.catalog import Catalog
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.item_table import ItemTable
from recsys.data.signals import MS_PER_DAY
from recsys.data.vocabulary import UNKNOWN, Vocabulary
from recsys.experiments.assignment import drawn
from recsys.recommend.crowd import Crowd, Picks, keyed
from recsys.recommend.crowd.crowd import barred_pairs
from recsys.recommend.crowd.picks import REASONS, begins
from recsys.recommend.crowd.spots import Spot
from recsys.recommend.recommender import Recommender
from serving.email.audience import audience_of
from serving.email.blocks import listed, worth_sending
from serving.email.campaign import Campaign
from serving.email.households import bought_together
from serving.email.mailed import MAILED_DAYS, items_of_last_mails
from serving.email.people import with_contacts
from serving.email.permission import first_causes, not_before, where_and_how
from serving.email.planned import LISTED_SCHEMA, MAIL_SCHEMA, Cause, PlanHeader
from serving.email.theme import Themes
from serving.email.writing import PlanFolder, named_items
from serving.http.tokens import AnswerIdentity, RecommendationTokens

AT_ONCE = 25_000
"""Customers whose lists are made at once: bounds the memory, and is how many rows a file of the plan has."""


_Items = tuple[Picks, npt.NDArray[np.int16]]
"""As `listed` gives them."""

_REASONS = pl.Series(REASONS, dtype=LISTED_SCHEMA["reason"])
_KINDS = pl.Series([str(kind) for kind in EventKind], dtype=LISTED_SCHEMA["did"])
"""By their code less 1."""


@dataclass(frozen=True, eq=False)
class Shop:
    """What a plan is made from; the same shop, campaign and moment give the same plan.

    Attributes
    ----------
    recommender : of the default placement.
    catalog, table : over the bundle's items.
    items : the catalogue's rows, in `ITEM_SCHEMA`.
    interactions : what everybody did, over the bundle's items.
    people : as `people_of` gives them.
    permissions : for the campaign's purpose, in `PERMISSION_SCHEMA`.
    forgotten, unreachable : ids of customers, and addresses in lower case.
    mailed : the mails of the purpose that went out or may have, with `customer_id`, `at` and `content`.
    tokens : sign the mails' tokens.
    spots : by the name in a block, None for a block that names none: the placements with rules of their own.
    """

    recommender: Recommender
    catalog: Catalog
    table: ItemTable
    items: pl.DataFrame
    interactions: Interactions
    people: pl.DataFrame
    permissions: pl.DataFrame
    forgotten: frozenset[str]
    unreachable: frozenset[str]
    mailed: pl.DataFrame
    tokens: RecommendationTokens
    spots: Mapping[str | None, Spot] = field(default_factory=dict)

    @property
    def bundle(self) -> ModelBundle:
        """The models."""
        return self.recommender.bundle


def make_plan(
    campaign: Campaign,
    shop: Shop,
    now: int,
    folder: Path,
    threads: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> PlanHeader:
    """Plans a campaign as of `now` (milliseconds UTC) into a folder, which appears when it is whole.

    Parameters
    ----------
    threads : 1 or more; does not change the plan.
    progress : called with what is being done, how many customers are done, and of how many.

    Raises InputError for an audience with nobody in it, and for a folder that is there already.
    """
    tell = progress or _silent
    planning = Planning(campaign, shop, now, threads)
    audience = planning.audience(lambda done, size: tell("audience", done, size))
    return write_plan(planning, audience, folder, campaign, shop, tell)


def _silent(_what: str, _done: int, _all: int) -> None:
    """Tells nobody."""


def write_plan(
    planning: Planning,
    audience: pl.DataFrame,
    folder: Path,
    campaign: Campaign,
    shop: Shop,
    tell: Callable[[str, int, int], None] = _silent,
) -> PlanHeader:
    """Writes the mails of an audience, as `Planning.audience` gave it, or of a part of it, into a folder."""
    with PlanFolder(folder) as writing:
        totals: Counter[str] = Counter()
        done = 0
        for part, found in _made_ahead(planning, audience):
            mails, items = planning.mails(part, *found)
            totals.update(mails["cause"].fill_null("").to_list())
            writing.part(mails, items)
            done += len(part)
            tell("lists", done, len(audience))
        planned = totals.pop("", 0)
        header = planning.header(len(audience), planned, totals, writing.parts)
        writing.finish(header, campaign.text, named_items(shop.items, shop.bundle.items, planning.named, campaign.shop))
    return header


def _made_ahead(planning: Planning, audience: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, _Items]]:
    """The audience in parts, with the items of their mails: those of the next part are found while one is written."""
    parts = [audience.slice(first, AT_ONCE) for first in range(0, len(audience), AT_ONCE)]
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(planning.items, parts[0]) if parts else None
        for number, part in enumerate(parts):
            assert ahead is not None  # noqa: S101 - there is a part
            found = ahead.result()
            ahead = pool.submit(planning.items, parts[number + 1]) if number + 1 < len(parts) else None
            yield part, found


class Planning:
    """A campaign and a shop at one moment.

    Attributes
    ----------
    named : bool, shape (items,); which items stand in a mail so far, or speak for one that does.
    counted : see `PlanHeader`.
    """

    def __init__(self, campaign: Campaign, shop: Shop, now: int, threads: int) -> None:
        self._campaign, self._shop, self._now, self._threads = campaign, shop, now, threads
        self._experiment = campaign.experiment
        restraint, items = campaign.restraint, shop.bundle.items
        ends = now + int(restraint.expires_days * MS_PER_DAY)
        self._ids = pl.Series(list(items), dtype=pl.String)
        self._allowed = shop.catalog.showable(now) & (shop.catalog.expires > ends)
        self._interactions = shop.interactions.until(now)
        self._sent = with_members(shop.mailed, shop.people) if restraint.one_per_account else shop.mailed
        lately = self._sent.filter(pl.col("at") >= now - int(MAILED_DAYS * MS_PER_DAY))
        self._barred = items_of_last_mails(lately, restraint.last_mails)
        if restraint.one_per_account:
            since = now - int(restraint.bought_days * MS_PER_DAY)
            bought = bought_together(self._interactions, self._ids, shop.people, since)
            self._barred = pl.concat([self._barred, bought]).unique()
        self._themes = Themes(campaign, named_items(shop.items, items, np.ones(len(items), np.bool_), campaign.shop))
        self.named = np.zeros(len(items), dtype=np.bool_)
        self.counted: Counter[str] = Counter()

    def audience(self, progress: Callable[[int, int], None]) -> pl.DataFrame:
        """Everybody in it, ascending by id, with the `cause` that is known before their lists are made."""
        campaign, shop = self._campaign, self._shop

        def crowds(people: pl.DataFrame) -> Iterator[tuple[int, Crowd]]:
            for first in range(0, len(people), AT_ONCE):
                part = people["customer_id"].slice(first, AT_ONCE)
                yield first, self._crowd(part)
                progress(first + len(part), len(people))

        found = with_contacts(audience_of(campaign, shop.people, self._now, crowds))
        judged = first_causes(
            found, shop.permissions, shop.forgotten, shop.unreachable, self._sent, campaign.restraint, self._now
        )
        judged, counted = where_and_how(judged, campaign)
        self.counted.update(counted)
        named = pl.Series(campaign.audience.customers, dtype=pl.String)
        self.counted["unknown_customers"] = int((~named.is_in(shop.people["customer_id"].implode())).sum())
        return judged

    def items(self, people: pl.DataFrame) -> _Items:
        """What would stand in the mails of those of the audience for whom there is no cause yet."""
        crowd = self._crowd(people.filter(pl.col("cause").is_null())["customer_id"])
        return listed(crowd, self._campaign.blocks, self._campaign.restraint.minimum_relevance, self._shop.spots)

    def mails(
        self, people: pl.DataFrame, picks: Picks, block: npt.NDArray[np.int16]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows of some of the audience, in `MAIL_SCHEMA`, and of the items of their mails, in `LISTED_SCHEMA`.

        Parameters
        ----------
        picks, block : as `items` gives them.
        """
        free = people["cause"].is_null().arg_true()
        wanted = people[free]
        good = worth_sending(picks, len(wanted), self._campaign.restraint)
        held = self._held_out(wanted["customer_id"].to_list(), good)
        kept = (good & ~held)[picks.row]
        picks, block = picks.those(kept), block[kept]
        cause = people["cause"].to_list()
        for place, is_good, is_held in zip(free.to_list(), good.tolist(), held.tolist(), strict=True):
            cause[place] = str(Cause.NOTHING_GOOD_ENOUGH) if not is_good else str(Cause.HOLDOUT) if is_held else None
        self.named[picks.item] = True
        self.named[picks.because[picks.because >= 0]] = True
        return self._rows(people, cause, free.to_numpy(), picks, block), self._listed(picks, block)

    def header(self, audience: int, planned: int, suppressed: Counter[str], parts: int) -> PlanHeader:
        """What `plan.json` says; causes in the order in which they are asked."""
        campaign, shop = self._campaign, self._campaign.shop
        causes = {str(cause): suppressed[str(cause)] for cause in Cause if suppressed[str(cause)]}
        return PlanHeader(
            campaign=campaign.name, purpose=campaign.purpose, template=campaign.template, shop=shop.name,
            language=shop.language, time_zone=shop.time_zone, planned_at=self._now,
            bundle=self._shop.bundle.bundle_id, audience=audience, planned=planned, suppressed=causes,
            counted=dict(sorted(self.counted.items())), holdout=campaign.holdout, salt=campaign.salt,
            blocks=tuple(str(block.kind) for block in campaign.blocks), again=self._again(), words=campaign.words,
            parts=parts,
        )  # fmt: skip

    def _again(self) -> tuple[bool, ...]:
        """As in `PlanHeader`."""
        usual, spots = self._shop.recommender.placement.mask_kinds, self._shop.spots
        own = [spots.get(block.placement) for block in self._campaign.blocks]
        return tuple(spot is not None and not spot.recommender.placement.mask_kinds >= usual for spot in own)

    def _crowd(self, customer_ids: pl.Series) -> Crowd:
        """These customers, ascending, and what must not stand in their mails."""
        shop, items = self._shop, len(self._shop.bundle.items)
        own = self._interactions.of_customers(Vocabulary.from_sorted(customer_ids))
        bought_since = self._now - int(self._campaign.restraint.bought_days * MS_PER_DAY)
        theirs = self._barred.join(
            pl.DataFrame({"customer_id": customer_ids}).with_row_index("row"), on="customer_id", how="inner"
        )
        position = shop.bundle.items.positions(theirs["item_id"].to_list())
        known = position != UNKNOWN
        pairs = keyed(theirs["row"].to_numpy()[known], position[known], items)
        barred = barred_pairs(own, items, bought_since, pairs)
        return Crowd(shop.recommender, own, shop.catalog, shop.table, self._now, self._allowed, barred, self._threads)

    def _held_out(self, customer_ids: list[str], good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        held = np.zeros(len(customer_ids), dtype=np.bool_)
        if self._campaign.holdout:
            held[good] = [
                drawn(self._experiment, customer_ids[place]).is_holdout for place in np.flatnonzero(good).tolist()
            ]
        return held

    def _rows(
        self,
        people: pl.DataFrame,
        cause: list[str | None],
        free: npt.NDArray[np.integer],
        picks: Picks,
        block: npt.NDArray[np.int16],
    ) -> pl.DataFrame:
        count = np.zeros(len(people), dtype=np.int32)
        count[free] = np.bincount(picks.row, minlength=len(free))
        rows = people.with_columns(
            pl.Series("cause", cause, dtype=pl.String),
            pl.Series("items", count),
            pl.col("email").alias("address"),
        )
        planned = rows.filter(pl.col("cause").is_null())
        first = np.flatnonzero(begins(picks.row))
        spoken, themes = self._themes.of(planned["language"], planned["name"], picks.those(first), block[first])
        self.counted["other_language"] += spoken
        quiet = self._campaign.restraint.quiet
        own: dict[str, list[int] | list[str]] = {
            "not_before": [not_before(quiet, zone, self._now) for zone in planned["time_zone"].to_list()],
            "theme": themes,
            "token": [self._token(customer) for customer in planned["customer_id"].to_list()],
        }
        written = planned.select("customer_id").with_columns(
            pl.Series(name, values, dtype=MAIL_SCHEMA[name]) for name, values in own.items()
        )
        return rows.join(written, on="customer_id", how="left", maintain_order="left").select(
            pl.col(name).cast(dtype) for name, dtype in MAIL_SCHEMA.items()
        )

    def _listed(self, picks: Picks, block: npt.NDArray[np.int16]) -> pl.DataFrame:
        because = pl.Series(picks.because)
        return pl.DataFrame(
            {
                "block": block,
                "item_id": self._ids.gather(picks.item),
                "relevance": pl.Series(picks.relevance).fill_nan(None),
                "reason": _named(picks.reason, _REASONS),
                "because": self._ids.gather(because.set(because < 0, None)),
                "did": _named(picks.did - np.int8(1), _KINDS),
            }
        )

    def _token(self, customer_id: str) -> str:
        """The mail's `recommendation_id`: the same for the same customer, campaign and moment."""
        raw = f"{self._campaign.name}\0{self._now}\0{customer_id}".encode(errors="surrogatepass")
        seed = blake2b(raw, digest_size=8).hexdigest()
        identity = AnswerIdentity(self._shop.bundle.bundle_id, self._experiment.placement, "", seed, self._now)
        return self._shop.tokens.sign(identity)


def _named(codes: npt.NDArray[np.int8], values: pl.Series) -> pl.Series:
    """Codes as values; below 0 is null."""
    places = pl.Series(codes.astype(np.int32))
    return values.gather(places.set(places < 0, None))
