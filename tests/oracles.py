"""Slow, obvious second opinions on what the project computes fast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Dense = npt.NDArray[np.float64]


def co_occurrence(x: Dense, customer_exponent: float, item_exponent: float) -> Dense:
    """w_ij = Σ_u x_ui x_uj / n_u^γ / (d_i d_j)^β with d_i = Σ_u x_ui² / n_u^γ; the diagonal is 0."""
    n_items = x.shape[1]
    degree = np.array([max(np.count_nonzero(row), 1) for row in x]) ** customer_exponent
    d = np.array([sum(x[u, i] ** 2 / degree[u] for u in range(len(x))) for i in range(n_items)])
    weight = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            shared = sum(x[u, i] * x[u, j] / degree[u] for u in range(len(x)))
            if i != j and shared > 0:
                weight[i, j] = shared / (d[i] * d[j]) ** item_exponent
    return weight


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
