"""Similarity scores agree with their equations written out densely, and with `implicit` where it has the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recsys.data.interactions import Tastes
from recsys.errors import InputError
from recsys.models.item_item import ItemItem
from recsys.models.similarity import SimilarityConfig, SimilarityScore, fit_expected, fit_similarity
from tests.oracles import Dense, beyond_expected, similarity

PRODUCTS = [score for score in SimilarityScore if score is not SimilarityScore.EXPECTED]
SHAPES = st.shared(st.tuples(st.integers(1, 10), st.integers(1, 9)), key="shape")
STRENGTHS = arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0]))


def tastes_of(x: Dense, clock: Dense | None = None) -> Tastes:
    """Every pair of customers and items as tastes, those of strength 0 too."""
    n_customers, n_items = x.shape
    return Tastes(
        indptr=np.arange(n_customers + 1, dtype=np.int64) * n_items,
        item=np.tile(np.arange(n_items, dtype=np.int32), n_customers),
        strength=x.ravel().astype(np.float32),
        clock=np.zeros(x.size, dtype=np.int32) if clock is None else clock.ravel().astype(np.int32),
        items=n_items,
    )


def fitted(x: Dense, config: SimilarityConfig, threads: int = 1) -> ItemItem:
    """The model of dense strengths."""
    return fit_similarity(tastes_of(x), config, threads)


def dense(x: Dense, config: SimilarityConfig, threads: int = 1) -> Dense:
    """The weights as a dense array."""
    return np.asarray(fitted(x, config, threads).matrix().toarray(), dtype=np.float64)


@pytest.mark.parametrize("score", PRODUCTS)
@given(x=STRENGTHS, shrinkage=st.sampled_from([0.0, 2.5]), exponent=st.sampled_from([0.0, 0.5]))
def test_weights_are_those_of_the_equations(
    score: SimilarityScore, x: Dense, shrinkage: float, exponent: float
) -> None:
    """With room for all neighbours, every row is that of the dense product."""
    config = SimilarityConfig(score=score, shrinkage=shrinkage, customer_exponent=exponent)
    wanted = similarity(x, score, shrinkage=shrinkage, customer_exponent=exponent)
    np.testing.assert_allclose(dense(x, config), wanted, rtol=1e-5, atol=1e-7)


@given(x=STRENGTHS, prior=st.sampled_from([0.5, 2.0]), balance=st.sampled_from([0.0, 0.5, 1.0]))
def test_observed_minus_expected_is_exact(x: Dense, prior: float, balance: float) -> None:
    """E is the paper's sum over the customers of X, whatever the lengths of their histories."""
    config = SimilarityConfig(score=SimilarityScore.EXPECTED, prior=prior, balance=balance)
    np.testing.assert_allclose(
        dense(x, config), beyond_expected((x > 0).astype(float), prior, balance), rtol=1e-5, atol=1e-6
    )


def test_long_histories_do_not_lose_digits() -> None:
    """With popular items and long histories, where binomial terms would cancel, E is exact still."""
    rng = np.random.default_rng(3)
    x = (rng.random((40, 150)) < rng.random(150) ** 2).astype(float)
    config = SimilarityConfig(score=SimilarityScore.EXPECTED)
    wanted = beyond_expected(x, 1.0, 0.5)
    found = dense(x, replace(config, kept=200))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def heavy_and_real() -> Dense:
    """Items 0 and 1 have 20 common customers, all of whom own half of the shop of 400; items 2 and 3 have 20 common
    customers who own little else; 600 further customers own three items each."""
    rng = np.random.default_rng(0)
    x = np.zeros((640, 400))
    for customer in range(640):
        if customer < 20:
            x[customer, rng.choice(np.arange(4, 400), 250, replace=False)] = 1
            x[customer, [0, 1]] = 1
        elif customer < 40:
            x[customer, [2, 3, rng.integers(4, 400)]] = 1
        else:
            x[customer, rng.choice(np.arange(4, 400), 3, replace=False)] = 1
    return x


def test_a_pair_that_only_heavy_buyers_have_does_not_win() -> None:
    """Both pairs are as common and no cosine tells them apart; observed minus expected puts the real one far ahead."""
    x = heavy_and_real()
    cosine, expected = (
        dense(x, SimilarityConfig(score=score, kept=200, customer_exponent=0.0))
        for score in (SimilarityScore.COSINE, SimilarityScore.EXPECTED)
    )
    assert cosine[0, 1] == pytest.approx(cosine[2, 3])
    assert expected[2, 3] > 3 * expected[0, 1]


def test_somebodys_weekly_basket_is_one_customer() -> None:
    """A pair in twenty baskets of one customer falls to a minimum of two customers; one in two customers' stays."""
    held = np.zeros((23, 6))
    held[:20, [0, 1]] = 1
    held[20:22, [2, 3]] = 1
    held[22, [4, 5]] = 1
    customer = np.array([0] * 20 + [1, 2, 3], dtype=np.int32)
    config = SimilarityConfig(score=SimilarityScore.EXPECTED, minimum_customers=2)
    found = fit_expected(sparse.csr_matrix(held), customer, config, 1).matrix().toarray()
    assert found[0, 1] == found[4, 5] == 0
    assert found[2, 3] > 0


@pytest.mark.parametrize("score", list(SimilarityScore))
@given(x=STRENGTHS, kept=st.integers(1, 3))
def test_the_largest_are_kept_best_first(score: SimilarityScore, x: Dense, kept: int) -> None:
    """A short list is the beginning of the long one: largest first, ties to the smaller position, never the item."""
    whole, short = (fitted(x, SimilarityConfig(score=score, kept=most)) for most in (100, kept))
    for item in range(x.shape[1]):
        neighbour, weight = whole.row(item)
        assert item not in neighbour
        assert (weight > 0).all()
        assert np.lexsort((neighbour, -weight)).tolist() == list(range(len(weight)))
        assert [each.tolist() for each in short.row(item)] == [neighbour[:kept].tolist(), weight[:kept].tolist()]


@pytest.mark.parametrize("score", list(SimilarityScore))
def test_threads_do_not_change_a_bit(score: SimilarityScore) -> None:
    """One thread and three give the same bytes over more items than one block has."""
    x = (np.random.default_rng(5).random((300, 1300)) < 0.02).astype(float)
    one, three = (fitted(x, SimilarityConfig(score=score, kept=20), threads) for threads in (1, 3))
    for name, array in one.arrays().items():
        assert array.tobytes() == three.arrays()[name].tobytes(), name


@pytest.mark.parametrize("score", list(SimilarityScore))
@given(x=STRENGTHS, seed=st.integers(0, 1000))
def test_order_of_customers_and_items_does_not_matter(score: SimilarityScore, x: Dense, seed: int) -> None:
    """Customers in another order give the same weights, items in another order the same weights in that order."""
    rng = np.random.default_rng(seed)
    customers, items = rng.permutation(x.shape[0]), rng.permutation(x.shape[1])
    config = SimilarityConfig(score=score)
    found = dense(x[customers][:, items], config)
    np.testing.assert_allclose(found, dense(x, config)[np.ix_(items, items)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", [SimilarityScore.COSINE, SimilarityScore.TFIDF, SimilarityScore.BM25])
@given(x=STRENGTHS)
def test_likeness_is_mutual(score: SimilarityScore, x: Dense) -> None:
    """Cosine, TF-IDF and BM25 are symmetric; the cosines are at most 1."""
    found = dense(x, SimilarityConfig(score=score))
    np.testing.assert_allclose(found, found.T, rtol=1e-6)
    if score is not SimilarityScore.BM25:
        assert found.max(initial=0) <= 1 + 1e-6


@pytest.mark.filterwarnings("ignore:Method expects CSR input")
@pytest.mark.parametrize("score", [SimilarityScore.COSINE, SimilarityScore.TFIDF, SimilarityScore.BM25])
def test_weights_are_those_of_implicit(score: SimilarityScore) -> None:
    """On strengths of all sizes, with nobody who has nearly everything, nothing shrunk and every customer counting the
    same, the weights are `implicit`'s."""
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    rng = np.random.default_rng(2)
    x = (rng.random((200, 60)) < 0.1) * rng.choice([0.25, 0.5, 1.0], (200, 60))
    peer = {
        SimilarityScore.COSINE: lambda: CosineRecommender(K=60),
        SimilarityScore.TFIDF: lambda: TFIDFRecommender(K=60),
        SimilarityScore.BM25: lambda: BM25Recommender(K=60, K1=1.2, B=0.75),
    }[score]()
    peer.fit(sparse.csr_matrix(x), show_progress=False)
    wanted = peer.similarity.toarray()
    np.fill_diagonal(wanted, 0.0)
    plain = SimilarityConfig(score=score, shrinkage=0.0, customer_exponent=0.0)
    np.testing.assert_allclose(dense(x, plain), wanted, rtol=1e-5, atol=1e-7)


def test_few_common_customers_are_shrunk() -> None:
    """Five common customers make a pair count half of what it would, with a shrinkage of five."""
    x = np.zeros((9, 4))
    x[:5, [0, 1]] = 1
    x[5:, [2, 3]] = 1
    plain, shrunk = (dense(x, SimilarityConfig(shrinkage=value)) for value in (0.0, 5.0))
    assert plain[0, 1] == pytest.approx(1)
    assert shrunk[0, 1] == pytest.approx(1 / 2)
    assert shrunk[2, 3] == pytest.approx(4 / 9)


def test_a_minimum_of_common_customers() -> None:
    """A pair of two common customers falls to a minimum of three, one of three stays."""
    x = np.zeros((5, 4))
    x[:2, [0, 1]] = 1
    x[2:, [2, 3]] = 1
    for score in SimilarityScore:
        found = dense(x, SimilarityConfig(score=score, minimum_customers=3))
        assert found[0, 1] == 0, score
        assert found[2, 3] > 0, score


@pytest.mark.parametrize("score", list(SimilarityScore))
def test_only_the_newest_of_a_long_history_count(score: SimilarityScore) -> None:
    """With a cap of two, the oldest of three tastes makes no pair."""
    x = np.zeros((5, 8))
    x[:, :3] = 1
    clock = np.tile(np.arange(8.0), (5, 1))
    model = fit_similarity(tastes_of(x, clock), SimilarityConfig(score=score, history_cap=2), 1)
    found = model.matrix().toarray()
    assert found[1, 2] > 0
    assert found[0].sum() == found[:, 0].sum() == 0


def test_nothing_gives_empty_lists() -> None:
    """A shop without tastes, without customers or without items has empty rows, not an error."""
    for shape in ((3, 4), (0, 4), (3, 0)):
        for score in SimilarityScore:
            assert fitted(np.zeros(shape), SimilarityConfig(score=score)).indptr.tolist() == [0] * (shape[1] + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kept": 201},
        {"kept": 0},
        {"b": 1.5},
        {"shrinkage": -1.0},
        {"prior": float("nan")},
        {"minimum_customers": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    """The message names the setting."""
    with pytest.raises(InputError, match=next(iter(wrong))):
        SimilarityConfig(**wrong)  # type: ignore[arg-type]
