"""Items that the catalogue describes alike are neighbours, from the first day on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.interactions import EventTable, Interactions
from recsys.data.signals import EventWeights
from recsys.data.vocabulary import Vocabulary
from recsys.errors import InputError
from recsys.models.content import Content, ContentConfig, content_matrix, fit_content
from recsys.models.content_terms import names, paths, words
from recsys.models.item_item import ItemItem, ItemItemConfig, fit_item_item
from recsys.models.nearest import nearest_rows
from recsys.simulation.spec import ShopSpec
from tests.oracles import Dense
from tests.simulation.simulated_shop import Shop
from tests.worlds import event_table

ALL = ContentConfig(floor=0.0)


def catalogue(*rows: dict[str, object]) -> pl.DataFrame:
    """A frame in `ITEM_SCHEMA`; attributes are given as objects."""
    ready = [row | {"attributes": orjson.dumps(row.get("attributes") or {}).decode()} for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in ITEM_SCHEMA} for row in ready], schema=ITEM_SCHEMA)


def neighbours(frame: pl.DataFrame, item: str, config: ContentConfig = ALL) -> dict[str, float]:
    """One item's neighbours and their similarities, best first."""
    items = Vocabulary.from_ids(frame["item_id"])
    found, weight = fit_content(frame, items, config, threads=1).neighbours.row(items.position(item))
    return {items[int(place)]: float(value) for place, value in zip(found, weight, strict=True)}


def likeness(texts: list[str], of_words: bool) -> Dense:
    """Cosines of TF-IDF vectors, written out: idf = log((1 + n) / (1 + df)) + 1, tf = 1 + log(count)."""
    lists = [text.split() if of_words else [text] * bool(text) for text in texts]
    terms = sorted({term for each in lists for term in each})
    counts = np.array([[each.count(term) for term in terms] for each in lists], dtype=float).reshape(len(texts), -1)
    held = (counts > 0).sum(axis=0)
    value = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * (np.log((1 + len(texts)) / (1 + held)) + 1)
    if not of_words:
        value[:, held < 2] = 0
    length = np.linalg.norm(value, axis=1, keepdims=True)
    unit = value / np.where(length > 0, length, 1)
    return unit @ unit.T


def dense_product(matrix: sparse.csr_matrix) -> Dense:
    """All inner products, the diagonal 0."""
    product = (matrix @ matrix.T).toarray().astype(float)
    np.fill_diagonal(product, 0.0)
    return product


TITLES = st.lists(st.sampled_from(["red", "blue", "green", "hat", "coat"]), max_size=4).map(" ".join)
AUTHORS = st.sampled_from(["", "ann", "bob", "eve"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TITLES, AUTHORS), min_size=2, max_size=9), st.sampled_from([0.5, 1.0, 3.0]))
def test_similarity_is_the_weighted_sum_of_the_fields_cosines(rows: list[tuple[str, str]], author: float) -> None:
    """Inner products of the matrix are Σ weight · cosine, the weights those of the fields that the catalogue has."""
    frame = catalogue(*({"item_id": f"i{n}", "title": t, "author": a} for n, (t, a) in enumerate(rows)))
    titles, authors = [title for title, _ in rows], [name for _, name in rows]
    matrix = content_matrix(frame, Vocabulary.from_ids(frame["item_id"]), ContentConfig(author=author))
    weights = {"title": 1.0 * any(titles), "author": author * any(authors)}
    total = sum(weights.values()) or 1.0
    expected = weights["title"] * likeness(titles, True) + weights["author"] * likeness(authors, False)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(dense_product(matrix), expected / total, atol=1e-5)


MATRICES = st.integers(0, 2**32 - 1).map(
    lambda seed: (sparse.random(40, 12, 0.3, "csr", np.float32, np.random.default_rng(seed)) * 0.5).tocsr()
)


@settings(deadline=None, max_examples=40)
@given(MATRICES, st.integers(1, 45), st.sampled_from([0.0, 0.1]))
def test_without_frequent_terms_the_lists_are_the_dense_best(
    matrix: sparse.csr_matrix, count: int, floor: float
) -> None:
    """Each row's weights are the largest of the dense product, best first, down to the floor."""
    model, product = nearest_rows(matrix, count, floor, most=40, threads=2), dense_product(matrix)
    # What is at the floor to the last digits may be on either side of it.
    assume(not (np.abs(product - floor) < 2e-5).any() or not floor)
    for row in range(40):
        expected = np.sort(product[row])[::-1][:count]
        expected = expected[(expected > 5e-6) & (expected >= floor)]
        np.testing.assert_allclose(model.row(row)[1], expected, atol=2e-5)


@settings(deadline=None, max_examples=40)
@given(MATRICES, st.integers(2, 12), st.integers(2, 20))
def test_weights_stay_exact_when_terms_are_frequent(matrix: sparse.csr_matrix, most: int, count: int) -> None:
    """However terms are cut into groups, every weight is the pair's whole inner product; no item is its own."""
    model, product = nearest_rows(matrix, count, 0.0, most, threads=1), dense_product(matrix)
    for row in range(40):
        found, weight = model.row(row)
        np.testing.assert_allclose(weight, product[row, found], atol=2e-5)
        assert row not in found
        assert len(set(found.tolist())) == len(found) <= count
        assert np.all(np.diff(weight) <= 0)


def test_frequent_terms_lose_little() -> None:
    """With rare and frequent terms mixed, groups of a tenth of the items keep nine tenths of the best weights."""
    rng = np.random.default_rng(3)
    rare, common = rng.integers(150, size=(600, 2)), 150 + rng.integers(4, size=(600, 3))
    column = np.concatenate([rare, common], axis=1)
    weight = np.where(column < 150, 0.6, 0.2).astype(np.float32)
    matrix = sparse.csr_matrix((weight.ravel(), (np.repeat(np.arange(600), 5), column.ravel())), shape=(600, 154))
    best = np.sort(dense_product(matrix), axis=1)[:, ::-1][:, :20].sum()
    assert nearest_rows(matrix, 20, 0.0, most=60, threads=1).weight.sum() > 0.9 * best


def test_a_term_that_all_items_have_is_no_flood() -> None:
    """20,000 items of one category: everybody has neighbours, everybody is somebody's, and nobody is everybody's."""
    matrix = sparse.csr_matrix(np.full((20_000, 1), 0.5, dtype=np.float32))
    model = nearest_rows(matrix, 10, 0.0, most=100, threads=2)
    assert np.all(np.diff(model.indptr) == 10)
    listed = np.bincount(model.neighbour, minlength=20_000)
    assert listed.min() > 0
    assert listed.max() < 40


def test_nothing_depends_on_rows_or_threads() -> None:
    """Shuffled rows and more threads give the same bytes."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "item_id": f"i{n:03}",
            "title": " ".join(rng.choice(["a1", "b2", "c3", "d4", "e5", "f6"], 3)),
            "category": str(rng.choice(["x", "y"])),
        }
        for n in range(300)
    ]
    frame, config = catalogue(*rows), ContentConfig(most_items_per_term=20, neighbours=7)
    items = Vocabulary.from_ids(frame["item_id"])
    one = fit_content(frame, items, config, threads=1).arrays()
    other = fit_content(frame.sample(fraction=1.0, shuffle=True, seed=1), items, config, threads=4).arrays()
    assert {name: array.tobytes() for name, array in one.items()} == {
        name: array.tobytes() for name, array in other.items()
    }


def test_an_item_without_text_has_no_neighbours() -> None:
    """Nothing said, nothing alike; a row of the catalogue that the vocabulary does not know is left out."""
    frame = catalogue(
        {"item_id": "a", "author": "Ann Lee"},
        {"item_id": "b", "author": "Ann  LEE"},
        {"item_id": "c"},
        {"item_id": "z"},
    )
    items = Vocabulary.from_ids(["a", "b", "c", "no row"])
    model = fit_content(frame, items, ALL, threads=1).neighbours
    assert [len(model.row(item)[0]) for item in range(4)] == [1, 1, 0, 0]
    empty = fit_content(frame.head(0), items, ALL, threads=1).neighbours
    assert empty.indptr.tolist() == [0, 0, 0, 0, 0]


def test_lists_count_as_several_labels() -> None:
    """An entry of a list, a member of an object and a number of either type meet their equals."""
    frame = catalogue(
        {"item_id": "a", "attributes": {"colour": ["red", "green"], "size": {"shoe": 42}}},
        {"item_id": "b", "attributes": {"colour": "Red"}},
        {"item_id": "c", "attributes": {"size": {"shoe": 42.0}}},
        {"item_id": "d", "attributes": {"mood": "red"}},
    )
    assert set(neighbours(frame, "a")) == {"b", "c"}
    assert neighbours(frame, "d") == {}


def test_serial_numbers_do_not_make_items_unlike() -> None:
    """A label that no other item has changes no similarity; a word that no other title has does."""
    pair = ({"item_id": "a", "attributes": {"colour": "red"}}, {"item_id": "b", "attributes": {"colour": "red"}})
    numbered = [row | {"attributes": {"colour": "red", "isbn": row["item_id"]}} for row in pair]
    assert neighbours(catalogue(*numbered), "a") == pytest.approx({"b": 1.0})
    titled = ({"item_id": "a", "title": "red"}, {"item_id": "b", "title": "red anemone"})
    assert neighbours(catalogue(*titled), "a")["b"] < 0.9


def test_long_attributes_are_read_as_words() -> None:
    """Two descriptions that are not equal but speak of the same are alike."""
    frame = catalogue(
        {"item_id": "a", "attributes": {"about": "how to keep bees in a small garden through the winter"}},
        {"item_id": "b", "attributes": {"about": "bees and their keeper, a garden, one hard winter and a spring"}},
        {"item_id": "c", "attributes": {"about": "repair of diesel engines for the farm and the road, with drawings"}},
    )
    near = neighbours(frame, "a")
    assert near["b"] > 2 * near.get("c", 0.0)


def test_words_of_scripts_without_spaces() -> None:
    """Where no space parts words, two letters that follow are a term; Latin words in between stay words."""
    assert words("Ｃat 村上春樹") == ["cat", "村上", "上春", "春樹"]
    assert words("iPhone用ケース") == ["iphone", "用ケ", "ケー", "ース"]
    assert words("naïve, Straße!") == ["naïve", "strasse"]
    assert words("本") == ["本"]
    frame = catalogue(
        {"item_id": "a", "title": "村上春樹全作品"},
        {"item_id": "b", "title": "村上春樹の世界"},
        {"item_id": "c", "title": "料理入門"},
    )
    assert set(neighbours(frame, "a")) == {"b"}


def test_names_and_paths() -> None:
    """A list of names gives each; a name turned round is one; a category is all the paths that lead to it."""
    assert names("Carl Sagan, Ann Druyan") == ["carl sagan, ann druyan", "carl sagan", "ann druyan"]
    assert names("Sagan, Carl") == ["sagan, carl"]
    assert paths("Home > Kitchen | Gifts") == ["home", "home > kitchen", "gifts"]
    assert names(" ") == paths("") == []


def test_attributes_that_are_no_object_are_refused() -> None:
    """The message names the item and what it holds."""
    frame = catalogue({"item_id": "a"}).with_columns(attributes=pl.lit("[1]"))
    with pytest.raises(InputError, match=r"item 'a' are '\[1\]'.*JSON object"):
        fit_content(frame, Vocabulary.from_ids(["a"]), ALL, threads=1)


@pytest.mark.parametrize("wrong", [{"title": -1.0}, {"author": float("nan")}, {"neighbours": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """The message names the setting."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        ContentConfig(**wrong)  # type: ignore[arg-type]


def test_a_stored_model_is_the_same() -> None:
    """What `arrays` gives, `from_arrays` takes."""
    frame = catalogue({"item_id": "a", "title": "red hat"}, {"item_id": "b", "title": "red coat"})
    model = fit_content(frame, Vocabulary.from_ids(["a", "b"]), ALL, threads=1)
    again = Content.from_arrays(model.arrays())
    assert len(again.neighbours.weight) == 2
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_answering_needs_no_scikit_learn() -> None:
    """Importing the model does not import the library that fits it."""
    code = "import sys, recsys.models.content; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def shares(model: ItemItem, of: list[int], group: np.ndarray) -> float:
    """The share of the neighbours of some items that are in the same group, of items in a group (0 or above)."""
    same = [group[model.row(item)[0]] == group[item] for item in of if group[item] >= 0]
    return float(np.concatenate(same).mean())


def test_a_book_without_history_has_neighbours_on_its_first_day(tmp_path: Path) -> None:
    """With all events of a tenth of the books hidden, content gives these books neighbours of their author, series and
    genre, far more often than chance, and shows them beside others; who bought what gives nothing."""
    shop = Shop.simulated(ShopSpec(books=800, customers=400, events=8_000, seed=9), tmp_path / "shop")
    rng = np.random.default_rng(9)
    hidden = sorted(rng.choice(800, 80, replace=False).tolist())
    ids = shop.items["item_id"].sort()
    seen = shop.events.filter(pl.col("item_id").is_not_null() & ~pl.col("item_id").is_in(ids.gather(hidden).implode()))
    table = event_table(seen)
    others = ids.filter(~ids.is_in(table.item_ids.implode()))
    past = Interactions.from_events(EventTable(table.events, table.customer_ids, pl.concat([table.item_ids, others])))
    tastes = past.tastes(EventWeights().unfading())
    by_history = fit_item_item(tastes, tastes.strength, ItemItemConfig(), threads=1)
    by_content = fit_content(shop.items, past.items, ContentConfig(neighbours=10), threads=1).neighbours
    assert all(len(by_history.row(item)[0]) == 0 for item in hidden)
    assert all(len(by_content.row(item)[0]) == 10 for item in hidden)
    listed = np.bincount(by_content.neighbour, minlength=800)[hidden]
    assert np.mean(listed > 0) > 0.9
    truth = shop.truth.books.sort("item_id")
    for name, at_least in (("genre", 0.9), ("author", 0.4), ("series", 0.2)):
        group = truth[name].to_numpy()
        sizes = np.bincount(group[group >= 0])
        by_chance = float(np.mean(sizes[group[[item for item in hidden if group[item] >= 0]]] / 800))
        found = shares(by_content, hidden, group)
        assert found > max(at_least, 5 * by_chance), (name, found, by_chance)
