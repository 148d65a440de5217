"""What is said to be true is what was simulated, and it can be found from the events."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import sparse

from recsys.errors import InputError
from recsys.simulation.blocks import Simulation
from recsys.simulation.truth import GroundTruth
from tests.simulation.simulated_shop import Shop

Floats = npt.NDArray[np.float64]


def slow_liking(truth: GroundTruth, customer_id: str, item_id: str, at: int) -> float:
    """The documented formula for one pair, from the files' rows, without arrays."""
    customer = truth.customers.row(by_predicate=pl.col("customer_id") == customer_id, named=True)
    book = truth.books.row(by_predicate=pl.col("item_id") == item_id, named=True)
    groups = {row["strand"]: (row["sub_genre"], row["genre"]) for row in truth.books.iter_rows(named=True)}
    gone = (at - customer["drift_from"]) / (customer["drift_until"] - customer["drift_from"])
    gone = min(max(gone, 0.0), 1.0)
    match = 0.0
    slots = zip(
        customer["strands"], customer["authors"], customer["early_weights"], customer["late_weights"], strict=True
    )
    for strand, author, early, late in slots:
        weight = (1 - gone) * early + gone * late
        sub_genre, genre = groups[strand]
        if book["author"] == author:
            match += weight
        elif book["strand"] == strand:
            match += 0.7 * weight
        elif book["sub_genre"] == sub_genre:
            match += 0.3 * weight
        elif book["genre"] == genre:
            match += 0.08 * weight
    return (1 - exp(-3 * match)) * (0.5 + 0.5 * book["quality"])


def test_affinity_is_the_documented_formula(shop: Shop) -> None:
    """The fast matrix equals the slow formula for pairs that matter, at the start, in the middle and at the end."""
    bought = shop.of_kind("purchase").sample(12, seed=3)
    customers, items = bought["customer_id"].to_list(), bought["item_id"].to_list()
    middle = (shop.spec.start_ms + shop.spec.end_ms) // 2
    for at in (shop.spec.start_ms, middle, shop.spec.end_ms):
        fast = shop.truth.affinity(customers, items, at)
        slow = [[slow_liking(shop.truth, customer, item, at) for item in items] for customer in customers]
        np.testing.assert_allclose(fast, slow, rtol=1e-12)
    assert fast.max() > 0.3


def test_affinity_is_what_the_simulation_used(shop: Shop) -> None:
    """Read back from the files, the affinity of a look is the very number that its outcome was drawn with."""
    block = Simulation(shop.spec).block(2)
    looks = block.looks
    rows = np.flatnonzero(~looks.gift)[:40]
    used = block.tastes.liking(
        looks.customer[rows],
        looks.book[rows],
        block.tastes.weights(looks.customer[rows], looks.when[rows]),
        Simulation(shop.spec).books,
    )
    ids = shop.customers["customer_id"].gather(looks.customer[rows] + block.first_customer)
    items = shop.items["item_id"].gather(looks.book[rows])
    told = [
        shop.truth.affinity([customer], [item], int(when))[0, 0]
        for customer, item, when in zip(ids, items, looks.when[rows], strict=True)
    ]
    assert told == used.tolist()


def test_genre_weights_are_shares(shop: Shop) -> None:
    """Weights by genre and by sub-genre sum to 1 for every customer, and the one is the sum of the other."""
    ids = shop.customers["customer_id"][:50].to_list()
    fine, coarse = shop.truth.sub_genre_weights(ids), shop.truth.genre_weights(ids)
    np.testing.assert_allclose(fine.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(coarse, fine.reshape(len(ids), 12, 5).sum(axis=2))


def test_unknown_ids_are_refused(shop: Shop) -> None:
    """Asking about somebody who is not in the shop names the id."""
    with pytest.raises(InputError, match="customer 'nobody'"):
        shop.truth.affinity(["nobody"], ["B0000001"])
    with pytest.raises(InputError, match="item 'nothing'"):
        shop.truth.affinity(["C00000001"], ["nothing"])


def test_a_folder_without_a_simulation_has_no_truth(tmp_path: Path) -> None:
    """Loading from a folder that was not written to its end says so."""
    with pytest.raises(InputError, match=r"has no simulation\.json"):
        GroundTruth.load(tmp_path)


def top(scores: Floats, seen: npt.NDArray[np.bool_], k: int = 10) -> npt.NDArray[np.int64]:
    """The k best unseen items of each row: shape (customers, k)."""
    return np.argsort(np.where(seen, -np.inf, scores), axis=1)[:, ::-1][:, :k]


def test_tastes_can_be_found_from_the_events(shop: Shop) -> None:
    """Plain co-occurrence of recent purchases, carts and views recommends what customers truly like at the end: far
    more than the most popular items and than random ones, and not far from the best possible list."""
    used = shop.of_kind("view", "add_to_cart", "purchase")
    ids = used["customer_id"].value_counts().filter(pl.col("count") >= 20)["customer_id"].sort().to_list()
    items = shop.items["item_id"].to_list()
    place = {identifier: number for number, identifier in enumerate(items)}
    row = {identifier: number for number, identifier in enumerate(ids)}
    used = used.filter(pl.col("customer_id").is_in(ids))
    age = (shop.spec.end_ms - used["timestamp"].to_numpy()) / (180 * 86_400_000)
    at = ([row[name] for name in used["customer_id"]], [place[name] for name in used["item_id"]])
    shape = (len(ids), len(items))
    recent = sparse.csr_array((np.exp2(-age), at), shape=shape)
    seen = sparse.csr_array((np.ones(len(age)), at), shape=shape)
    seen.data[:] = 1.0
    together = (seen.T @ seen).toarray()
    often = np.sqrt(together.diagonal())
    together = together / np.maximum(np.outer(often, often), 1.0)
    had = seen.toarray() > 0

    truth = shop.truth.affinity(ids, items)
    popularity = np.broadcast_to(seen.sum(axis=0), shape)
    rng = np.random.default_rng(0)
    found, popular, random, best = (
        np.take_along_axis(truth, top(scores, had), axis=1).mean()
        for scores in (recent @ together, popularity, rng.random(shape), truth)
    )
    assert found > 3 * popular
    assert found > 4 * random
    assert found > 0.6 * best
