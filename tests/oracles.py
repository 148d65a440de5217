"""Slow, obvious second opinions on what the project computes fast."""

from __future__ import annotations

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
