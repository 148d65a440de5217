"""How good settings are: the lists of validation customers, judged as written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsys.data.signals import EventWeights
from recsys.data.vocabulary import UNKNOWN
from tests.oracles import ndcg
from tests.training.tuning.tuned_worlds import BUY, held_out, shelves
from tests.worlds import event_frame
from training.evaluation.held_out import HeldOut, Repeats
from training.tuning import judging
from training.tuning.judging import MANY, Gain, Jury, K, gain, objective_of

FRAME = shelves(50)
PART = held_out(FRAME)


def with_strangers(repeats: Repeats = Repeats.EXCLUDE) -> HeldOut:
    """As `PART`, where all events of some customers are those held out: training does not know them."""
    part = held_out(FRAME, repeats)
    row = part.row.copy()
    row[::4] = UNKNOWN
    return HeldOut(**{name: getattr(part, name) for name in part.__slots__} | {"row": row})


def neighbours(items: int, seed: int = 0) -> sparse.csr_matrix:
    """Weights in quarters, so that there are ties; some speak against an item."""
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.choice([0.0, 0.0, -0.25, 0.25, 0.5], (items, items)))


@pytest.mark.parametrize("repeats", [Repeats.EXCLUDE, Repeats.ALLOW])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_objective_is_ndcg_of_the_lists(repeats: Repeats, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ties, masks, customers unknown to training and blocks of few customers: what the definition gives."""
    monkeypatch.setattr(judging, "_CELLS", 5 * len(PART.training.items))
    jury = Jury.drawn(with_strangers(repeats), 30, 1)
    history = jury.held_out.training
    strengths = jury.of(history.strengths(EventWeights().unfading())).astype(np.float64)
    strengths.data = np.ceil(strengths.data * 2) / 2
    near = neighbours(len(history.items))
    scores, masked = (strengths @ near).toarray(), jury.masked.toarray()
    relevant = jury.relevant
    expected = [
        ndcg(
            scores[row].tolist(),
            set(np.flatnonzero(masked[row]).tolist()),
            set(relevant.item[relevant.indptr[row] : relevant.indptr[row + 1]].tolist()),
            int(relevant.size[row]),
            K,
        )
        for row in range(len(jury.rows))
    ]
    assert len(set(expected)) > 5
    np.testing.assert_allclose(jury.of_lists(strengths, near, threads), expected, rtol=1e-12)


def test_whoever_training_does_not_know_has_an_empty_history() -> None:
    """Their rows hold nothing, not the first customer's tastes; the others' are their own; their objective is 0."""
    jury = Jury.drawn(with_strangers(), 1000, 0)
    strengths = jury.held_out.training.strengths(EventWeights())
    own = jury.of(strengths)
    place = jury.held_out.row[jury.rows]
    strangers = np.flatnonzero(place == UNKNOWN)
    assert len(strangers) > 3
    assert np.diff(own.indptr)[strangers].tolist() == [0] * len(strangers)
    for row in np.flatnonzero(place != UNKNOWN):
        np.testing.assert_array_equal(own[[row]].toarray(), strengths[[place[row]]].toarray())
    each = jury.of_lists(own.astype(np.float64), neighbours(strengths.shape[1]), 1)
    assert not each[strangers].any()
    assert each.any()


def test_what_is_masked_is_in_no_list() -> None:
    """A neighbour that the customer has already takes no place: masking it is as if it had no score."""
    jury = Jury.drawn(PART, 1000, 0)
    history = PART.training
    ones = sparse.csr_matrix(np.ones((len(history.items), len(history.items))))
    strengths = jury.of(history.strengths(EventWeights())).astype(np.float64)
    assert jury.masked.nnz
    each = jury.of_lists(strengths, ones, 1)
    rows = np.argsort(jury.masked.toarray(), axis=1, kind="stable").astype(np.int32)
    rows[np.take_along_axis(jury.masked.toarray(), rows, axis=1)] = -1
    np.testing.assert_allclose(each, objective_of(rows, jury.relevant))


def test_a_jury_is_drawn_by_its_seed() -> None:
    """So many customers and no more, each once, ascending; what they want is what they wanted; another seed, others."""
    small, again, other = Jury.drawn(PART, 9, 3), Jury.drawn(PART, 9, 3), Jury.drawn(PART, 9, 4)
    assert small.rows.tolist() == again.rows.tolist() == sorted(set(small.rows.tolist()))
    assert (len(small.rows), small.rows.tolist() == other.rows.tolist()) == (9, False)
    assert Jury.drawn(PART, 10**6, 3).rows.tolist() == list(range(len(PART.relevant)))
    whole = PART.relevant
    for place, row in enumerate(small.rows):
        mine = small.relevant.item[small.relevant.indptr[place] : small.relevant.indptr[place + 1]]
        np.testing.assert_array_equal(mine, whole.item[whole.indptr[row] : whole.indptr[row + 1]])
        assert small.relevant.size[place] == whole.size[row]


def test_a_cut_jury_sees_the_newest_of_each_history() -> None:
    """Histories are cut so that lengths are as among all customers; what stays is the newest."""
    rows = [(f"long{user:02}", f"i{item:02}", BUY, item) for user in range(20) for item in range(user % 3, 18)]
    rows += [(f"short{user:02}", f"i{user % 9:02}", BUY, user) for user in range(60)]
    part = held_out(event_frame(rows))
    jury = Jury.drawn(part, 1000, 0, EventWeights())
    strengths = part.training.strengths(EventWeights().unfading())
    cut, whole = jury.of(strengths), Jury.drawn(part, 1000, 0).of(strengths)
    assert cut.nnz < whole.nnz / 2
    lengths = np.diff(cut.indptr)
    assert lengths.min() >= 1
    everyone = np.diff(strengths.indptr)
    assert abs(np.median(lengths) - np.median(everyone)) <= 1
    tastes = part.training.tastes(EventWeights().unfading())
    for row, customer in enumerate(part.row[jury.rows]):
        kept = set(cut[[row]].indices.tolist())
        own = slice(tastes.indptr[customer], tastes.indptr[customer + 1])
        clock = dict(zip(tastes.item[own].tolist(), tastes.clock[own].tolist(), strict=True))
        left = [clock[item] for item in clock if item not in kept]
        assert not left or max(left) <= min(clock[item] for item in kept)


@pytest.mark.parametrize(
    ("each", "over", "mean", "error"),
    [
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], 1.0, 1 / np.sqrt(3)),
        ([0.5, 0.5], [0.0, 0.0], 0.5, 0.0),
        ([0.9], [0.1], 0.8, np.inf),
    ],
)
def test_a_gain_is_paired_by_customer(each: list[float], over: list[float], mean: float, error: float) -> None:
    """The mean of the differences, and their standard deviation over the root of their number."""
    found = gain(np.array(each), np.array(over))
    assert (found.mean, found.error) == (pytest.approx(mean), pytest.approx(error))


@pytest.mark.parametrize(("customers", "errors"), [(MANY, 2.0), (MANY // 4, 3.0), (MANY * 4, 1.5)])
def test_fewer_customers_have_to_show_more(customers: int, errors: float) -> None:
    """What is clear takes the more standard errors the fewer customers there are; no difference is never clear."""
    assert Gain(errors * 0.1 + 1e-9, 0.1, customers).clear
    assert not Gain(errors * 0.1, 0.1, customers).clear
    assert not Gain(0.0, 0.0, customers).clear
