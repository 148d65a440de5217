"""How alike two items are by who had both: the scores that practitioners know, each one sparse product per item.

With x_ui the strength of customer u's taste for item i, n_u the number of a customer's items, n_i the number of an
item's customers and n_ij of those who had both, the weight of item j in the row of item i is, times n_ij / (n_ij +
shrinkage) for all but the last:

cosine    Σ_u s_u x_ui x_uj / (|x_i| |x_j|),  s_u = n_u^−γ,  |x_i|² = Σ_u s_u x_ui²  (Sarwar et al. 2001)
tfidf     the cosine of √x_ui · idf_u,  idf_u = max(0, log items − log(1 + n_u))  (Salton and Buckley 1988)
bm25      Σ_u b_ui b_uj,  b_ui = x_ui (K1 + 1) / (x_ui + K1 · l_i) · idf_u,  l_i = 1 − B + B · Σ_u x_ui / (its mean over
          all items)  (Robertson and Zaragoza 2009; items are the documents, customers the terms)
rp3beta   Σ_u (x_ui / Σ_v x_vi)^α (x_uj / Σ_k x_uk)^α / n_j^β  (Christoffel et al. 2015)
expected  (N_XY − E_XY) / (E_XY + prior)^balance, where above 0  (Smith and Linden 2017)

tfidf and bm25 are those of `implicit`, but for customers of nearly every item, whose idf would be negative.

The last takes the number of customers of X who had Y, N_XY = n_ij, beyond what would be expected of them if the two had
nothing to do with each other. Every one of the |c| other items of a customer c of X is Y by chance with probability
P_Y = n_Y / Σ_k n_k, so

    E_XY = Σ_{c has X} [1 − (1 − P_Y)^|c|].

Heavy buyers have a large |c|, so that of them much is expected and a pair that only they have in common is none. The
paper expands the power into binomial terms; here the customers of X are counted by |c|, which is exact. The plain
difference N − E favours popular items, the ratio to E rare ones, the difference over √E balances them; `prior` keeps
an E near 0 from making a chance pair look certain.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recsys.data.interactions import Tastes
from recsys.errors import InputError
from recsys.models.blocks import by_blocks
from recsys.models.item_item import MOST_KEPT, ItemItem
from recsys.models.pairs import newest_pairs

Floats = npt.NDArray[np.float64]
Rows = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int32]]

_ALMOST_CERTAIN = 1 - 1e-12


class SimilarityScore(StrEnum):
    """What likeness is counted by; the equations stand above."""

    COSINE = "cosine"
    TFIDF = "tfidf"
    BM25 = "bm25"
    RP3BETA = "rp3beta"
    EXPECTED = "expected"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityConfig:
    """How likeness is counted.

    Attributes
    ----------
    score : which of the scores; settings of the others are not looked at.
    kept : each item has at most so many neighbours, those of largest weight; up to 200.
    history_cap : of a longer history only this many items, the newest, are counted; bounds the number of pairs.
    minimum_customers : pairs with fewer common customers are no neighbours.
    shrinkage : so many common customers make a pair count half; 0 is no shrinkage. Not for `expected`.
    customer_exponent : γ of `cosine`: a customer of n items counts n^−γ; 0 is the plain cosine.
    k1, b : K1 and B of `bm25`: how soon strength saturates, and how far popular items are marked down.
    alpha, beta : α and β of `rp3beta`: below 1 evens out the chances of a walk; above 0 marks down popular items.
    prior : of `expected`: so many customers are expected of every pair beside E.
    balance : of `expected`: 0 favours popular pairs, 1 rare ones.
    """

    score: SimilarityScore = SimilarityScore.COSINE
    kept: int = 100
    history_cap: int = 500
    minimum_customers: int = 1
    shrinkage: float = 5.0
    customer_exponent: float = 0.5
    k1: float = 1.2
    b: float = 0.75
    alpha: float = 0.7
    beta: float = 0.4
    prior: float = 1.0
    balance: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "score":
                continue
            least = 1 if field.type == "int" else 0
            if not (np.isfinite(value) and value >= least):
                raise InputError(f"{field.name} of the similarity is {value}", expected=f"{least} or more")
        if self.kept > MOST_KEPT:
            raise InputError(f"kept of the similarity is {self.kept}", expected=f"at most {MOST_KEPT}")
        if self.b > 1:
            raise InputError(f"b of the similarity is {self.b}", expected="0 to 1")


def fit_similarity(tastes: Tastes, config: SimilarityConfig, threads: int) -> ItemItem:
    """The neighbours of every item by one of the scores: row X speaks about its neighbours, largest weight first.

    Ties go to the smaller position. Weights are above 0; an item without a common customer has no neighbour.

    Parameters
    ----------
    tastes : what all customers think of what, before fading; pairs of strength 0 do not count.
    threads : 1 or more; does not change the result.
    """
    x, _, _ = newest_pairs(_with_taste(tastes), tastes.strength[tastes.strength > 0], config.history_cap)
    if config.score is SimilarityScore.EXPECTED:
        return fit_expected(x, np.arange(x.shape[0], dtype=np.int32), config, threads)
    left, right = _factors(x, config)
    return _products(x, left, right, config, threads)


def _with_taste(tastes: Tastes) -> Tastes:
    """Without the pairs of strength 0."""
    some = tastes.strength > 0
    if some.all():
        return tastes
    before = np.concatenate([[0], np.cumsum(some)])
    return Tastes(before[tastes.indptr], tastes.item[some], tastes.strength[some], tastes.clock[some], tastes.items)


def _factors(x: sparse.csr_matrix, config: SimilarityConfig) -> tuple[Floats, Floats]:
    """left and right of `product_rows`, one value per stored pair: a score is Σ_u left_ui · right_uj."""
    n_items = x.shape[1]
    value = x.data.astype(np.float64)
    count = np.diff(x.indptr)
    customer = np.repeat(np.arange(x.shape[0]), count)
    if config.score is SimilarityScore.RP3BETA:
        customers = np.maximum(np.bincount(x.indices, minlength=n_items), 1).astype(np.float64)
        left = np.power(value / _sum(x.indices, value, n_items)[x.indices], config.alpha)
        right = np.power(value / _sum(customer, value, x.shape[0])[customer], config.alpha)
        return left, right * np.power(customers, -config.beta)[x.indices]
    # Whoever has nearly everything says nothing: below 0, two negative weights would make a pair.
    idf = np.maximum(np.log(max(n_items, 1)) - np.log1p(count), 0.0)
    if config.score is SimilarityScore.BM25:
        mass = _sum(x.indices, value, n_items)
        length = 1.0 - config.b + config.b * mass / max(float(mass.sum()) / max(n_items, 1), np.finfo(np.float64).tiny)
        weight = value * (config.k1 + 1.0) / (config.k1 * length[x.indices] + value) * idf[customer]
        return weight, weight
    if config.score is SimilarityScore.TFIDF:
        weight = np.sqrt(value) * idf[customer]
    else:
        weight = value * np.power(np.maximum(count, 1.0), -0.5 * config.customer_exponent)[customer]
    norm = np.sqrt(_sum(x.indices, weight * weight, n_items))
    weight *= np.divide(1.0, norm, out=np.zeros(n_items), where=norm > 0)[x.indices]
    return weight, weight


def _sum(place: npt.NDArray[np.integer], value: Floats, size: int) -> Floats:
    return np.bincount(place, weights=value, minlength=size).astype(np.float64)


def _products(
    x: sparse.csr_matrix,
    left: Floats,
    right: Floats,
    config: SimilarityConfig,
    threads: int,
) -> ItemItem:
    from recsys.models.similarity_kernels import product_rows

    turned = sparse.csr_matrix((left.astype(np.float32), x.indices, x.indptr), shape=x.shape).T.tocsr()
    by_item = (turned.indptr.astype(np.int64), turned.indices.astype(np.int32), turned.data)
    by_customer = (x.indptr.astype(np.int64), x.indices.astype(np.int32), right.astype(np.float32))
    shrinkage, least, kept = float(config.shrinkage), config.minimum_customers, config.kept

    def block(first: int, last: int) -> Rows:
        rows: Rows = product_rows(first, last, *by_item, *by_customer, shrinkage, least, kept)
        return rows

    return as_rows(by_blocks(block, x.shape[1], threads), x.shape[1])


def fit_expected(
    units: sparse.csr_matrix, customer: npt.NDArray[np.int32], config: SimilarityConfig, threads: int
) -> ItemItem:
    """The score `expected` over histories or baskets.

    Parameters
    ----------
    units : shape (units, items); stored where a unit holds an item. Each is one c of the equation.
    customer : int32, shape (units,), ascending; whose each unit is. `minimum_customers` counts these: somebody's weekly
        basket does not make a pair for all.
    threads : 1 or more; does not change the result.
    """
    from recsys.models.similarity_kernels import expected_rows

    turned = sparse.csr_matrix(
        (np.ones(len(units.indices), dtype=np.int8), units.indices, units.indptr), shape=units.shape
    ).T.tocsr()
    degree_class, chance = _chances(units)
    pairs = (
        turned.indptr.astype(np.int64),
        turned.indices.astype(np.int32),
        units.indptr.astype(np.int64),
        units.indices.astype(np.int32),
        customer,
    )
    excess = (float(config.prior), float(config.balance))
    least, kept = config.minimum_customers, config.kept

    def block(first: int, last: int) -> Rows:
        rows: Rows = expected_rows(first, last, *pairs, degree_class, chance, *excess, least, kept)
        return rows

    return as_rows(by_blocks(block, units.shape[1], threads), units.shape[1])


def _chances(units: sparse.csr_matrix) -> tuple[npt.NDArray[np.int32], Floats]:
    """1 − (1 − P_Y)^n for every n that there is, shape (classes, n): items with as many units are one class."""
    degree = np.bincount(units.indices, minlength=units.shape[1])
    degrees, degree_class = np.unique(degree, return_inverse=True)
    share = np.minimum(degrees / max(int(degree.sum()), 1), _ALMOST_CERTAIN)
    others = np.arange(max(int(np.diff(units.indptr).max(initial=0)), 1))
    return degree_class.astype(np.int32), -np.expm1(np.log1p(-share)[:, None] * others[None, :])


def as_rows(blocks: list[Rows], items: int) -> ItemItem:
    """The lists of all blocks as one value."""
    indptr = np.zeros(items + 1, dtype=np.int64)
    if not blocks:
        return ItemItem(indptr, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
    column, value, length = (np.concatenate(each) for each in zip(*blocks, strict=True))
    np.cumsum(length, out=indptr[1:])
    return ItemItem(indptr, column, value)
