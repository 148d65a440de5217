"""An evaluation as the dict that `metrics.json` holds, and as a table of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from training.evaluation.evaluating import Evaluation


def as_json(
    evaluation: Evaluation, asked: Mapping[str, Any], read_seconds: float, peak_bytes: int, notes: tuple[str, ...]
) -> dict[str, Any]:
    """The content of `metrics.json`.

    Parameters
    ----------
    asked : what the evaluation was told: protocol, files, rules, k.
    read_seconds : of reading the files; peak_bytes : over all processes; notes : of the reading.
    """
    manifest = evaluation.manifest.to_json()
    trained = {name: manifest[name] for name in ("data", "event_weights", "blend", "tuning", "models")}
    return {
        "models": {name: None if each is None else each.means() for name, each in evaluation.models.items()},
        "causes": dict(evaluation.causes),
        "differences": {
            name: {metric: {"mean": each.mean, "low": each.low, "high": each.high} for metric, each in metrics.items()}
            for name, metrics in evaluation.differences.items()
        },
        "seconds": {"read": read_seconds, **evaluation.seconds},
        "peak_rss_bytes": peak_bytes,
        "customers": len(evaluation.customer_ids),
        "unknown_customers": int((~evaluation.known).sum()),
        "test_pairs": int(evaluation.test_items.sum()),
        "items": evaluation.items,
        "validation": dict(evaluation.validation),
        "config": dict(asked) | {"training": trained},
        "seed": evaluation.manifest.seed,
        "notes": [*notes, *evaluation.notes],
    }


def customer_metrics(evaluation: Evaluation) -> pl.DataFrame:
    """One row per model and customer: `model`, `customer_id`, `known` (to training), `test_items` and every metric."""
    frames = [
        pl.DataFrame(
            [
                pl.repeat(name, len(evaluation.customer_ids), dtype=pl.String, eager=True).alias("model"),
                evaluation.customer_ids.alias("customer_id"),
                evaluation.known,
                evaluation.test_items,
                *(pl.Series(metric, values) for metric, values in each.each.items()),
            ]
        )
        for name, each in evaluation.models.items()
        if each is not None
    ]
    return pl.concat(frames)
