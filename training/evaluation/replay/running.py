"""A replay from a shop's store and repository to what `metrics.json` of it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from recsys.bundle import BundleRepository, ModelBundle
from recsys.customers.attributes import attributes_of
from recsys.data.catalog import UNREAD
from recsys.errors import BundleError, InputError
from recsys.outcomes.exposure import DAY_MS
from recsys.outcomes.slots import SLOT_KINDS, Answered, Reward, seen_slots
from recsys.recommend.placement import Placement
from recsys.stores.protocols import Store
from training.evaluation.replay.lists import Past, Policy
from training.evaluation.replay.policy import CURRENT, PolicyNamed
from training.evaluation.replay.replaying import Names, replayed, require_chance
from training.stages import StageLog

EARLIER_DAYS = 90
"""What customers were shown so long before the first answer that counts is looked at: it may have sunk since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayAsked:
    """One replay.

    Attributes
    ----------
    policy : what is scored.
    logged : the placement whose lists were seen; None: that of the policy, or the only one that explores.
    reward : what is counted.
    clip : the largest weight, above 0; None as `replayed` says.
    now : milliseconds UTC; nothing later counts.
    seed : of everything random.
    """

    policy: PolicyNamed
    logged: str | None
    reward: Reward
    clip: float | None
    now: int
    seed: int


def replay(
    store: Store,
    repository: BundleRepository,
    placements: Mapping[str, Placement],
    asked: ReplayAsked,
    told: Callable[[str], Answered | None],
    stages: StageLog,
) -> dict[str, Any]:
    """Scores a policy on what customers saw since its bundle was trained: what it has learned from proves nothing.

    Parameters
    ----------
    placements : of the file in force, by name.
    told : what the token of an answer says; None for one that nobody signed.

    Raises InputError for names that are not known and for a log without chance, BundleError, StoreError.
    """
    logged = _logged(asked, placements)
    rules = asked.policy.rules(placements, logged)
    bundle = _bundle(repository, asked.policy.bundle)
    newest = bundle.manifest.data.get("newest")
    since = newest + 1 if isinstance(newest, int) else 0
    with stages.stage("read"):
        events = store.events.period(SLOT_KINDS, max(0, since - EARLIER_DAYS * DAY_MS), asked.now + 1)
        seen = seen_slots(events, told, logged, asked.reward, since, asked.now)
        require_chance(seen, logged)
        past = Past.of(store.events.read(), _impressions(events, rules), bundle)
        changes = store.catalog.changes(UNREAD)
    policy = Policy(bundle, rules, changes, past, cache(lambda customer: attributes_of(store, customer)))

    def lists(answers: pl.DataFrame, width: int) -> Names:
        with stages.stage("list", answers.height):
            return policy.lists(answers, width, stages.progress.advance)

    found = replayed(seen, lists, asked.seed, asked.clip)
    return {
        "policy": asked.policy.to_json() | {"bundle": bundle.bundle_id, "placement": rules.name},
        "logged": logged,
        "reward": str(asked.reward),
        "since": since,
        "until": asked.now,
        "left_out": seen.left_out,
        "placements": seen.placements,
        "seed": asked.seed,
    } | found.to_json()


def _logged(asked: ReplayAsked, placements: Mapping[str, Placement]) -> str:
    """The placement whose lists are looked at."""
    named = asked.logged or asked.policy.placement
    if named is not None:
        return named
    exploring = [name for name, each in placements.items() if each.exploration is not None]
    if len(exploring) == 1:
        return exploring[0]
    raise InputError(
        f"{len(exploring)} placements of the file in force explore"
        + (f": {', '.join(exploring)}" if exploring else ""),
        expected="one whose logged lists are to be used",
        remedy="name it with --logged NAME; where none explores, switch it on first (docs/exploration.md)",
    )


def _bundle(repository: BundleRepository, named: str) -> ModelBundle:
    bundle_id = repository.current_id() if named == CURRENT else named
    if bundle_id is None:
        raise BundleError("nothing has been published yet", remedy="train a bundle with `bookmatch train`")
    return repository.load(bundle_id)


def _impressions(events: pl.DataFrame, rules: Placement) -> pl.DataFrame:
    """What customers were shown on any list, where what was shown sinks; nothing where it does not."""
    shown = events.filter(pl.lit(rules.rotation is not None) & (pl.col("kind") == "impression"))
    return shown.select("customer_id", "item_id", seen="timestamp")
