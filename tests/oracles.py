"""Slow, obvious second opinions on what the project computes fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Dense = npt.NDArray[np.float64]


def directed_ridge(
    x: Dense,
    t: Dense,
    clock: Dense,
    customer_exponent: float,
    penalty: float,
    dropout: float,
    after: float,
    before: float,
) -> Dense:
    """What item i (rows) says about item j (columns): for each j the ridge over all other items, solved densely.

    (G + diag(λ + p/(1−p)·G_ii)) w = c, G_ab = Σ_u s_u x_ua x_ub, c_i = Σ_u s_u t_uj x_ui d(clock_uj − clock_ui).
    """
    n_customers, n_items = x.shape
    touched = (x > 0) | (t > 0)
    scale = np.array([max(row.sum(), 1) ** -customer_exponent for row in touched])

    def nearness(gap: float) -> float:
        if gap == 0:
            return 1.0
        return after ** (abs(gap) - 1) * (1.0 if gap > 0 else before)

    gram = (x * scale[:, None]).T @ x
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = [i for i in range(n_items) if i != j and (touched[:, i] & touched[:, j]).any()]
        cross = [
            sum(scale[u] * t[u, j] * x[u, i] * nearness(clock[u, j] - clock[u, i]) for u in range(n_customers))
            for i in others
        ]
        system = gram[np.ix_(others, others)] + np.diag(
            [penalty + dropout / (1 - dropout) * gram[i, i] for i in others]
        )
        if others:
            weights[others, j] = np.linalg.solve(system, cross)
    return weights


@dataclass(frozen=True, slots=True)
class Restricted:
    """What item i (rows) says about item j (columns), and how many pivots were raised to the floor on the way."""

    weights: Dense
    raised: int


def restricted_ridge(
    x: Dense,
    t: Dense,
    clock: Dense,
    *,
    neighbours: int,
    width: int,
    customer_exponent: float,
    penalty: float,
    dropout: float,
    after: float,
    before: float,
    floor: float,
) -> Restricted:
    """`directed_ridge` where item j is regressed on few others and the Gram matrix has few entries per row.

    Row j keeps the `width` others that share a customer with j of largest (gram + cross)_ji / |x_i|; N(j) are its first
    `neighbours`. In the system of N(j) an entry is 0 where neither of its two rows keeps it.
    """
    n_customers, n_items = x.shape
    touched = (x > 0) | (t > 0)
    scale = np.power(np.maximum(touched.sum(axis=1), 1).astype(float), -customer_exponent)
    gram, cross = np.zeros((n_items, n_items)), np.zeros((n_items, n_items))
    for j in range(n_items):
        for i in range(n_items):
            for u in range(n_customers):
                gap = clock[u, j] - clock[u, i]
                nearness = 1.0 if gap == 0 else after ** (abs(gap) - 1) * (1.0 if gap > 0 else before)
                gram[j, i] += x[u, j] * scale[u] * x[u, i]
                cross[j, i] += t[u, j] * scale[u] * x[u, i] * nearness
    diagonal = np.diag(gram)
    least = 1e-3 * np.median(diagonal[diagonal > 0]) if diagonal.any() else 1.0
    likeness = (gram + cross) * (1 / np.sqrt(np.maximum(diagonal, least)))
    kept = []
    for j in range(n_items):
        others = [i for i in range(n_items) if i != j and (touched[:, i] & touched[:, j]).any()]
        kept.append(sorted(others, key=lambda i: (-likeness[j, i], i))[:width])
    weights, raised = np.zeros((n_items, n_items)), 0
    for j in range(n_items):
        near = sorted(kept[j][:neighbours])
        system = np.array([[gram[a, b] if b in kept[a] or a in kept[b] else 0.0 for b in near] for a in near])
        for place, one in enumerate(near):
            system[place, place] = diagonal[one] + penalty + dropout / (1 - dropout) * diagonal[one]
        if near:
            weights[near, j], count = solved_with_a_floor(system, cross[j, near], floor)
            raised += count
    return Restricted(weights, raised)


def solved_with_a_floor(system: Dense, right: Dense, floor: float) -> tuple[Dense, int]:
    """The solution of system · w = right by elimination, and the number of pivots that were raised.

    A pivot is what is left of a diagonal entry when the rows above are eliminated; one that is below `floor` of the
    entry is raised to it, which adds to the entry what is missing: the solution is that of the system so completed.
    """
    left, completed, raised = system.copy(), system.copy(), 0
    for place in range(len(system)):
        least = floor * system[place, place]
        if left[place, place] < least:
            completed[place, place] += least - left[place, place]
            left[place, place] = least
            raised += 1
        for below in range(place + 1, len(system)):
            left[below] -= left[below, place] / left[place, place] * left[place]
    return np.linalg.solve(completed, right), raised


def low_pass(x: Dense, factors: int, degree_exponent: float) -> Dense:
    """The GF-CF filter D^−a V Vᵀ D^a of the degree-normalised matrix, by a full decomposition: shape (items, items)."""
    customers = np.maximum((x > 0).sum(axis=1), 1.0)
    degree = (x > 0).sum(axis=0).astype(float)
    items = np.maximum(degree, 1.0)
    v = np.linalg.svd(x / np.sqrt(customers)[:, None] / np.sqrt(items)[None, :])[2][:factors].T
    v[degree == 0] = 0.0
    return np.asarray((v @ v.T) / items[:, None] ** degree_exponent * items[None, :] ** degree_exponent)


def als_fold_in(y: Dense, strengths: Dense, regularization: float, alpha: float) -> Dense:
    """The customer factors that minimise Σ_i c_i (p_i − x·y_i)² + λ‖x‖², by the normal equations over all items."""
    confidence = 1.0 + alpha * strengths
    preference = (strengths > 0).astype(float)
    system = y.T @ np.diag(confidence) @ y + regularization * np.eye(y.shape[1])
    return np.asarray(np.linalg.solve(system, y.T @ (confidence * preference)))


def als_objective(x: Dense, y: Dense, strengths: Dense, regularization: float, alpha: float) -> float:
    """Σ c_ui (p_ui − x_u·y_i)² + λ (Σ‖x_u‖² + Σ‖y_i‖²), over every customer and item."""
    confidence = 1.0 + alpha * strengths
    preference = (strengths > 0).astype(float)
    error = confidence * (preference - x @ y.T) ** 2
    return float(error.sum() + regularization * ((x**2).sum() + (y**2).sum()))


def similarity(
    x: Dense,
    score: str,
    *,
    shrinkage: float = 0.0,
    customer_exponent: float = 0.0,
    k1: float = 1.2,
    b: float = 0.75,
    alpha: float = 0.7,
    beta: float = 0.4,
) -> Dense:
    """What item i (rows) says about item j (columns) by one of the product scores, from dense arrays."""
    n_items = x.shape[1]
    lengths = (x > 0).sum(axis=1)
    idf = np.array([max(0.0, np.log(n_items) - np.log(1 + length)) for length in lengths])
    if score == "rp3beta":
        to_customer = np.nan_to_num(x / np.maximum(x.sum(axis=0), 1e-300)) ** alpha * (x > 0)
        to_item = x / np.maximum(x.sum(axis=1), 1e-300)[:, None]
        degree = np.maximum((x > 0).sum(axis=0), 1)
        product = to_customer.T @ (to_item**alpha * (x > 0)) / degree[None, :] ** beta
    elif score == "bm25":
        mass = x.sum(axis=0)
        length_norm = 1 - b + b * mass / max(mass.mean(), 1e-300)
        weighted = x * (k1 + 1) / np.maximum(k1 * length_norm[None, :] + x, 1e-300) * idf[:, None]
        product = weighted.T @ weighted
    else:
        by_customer = np.maximum(lengths, 1.0) ** (-customer_exponent / 2)
        weighted = np.sqrt(x) * idf[:, None] if score == "tfidf" else x * by_customer[:, None]
        norm = np.linalg.norm(weighted, axis=0)
        product = weighted.T @ weighted / np.maximum(np.outer(norm, norm), 1e-300)
    common = (x > 0).T.astype(float) @ (x > 0)
    result = product * common / np.maximum(common + shrinkage, 1e-300)
    np.fill_diagonal(result, 0.0)
    return np.asarray(result)


def beyond_expected(held: Dense, prior: float, balance: float) -> Dense:
    """(N_XY − E_XY) / (E_XY + prior)^balance where above 0: X rows, Y columns; `held` has one row per unit."""
    n_units, n_items = held.shape
    share = held.sum(axis=0) / max(held.sum(), 1)
    result = np.zeros((n_items, n_items))
    for one in range(n_items):
        for other in range(n_items):
            if one == other:
                continue
            both = sum(1 for unit in range(n_units) if held[unit, one] and held[unit, other])
            chance = sum(1 - (1 - share[other]) ** (held[unit].sum() - 1) for unit in range(n_units) if held[unit, one])
            result[one, other] = max(0.0, both - chance) / (chance + prior) ** balance if both else 0.0
    return result


def steps_beyond(
    moments: Sequence[dict[int, tuple[int, float]]],
    items: int,
    newest: float,
    *,
    reach: int,
    step_decay: float,
    gap_half_life: float | None,
    half_life: float | None,
    least: int,
    prior: float,
    balance: float,
) -> Dense:
    """(F − R) / (R + prior)^balance where above 0, R the larger of the steps back and the independent ones.

    `moments`: per customer, the clock and the day of each of their items.
    """
    forward, customers = np.zeros((items, items)), np.zeros((items, items))
    for own in moments:
        for early, (clock, day) in own.items():
            for late, (later_clock, later_day) in own.items():
                if 0 < later_clock - clock <= reach:
                    weight = step_decay ** (later_clock - clock - 1)
                    weight *= 1.0 if gap_half_life is None else 0.5 ** ((later_day - day) / gap_half_life)
                    weight *= 1.0 if half_life is None else 0.5 ** ((newest - later_day) / half_life)
                    forward[early, late] += weight
                    customers[early, late] += 1
    if not forward.any():
        return forward
    independent = np.outer(forward.sum(axis=1), forward.sum(axis=0)) / forward.sum()
    reference = np.maximum(forward.T, independent)
    return np.where(customers >= least, np.maximum(forward - reference, 0) / (reference + prior) ** balance, 0.0)


def blended_gain(
    said: Sequence[Sequence[float]],
    weights: Sequence[float],
    popular: Sequence[float],
    popular_weight: float,
    wanted: Sequence[bool],
    there: Sequence[bool],
    discount: Sequence[float],
) -> float:
    """The discounted gain of one customer's list: said has one row per source, everything else one entry per candidate.

    Listed are candidates that are there and for which the sources, without popularity, speak; ties: the first one.
    """
    single = np.float32
    personal = [single(0) for _ in popular]
    for weight, row in zip(weights, said, strict=True):
        personal = [total + single(weight) * single(value) for total, value in zip(personal, row, strict=True)]
    listed = [place for place in range(len(popular)) if there[place] and personal[place] > 0]
    score = {place: personal[place] + single(popular_weight) * single(popular[place]) for place in listed}
    order = sorted(listed, key=lambda place: (-score[place], place))
    return float(sum(gain for place, gain in zip(order, discount, strict=False) if wanted[place]))


def ndcg(scores: Sequence[float], masked: set[int], wanted: set[int], size: int, k: int) -> float:
    """Of the first k places when items are put in order by score: above 0 only, ties by the smaller place."""
    listed = sorted((place for place, score in enumerate(scores) if score > 0 and place not in masked))
    order = sorted(listed, key=lambda place: -scores[place])[:k]
    gains = [1 / np.log2(rank + 2) for rank, place in enumerate(order) if place in wanted]
    return float(sum(gains) / sum(1 / np.log2(rank + 2) for rank in range(min(k, size))))


def best(scores: Dense, count: int, tie_break: npt.NDArray[np.int64]) -> list[int]:
    """The places of the largest scores by a full sort; ties: the larger `tie_break`, the smaller place; never -inf."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], -tie_break[place], place))
    return [place for place in order if scores[place] > -np.inf][:count]
