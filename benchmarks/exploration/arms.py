"""Ways of making lists: without exploration, with it, with parts of it left out, and the simplest peer."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from benchmarks.exploration.loop import Arm, Asked
from benchmarks.exploration.training import Shelf
from benchmarks.exploration.world import Ints
from recsys.recommend.exploration import MOST_CONSIDERED, Beliefs, ItemCounts, Offer, choose, suited
from recsys.recommend.exploration.prior import Prior
from recsys.recommend.placement import Exploration

HOW = Exploration(share=0.3, cost=0.02)

Listed = tuple[npt.NDArray[np.int32], int, float]


def believed(counts: ItemCounts, shelf: Shelf, published: Ints, seed: int) -> Beliefs:
    """As the service does."""
    return Beliefs.of(counts, shelf.groups, shelf.recommender.bundle.popularity.count, seed, published)


def believed_without_prior(counts: ItemCounts, shelf: Shelf, published: Ints, seed: int) -> Beliefs:
    """As if every rate between 0 and 1 were as likely as any other."""
    flat = Prior(np.full(len(counts), 0.5), 2.0)
    events = shelf.recommender.bundle.popularity.count
    return Beliefs.of(counts, shelf.groups, events, seed, published, (flat, flat))


def thompson(asked: Asked) -> Listed:
    """As the service does."""
    taste = asked.taste
    offer = Offer(asked.showable, np.zeros(0, dtype=np.bool_), asked.hidden)
    found = suited(asked.beliefs, taste.items, taste.strengths, asked.listed, offer)
    chosen = choose(asked.seed, asked.listed, found, asked.beliefs, HOW)
    return chosen.item, len(chosen.slots), chosen.loss


def impersonal(asked: Asked) -> Listed:
    """As if nothing were known of the customer but what they had."""
    nothing = replace(asked.taste, items=asked.taste.items[:0], strengths=asked.taste.strengths[:0])
    return thompson(replace(asked, taste=nothing))


def epsilon_greedy(asked: Asked) -> Listed:
    """Each slot holds, with the probability of the share, one of the newest explored items, any as likely as any other;
    without a bound."""
    seed = int.from_bytes(blake2b(asked.seed.encode(), digest_size=8).digest(), "little")
    rng, listed = np.random.default_rng(seed), asked.listed.copy()
    newest = asked.beliefs.explored[asked.showable[asked.beliefs.explored]]
    free = newest[~np.isin(newest, np.concatenate([asked.hidden, listed]))][:MOST_CONSIDERED]
    slots = np.flatnonzero(rng.random(len(listed)) < HOW.share)[: len(free)]
    listed[slots] = rng.choice(free, len(slots), replace=False)
    return listed, len(slots), 0.0


NONE = Arm("without exploration", None, believed)
THOMPSON = Arm("Thompson sampling", thompson, believed)
ABLATIONS = (
    Arm("without the prior", thompson, believed_without_prior),
    Arm("not personal", impersonal, believed),
    Arm("ε-greedy", epsilon_greedy, believed),
)
