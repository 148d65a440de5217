"""The compiled kernel makes the list that the definition, written out in NumPy over all items, gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.models.als import ALS
from recsys.models.factors import Factors
from recsys.recommend.kernel import (
    BY_NONE,
    BY_POPULARITY,
    FEWEST,
    MOST_EVIDENCE,
    NAMED_EVIDENCE,
    NO_BOOST,
    POOL,
    ROUNDING,
    UNITS,
    Asked,
    Listed,
    Lists,
    Sources,
    Workspace,
    flattened,
    list_items,
)

Dense = npt.NDArray[np.float64]
NEAR = 40
"""Units of 10^-5 by which single precision may differ from the definition."""


def random_lists(rng: np.random.Generator, items: int, share: float) -> Lists:
    """Neighbours of every item, some that speak against it."""
    there = (rng.random((items, items)) < share) & ~np.eye(items, dtype=bool)
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    neighbour = np.nonzero(there)[1].astype(np.int32)
    return Lists(indptr, neighbour, rng.normal(0.4, 0.5, len(neighbour)).astype(np.float32))


def random_sources(rng: np.random.Generator, items: int) -> Sources:
    """Models of nothing in particular, of the right form."""
    y = rng.normal(0.0, 0.3, (items, 5)).astype(np.float32)
    outputs = np.linalg.qr(rng.normal(size=(items, 3)))[0] * rng.uniform(0.5, 2.0, 3)
    out = rng.uniform(0.5, 2.0, items).astype(np.float32)
    directions = np.ascontiguousarray(outputs / out[:, None], dtype=np.float32)
    spectral = Factors(directions, 1.0 / out, out, np.sum(outputs**2, axis=0), 0.0)
    popular = np.maximum(rng.normal(0.5, 1.0, items), 0.0)
    order = np.flatnonzero(popular > 0)
    order = order[np.argsort(-popular[order])].astype(np.int32)
    return Sources(
        random_lists(rng, items, 0.15),
        random_lists(rng, items, 0.1),
        random_lists(rng, items, 0.05),
        ALS.of_factors(y, 0.7, 9.0).factors(),
        spectral,
        popular,
        rng.integers(0, 5, items),
        order,
    )


def dense(lists: Lists, items: int) -> Dense:
    """As a matrix."""
    matrix = np.zeros((items, items))
    for item in range(items):
        own = slice(lists.indptr[item], lists.indptr[item + 1])
        matrix[item, lists.neighbour[own]] = lists.weight[own]
    return matrix


def low_rank(factors: Factors, items: npt.NDArray[np.int32], strengths: Dense) -> Dense:
    """Each history item's part in the scores of all items: shape (m, items)."""
    rows = factors.rows.astype(float)
    extra = factors.confidence * strengths
    pull = 1.0 + extra if factors.confidence else strengths * factors.into[items]
    own = rows[items]
    x = np.linalg.solve(np.eye(rows.shape[1]) + (own.T * extra) @ own, pull @ own)
    parts = (pull - extra * (own @ x))[:, None] * own
    return np.asarray((parts @ rows.T) * factors.out)


def weighed(parts: Dense, weight: float) -> Dense:
    """In units of the spread of their sum over all items."""
    spread = np.sqrt(np.mean(parts.sum(axis=0) ** 2)) if len(parts) else 0.0
    return parts * (weight / spread if spread > 0 else 0.0)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_list_is_what_the_definition_says(data: st.DataObject) -> None:
    """Any sources with any weights, hidden and unavailable items, items bought again, short and empty histories, all
    items or given ones, all scores as they are or some multiplied."""
    seed = data.draw(st.integers(0, 10_000))
    rng, items = np.random.default_rng(seed), data.draw(st.sampled_from([8, 40, 90]))
    sources = random_sources(rng, items)
    weights = np.array([data.draw(st.sampled_from([0.0, 0.3, 1.0])) for _ in range(7)])
    length = data.draw(st.integers(0, min(6, items)))
    history = np.sort(rng.choice(items, length, replace=False)).astype(np.int32)
    strengths = rng.uniform(0.05, 1.0, length).astype(np.float32)
    again = history[: length // 2]
    probability = rng.uniform(0.0, 0.5, len(again))
    showable = rng.random(items) < 0.9
    seen, excluded = (rng.choice(items, data.draw(st.integers(0, 3))).astype(np.int32) for _ in range(2))
    wanted, filled = data.draw(st.integers(1, 30)), data.draw(st.booleans())
    restricted = data.draw(st.booleans())
    among = rng.permutation(items)[: data.draw(st.integers(0, items))].astype(np.int32)
    factor = rng.choice([0.5, 1.0, 1.25], items) if data.draw(st.booleans()) else np.ones(items)
    work = Workspace.of(items)
    asked = Asked(
        weights, history, strengths, again, probability, np.zeros(0, dtype=np.float32), showable, seen, excluded,
        wanted, filled=filled, explained=True, among=among if restricted else None,
        boost=NO_BOOST if (factor == 1.0).all() else factor,
    )  # fmt: skip
    found = list_items(flattened(sources), work, asked)
    assert not any(part.any() for part in (work.mark, work.own, work.total))

    wide = strengths.astype(float)
    few = sum(
        weighed(wide[:, None] * dense(lists, items)[history], weight)
        for lists, weight in zip(sources[:3], weights[:3], strict=True)
    )
    few = few if length else np.zeros((0, items))
    for item, likely in zip(again, probability, strict=True):
        few[np.searchsorted(history, item), item] += weights[5] * likely
    far = np.zeros((length, items))
    if length:
        far = weighed(low_rank(sources.als, history, wide), weights[3])
        far = far + weighed(low_rank(sources.spectral, history, wide), weights[4])
    allowed = showable.copy()
    assert found.seen == np.count_nonzero(allowed[np.unique(seen)])
    allowed[seen] = False
    assert found.excluded == np.count_nonzero(allowed[np.unique(excluded)])
    allowed[excluded] = False
    candidate = allowed & (few.sum(axis=0) > 0)
    if candidate.sum() < FEWEST and far.any():
        pool = np.zeros(items, dtype=bool)
        pool[sources.order[:POOL]] = True
        candidate |= allowed & pool
    rest = sources.order
    if restricted:
        candidate = allowed & np.isin(np.arange(items), among)
        rest = among[np.lexsort((among, -sources.events[among], -(sources.popular * factor)[among]))]
    common = weights[6] * sources.popular * factor
    personal = (few + far).sum(axis=0) * UNITS * factor
    check(found, candidate, personal, common * UNITS, sources, wanted)
    worth = sources.popular * (factor if restricted else 1.0)
    check_filling(found, [item for item in rest if allowed[item]], wanted if filled else 0, worth)
    shares = (few + far) * UNITS * factor
    for place in range(found.personal):
        item = found.item[place]
        for who, share in zip(found.named[place], found.share[place], strict=True):
            if who >= 0 and place:
                assert share == pytest.approx(shares[who, item], abs=NEAR + ROUNDING)
        assert found.share[place].sum() == found.score[place]


def check(
    found: Listed, candidate: npt.NDArray[np.bool_], personal: Dense, common: Dense, sources: Sources, wanted: int
) -> None:
    """The list against the scores of all items; what is as good to the last digits may stand in either order."""
    score = np.where(candidate & (personal > 0), personal + common, -np.inf)
    best = np.sort(score[score > -np.inf])[::-1][:wanted]
    sure = np.count_nonzero(candidate & (personal > NEAR))
    possible = np.count_nonzero(candidate & (personal > -NEAR))
    assert min(sure, wanted) <= found.personal <= min(possible, wanted)
    own = found.item[: found.personal]
    assert candidate[own].all()
    np.testing.assert_allclose(found.score[: found.personal], (personal + common)[own], atol=NEAR)
    shared = min(len(best), found.personal)
    np.testing.assert_allclose(found.score[:shared], best[:shared], atol=2 * NEAR)
    keys = [(-found.score[place], -sources.events[item], item) for place, item in enumerate(own)]
    assert keys == sorted(keys)
    assert found.named.shape == (len(found.item), MOST_EVIDENCE)
    assert np.count_nonzero(found.named >= 0, axis=1).max(initial=0) <= NAMED_EVIDENCE
    assert (found.named[:, 0] != BY_NONE).all()


def check_filling(found: Listed, rest: list[int], wanted: int, popular: Dense) -> None:
    """Behind the personal items stand the first of the rest, scored by popularity, below the last personal one."""
    own = set(found.item[: found.personal].tolist())
    filling = [item for item in rest if item not in own][: max(0, wanted - found.personal)]
    assert found.item[found.personal :].tolist() == filling
    if filling:
        ceiling = found.score[found.personal - 1] if found.personal else UNITS
        share = popular[filling] / popular[filling[0]] if popular[filling[0]] else np.zeros(len(filling))
        np.testing.assert_allclose(found.score[found.personal :], share * ceiling, atol=1)
        assert (found.named[found.personal :, 0] == BY_POPULARITY).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 80), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_of_many_named_items_the_best_are_listed(
    seed: int, wanted: int, two: bool, alike: bool, again: bool, boosted: bool
) -> None:
    """Where sources name more items than are put in order, with scores all different or many alike, some items hidden
    and some multiplied: no better item is left out, and nothing is left in the workspace."""
    rng, items = np.random.default_rng(seed), 700
    sources = random_sources(rng, items)
    if alike:
        whole = [each._replace(weight=np.ceil(each.weight)) for each in sources[:2]]
        sources = sources._replace(item_item=whole[0], rp3beta=whole[1])
    history = np.sort(rng.choice(items, 8, replace=False)).astype(np.int32)
    strengths = np.ones(8, dtype=np.float32) if alike else rng.uniform(0.05, 1.0, 8).astype(np.float32)
    weights = np.array([1.0, 0.4 if two else 0.0, 0.0, 0.0, 0.0, 1.0 if again else 0.0, 0.0])
    probability = np.full(3 if again else 0, 0.5)
    showable, seen = rng.random(items) < 0.9, rng.choice(items, 30).astype(np.int32)
    factor = rng.choice([0.2, 1.0, 5.0], items) if boosted else np.ones(items)
    work = Workspace.of(items)
    asked = Asked(
        weights, history, strengths, history[: len(probability)], probability, np.zeros(0, dtype=np.float32), showable,
        seen, history[:0], wanted, filled=False, explained=False, boost=factor if boosted else NO_BOOST,
    )  # fmt: skip
    found = list_items(flattened(sources), work, asked)
    few = sum(
        weighed(strengths[:, None].astype(float) * dense(lists, items)[history], weight).sum(axis=0)
        for lists, weight in zip(sources[:3], weights[:3], strict=True)
    )
    few[history[: len(probability)]] += weights[5] * probability
    allowed = showable.copy()
    allowed[seen] = False
    score = np.where(allowed & (few > 0), few * UNITS * factor, 0.0)
    assert np.count_nonzero(score) > 2 * wanted
    assert len(set(found.item.tolist())) == wanted
    near = 4 if boosted else 1
    np.testing.assert_allclose(found.score, score[found.item], atol=near)
    np.testing.assert_allclose(found.score, np.sort(score)[::-1][:wanted], atol=near)
    assert not any(part.any() for part in (work.mark, work.own, work.total))


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_given_items_are_ranked_as_in_the_list_over_all_items(data: st.DataObject) -> None:
    """What is on the normal list has the same score, reason and order among given items, whatever else is given; and
    all given items are ranked."""
    rng, items = np.random.default_rng(data.draw(st.integers(0, 10_000))), 150
    sources, weights = random_sources(rng, items), rng.uniform(0.0, 1.0, 7)
    history = np.sort(rng.choice(items, data.draw(st.integers(0, 6)), replace=False)).astype(np.int32)
    strengths = rng.uniform(0.05, 1.0, len(history)).astype(np.float32)

    def ranked(wanted: int, among: npt.NDArray[np.int32] | None) -> Listed:
        asked = Asked(
            weights, history, strengths, history[:1], np.full(1, 0.2)[: len(history)], np.zeros(0, dtype=np.float32),
            np.ones(items, dtype=np.bool_), history[1:2], history[:0], wanted, filled=True, explained=True, among=among,
        )  # fmt: skip
        return list_items(flattened(sources), Workspace.of(items), asked)

    normal = ranked(10, None)
    others = np.setdiff1d(np.arange(items, dtype=np.int32), normal.item)
    more = rng.permutation(others)[: data.draw(st.integers(0, len(others)))]
    among = rng.permutation(np.concatenate([normal.item, more])).astype(np.int32)
    found = ranked(items, among)
    expected = set(among.tolist()) - set(history[1:2].tolist())
    assert sorted(found.item.tolist()) == sorted(expected)
    place = {item: at for at, item in enumerate(found.item.tolist())}
    same = [place[item] for item in normal.item[: normal.personal].tolist()]
    assert same == sorted(same)
    for part in ("score", "named", "share"):
        np.testing.assert_array_equal(getattr(found, part)[same], getattr(normal, part)[: normal.personal])
