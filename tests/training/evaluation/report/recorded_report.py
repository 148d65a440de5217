"""A report as `bookmatch evaluate` records it, small and made up: every part, of a shop that means no good."""

from __future__ import annotations

from typing import Any

import numpy as np

MODELS = ("blend", "production", "item_item", "als", "bm25", "popular", "popular_7d", "personal_top")
STRENGTH = (0.104, 0.098, 0.1035, 0.0795, 0.083, 0.0377, 0.0674, 0.0377)
KS = (5, 10, 20)
EVIL = '<script>alert("1")</script>'
ODD = f"$x$ {EVIL} | @everyone `b` \u0007 日本語 " + "long " * 60


def estimate(mean: float, half: float, verdict: str | None = None) -> dict[str, Any]:
    """A mean with an interval; with a verdict, a difference."""
    found: dict[str, Any] = {"mean": mean, "low": mean - half, "high": mean + half}
    if verdict is not None:
        p = 0.0004 if verdict != "no clear difference" else 0.4
        found |= {"p": p / 2, "p_holm": p, "verdict": verdict}
    return found


def verdict_of(mean: float, half: float) -> str:
    """What a difference says."""
    return "no clear difference" if abs(mean) < half else "better" if mean > 0 else "worse"


def numbers(strength: float) -> dict[str, float | None]:
    """Every metric at every k of a model of this recall at 20."""
    found: dict[str, float | None] = {}
    for k in KS:
        recall = strength * (k / 20) ** 0.6
        found |= {
            f"recall@{k}": recall,
            f"ndcg@{k}": recall * 1.1,
            f"hit_rate@{k}": min(1.0, recall * 4),
            f"coverage@{k}": recall * 5,
            f"novelty@{k}": 4 + 20 * recall,
            f"revenue@{k}": 1234.5 * recall,
            f"serendipity@{k}": None,
        }
    return found


def track(repeats: str, rng: np.random.Generator, scale: float) -> dict[str, Any]:
    """One track; every model of it, with slices and curves."""
    models = {name: numbers(each * scale) for name, each in zip(MODELS, STRENGTH, strict=True)}

    def differences(half: float, shift: float = 0.0) -> dict[str, Any]:
        return {
            name: {
                metric: estimate(own, half, verdict_of(own, half))
                for metric in ("recall@5", "recall@10", "recall@20", "ndcg@10")
                for own in [models["blend"][metric] - found[metric] + shift]
            }
            for name, found in models.items()
            if name != "blend"
        }

    def part(customers: int) -> dict[str, Any]:
        return {
            "customers": customers,
            "models": {name: numbers(each * scale) for name, each in zip(MODELS, STRENGTH, strict=True)},
            "differences": differences(0.15 / customers**0.5, float(rng.normal(0, 0.006))),
        }

    steps = np.linspace(0, 1, 21)
    return {
        "repeats": repeats,
        "customers": 1741,
        "test_pairs": 43550,
        "models": {**models, "long_gone": None},
        "causes": {"long_gone": "its bundle does not load"},
        "not_applicable": {"margin": "the catalogue has no margins"},
        "intervals": {
            name: {m: estimate(v, 0.004) for m, v in found.items() if v is not None and m[0] in "rn"}
            for name, found in models.items()
        },
        "differences": differences(0.0035),
        "slices": {
            "history": {"1–2 events": part(400), "3–9 events": part(800), "10 and more": part(541)},
            "seen": {"new": part(120), "returning": part(1621)},
            "category": {"Gifts": part(900), ODD: part(300), "Cards": part(40)},
        },
        "curves": {
            "popularity": {
                name: [[float(x), float(x ** (2 + place))] for x in steps] for place, name in enumerate(MODELS)
            },
            "coverage": {
                name: {str(k): numbers(each)[f"coverage@{k}"] for k in KS}
                for name, each in zip(MODELS, STRENGTH, strict=True)
            },
        },
    }


def recorded() -> dict[str, Any]:
    """The content of a `metrics.json` of schema 2."""
    rng = np.random.default_rng(5)
    discovery, repeat = track("exclude", rng, 1.0), track("only", rng, 3.0)
    past = [{"item_id": f"i{n}", "title": f"Lamp {n}", "kind": "purchase", "at": 1288000000000 + n} for n in range(6)]

    def shown(start: int) -> list[dict[str, Any]]:
        return [
            {
                "item_id": f"i{n}",
                "title": None if n % 4 == 0 else EVIL if n % 4 == 1 else f"White hanging heart {n}",
                "hit": n % 3 == 0,
                "reason": f"they bought {EVIL}",
            }
            for n in range(start, start + 10)
        ]

    example = {
        "chosen": "about as well served as most",
        "history": past,
        "wanted": [{"item_id": "i12", "title": "Red clock"}, {"item_id": EVIL, "title": None}],
        "lists": {"blend": shown(10), "production": shown(14)},
    }
    mover = {"test_items": 4, "blend": 0.75, "other": 0.25}
    item = {"item_id": "85123A", "title": EVIL, "wanted": 40, "blend": 20, "other": 11}
    window = {"cut": 1288569600000, "until": 1291852800000, "customers": 1741}
    bare = {name: {**each, "slices": {}, "curves": {}} for name, each in (("discovery", discovery), ("repeat", repeat))}
    return {
        "schema": 2,
        "models": discovery["models"],
        "causes": discovery["causes"],
        "differences": discovery["differences"],
        "customers": 1741,
        "unknown_customers": 120,
        "test_pairs": 43550,
        "items": 3964,
        "validation": {"customers": 1000, "pairs": 20000},
        "seconds": {"read": 1.2, "fit": 2.9, "score": 3.4},
        "peak_rss_bytes": 880_000_000,
        "config": {"protocol": "time", "repeats": "exclude", "k": list(KS), "map": EVIL},
        "seed": 7,
        "notes": [f"12 rows were set aside: {EVIL}"],
        "tracks": {"discovery": discovery, "repeat": repeat},
        "windows": [{**window, "tracks": bare}, {**window, "cut": 1285891200000, "tracks": bare}],
        "checks": {
            "leaks": [
                {"name": "training ends before the cut", "passed": True, "detail": "the newest event is of 2010-10-31"},
                {"name": "items exist", "passed": False, "detail": f"{EVIL} came later"},
            ],
            "data": [
                {"name": "duplicated events", "count": 6865, "share": 0.013, "detail": "", "examples": [EVIL, "12"]},
                {"name": "bots", "count": 0, "share": 0.0, "detail": "", "examples": []},
            ],
        },
        "cost": {
            name: {"fit_seconds": None if name == "popular" else 2.9, "list_microseconds": 8.0 * (place + 1)}
            for place, name in enumerate(MODELS)
        },
        "examples": [{"customer_id": "12346", **example}, {"customer_id": EVIL, **example, "history": []}],
        "movers": {
            "against": "production",
            "metric": "recall@5",
            "winners": [{"customer_id": EVIL, **mover}],
            "losers": [{"customer_id": "12350", **mover, "blend": 0.0}],
            "item_winners": [item],
            "item_losers": [{**item, "blend": 2}],
        },
        "reproduce": {
            "command": "bookmatch evaluate --home 'my `shop`' --out again",
            "software": "0.1.0",
            "versions": {"numpy": "2.4.6", "python": "3.11.7"},
            "seed": 7,
            "data": {"events": 417534, "sha256": "0f" * 32},
            "cuts": ["2010-11-01T00:00:00Z"],
        },
    }
