"""The shop's habits: activity, seasons, launches, drift, presents. Each is seen in the files alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from recsys.data.events import EventKind
from recsys.simulation.blocks import Simulation
from recsys.simulation.spec import MS_PER_DAY, ShopSpec
from tests.simulation.simulated_shop import Shop


def share_of_top_tenth(spec: ShopSpec) -> float:
    """The share of events that the most active tenth of all customers has, in a shop of one block."""
    block = Simulation(spec).block(0)
    counts = np.bincount(block.looks.customer[block.rows.look], minlength=spec.customers)
    return float(np.sort(counts)[-spec.customers // 10 :].sum() / counts.sum())


def test_activity_is_heavy_tailed() -> None:
    """A tenth of the customers makes about half of the events; without spread it makes much less."""
    spec = ShopSpec(books=200, customers=1_000, events=30_000)
    alike = ShopSpec(books=200, customers=1_000, events=30_000, activity_spread=0.0)
    assert 0.4 < share_of_top_tenth(spec) < 0.75
    assert share_of_top_tenth(alike) < 0.3


def test_many_customers_are_occasional_or_lapsed(shop: Shop) -> None:
    """The median customer has far fewer events than the mean one; three in ten stop coming before the end."""
    counts = shop.events.group_by("customer_id").agg(pl.len(), last=pl.col("timestamp").max())
    assert counts.select(pl.col("len").median() < 0.6 * pl.col("len").mean()).item()
    assert counts.select((pl.col("last") < shop.spec.end_ms - 180 * MS_PER_DAY).mean() > 0.2).item()
    lapsed = (shop.truth.customers["present_until"] < shop.spec.end_ms - MS_PER_DAY).mean()
    assert 0.25 < lapsed < 0.35  # type: ignore[operator]


def daily_purchases(shop: Shop, months: list[int], days: tuple[int, int] = (1, 31)) -> float:
    """Purchases per day in these months between these days of the month, per customer who was there."""
    when = pl.from_epoch("timestamp", "ms")
    bought = shop.of_kind("purchase").filter(when.dt.month().is_in(months) & when.dt.day().is_between(*days))
    span = pl.datetime_range(
        pl.lit(shop.spec.start_ms).cast(pl.Datetime("ms")),
        pl.lit(shop.spec.end_ms).cast(pl.Datetime("ms")),
        interval="1d",
        closed="left",
    )
    n = pl.select(day=span).filter(pl.col("day").dt.month().is_in(months) & pl.col("day").dt.day().is_between(*days))
    return len(bought) / len(n)


def test_christmas_is_the_peak_of_the_year(shop: Shop) -> None:
    """Before Christmas more than twice as much is sold per day as in spring; in summer a bit more."""
    spring = daily_purchases(shop, [3, 4, 5])
    assert daily_purchases(shop, [12], (5, 21)) > 2 * spring
    assert daily_purchases(shop, [7]) > 1.1 * spring


def test_evenings_and_weekends_are_busier(shop: Shop) -> None:
    """More happens from 19 to 22 hours than at night, and on Sunday than on Tuesday."""
    when = pl.from_epoch(shop.of_kind("view")["timestamp"], "ms")
    hour, weekday = when.dt.hour(), when.dt.weekday()
    assert hour.is_in([19, 20, 21]).sum() > 5 * hour.is_in([1, 2, 3]).sum()
    assert (weekday == 7).sum() > 1.15 * (weekday == 2).sum()


def test_a_new_book_gets_more_looks_in_its_first_weeks(tmp_path: Path) -> None:
    """Books published in the simulated time are looked at more at first than later; not so without a boost."""

    def first_to_later(boost: float) -> float:
        spec = ShopSpec(books=400, customers=1_000, events=60_000, launch_boost=boost, release_share=0.5)
        seen = Shop.simulated(spec, tmp_path / str(boost)).of_kind("view")
        age = (seen["timestamp"] - seen["published"]) / MS_PER_DAY
        old_enough = seen["published"].is_between(spec.start_ms, spec.end_ms - 200 * MS_PER_DAY)
        return (old_enough & (age < 40)).sum() / (old_enough & age.is_between(160, 200)).sum()

    assert first_to_later(0.3) > 1.7
    assert 0.6 < first_to_later(0.0) < 1.4


def cosine(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Row by row."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / norms)


def views_by_sub_genre(views: pl.DataFrame, ids: list[str], n: int) -> npt.NDArray[np.float64]:
    """How often each customer looked at each sub-genre: shape (customers, n)."""
    place = {identifier: row for row, identifier in enumerate(ids)}
    counts = np.zeros((len(ids), n))
    views = views.filter(pl.col("customer_id").is_in(ids))
    np.add.at(counts, ([place[name] for name in views["customer_id"]], views["sub_genre"].to_numpy()), 1.0)
    return counts


def test_tastes_drift_and_behaviour_follows(shop: Shop) -> None:
    """What customers look at after their drift is nearer to their late taste than to their early one, and the reverse
    before it."""
    views = shop.of_kind("view").join(shop.truth.customers, on="customer_id")
    early = views.filter(pl.col("timestamp") < pl.col("drift_from"))
    late = views.filter(pl.col("timestamp") > pl.col("drift_until"))
    enough = [
        set(part["customer_id"].value_counts().filter(pl.col("count") >= 8)["customer_id"]) for part in (early, late)
    ]
    ids = sorted(enough[0] & enough[1])
    assert len(ids) > 100
    true_early = shop.truth.sub_genre_weights(ids, shop.spec.start_ms)
    true_late = shop.truth.sub_genre_weights(ids)
    seen_early, seen_late = (views_by_sub_genre(part, ids, true_late.shape[1]) for part in (early, late))
    assert cosine(seen_early, true_early).mean() > cosine(seen_early, true_late).mean() + 0.05
    assert cosine(seen_late, true_late).mean() > cosine(seen_late, true_early).mean() + 0.05


def test_without_drift_tastes_stay() -> None:
    """A shop with drift 0 has the same taste at both ends; with drift 1 the late taste owes nothing to the early."""
    still = Simulation(ShopSpec(books=100, customers=200, events=1_000, drift=0.0)).block(0).tastes
    moved = Simulation(ShopSpec(books=100, customers=200, events=1_000, drift=1.0)).block(0).tastes
    assert (still.early == still.late).all()
    assert (moved.late[:, :2] == 0).all()
    assert (moved.early[:, 4:] == 0).all()


def test_presents_are_off_the_customers_taste(shop: Shop) -> None:
    """Presents fit the buyer's taste far less than what the buyer takes for themselves, and peak before Christmas."""
    bought = shop.of_kind("purchase").sample(1_500, seed=1)
    liking = [
        shop.truth.affinity([row["customer_id"]], [row["item_id"]], row["timestamp"])[0, 0]
        for row in bought.select("customer_id", "item_id", "timestamp").iter_rows(named=True)
    ]
    bought = bought.with_columns(liking=pl.Series(liking))
    means = {bool(gift): mean for gift, mean in bought.group_by("gift").agg(pl.col("liking").mean()).iter_rows()}
    assert means[True] < 0.5 * means[False]
    december = pl.from_epoch("timestamp", "ms").dt.month() == 12
    presents = shop.of_kind("purchase").group_by(december.alias("december")).agg(pl.col("gift").mean())
    rates = {bool(key): rate for key, rate in presents.iter_rows()}
    assert rates[True] > 2 * rates[False]


def test_what_is_liked_is_rated_higher_and_sent_back_less(shop: Shop) -> None:
    """The truth shows in ratings and returns: five stars go to better-liked books than one star, returns to worse."""
    opinions = shop.of_kind("rate", "return", "purchase").filter(~pl.col("gift"))
    rows = opinions.select("customer_id", "item_id", "timestamp")
    ids, items = rows["customer_id"].unique().sort(), shop.items["item_id"]
    table = shop.truth.affinity(ids.to_list(), items.to_list())
    at = (
        rows.join(pl.DataFrame({"customer_id": ids}).with_row_index("u"), on="customer_id", maintain_order="left")
        .join(pl.DataFrame({"item_id": items}).with_row_index("i"), on="item_id", maintain_order="left")
        .select("u", "i")
        .to_numpy()
    )
    opinions = opinions.with_columns(liking=table[at[:, 0], at[:, 1]])
    stars = opinions.filter(pl.col("kind") == "rate").group_by("rating").agg(pl.col("liking").mean()).sort("rating")
    assert stars["liking"][-1] > stars["liking"][0] + 0.1
    by_kind = dict(opinions.group_by("kind").agg(pl.col("liking").mean()).iter_rows())
    assert by_kind["return"] < by_kind["purchase"]


def test_nobody_gives_an_opinion_in_a_visit_for_a_present(shop: Shop) -> None:
    """The sessions in which presents are bought hold no likes, lists, shares or refusals."""
    sessions = shop.of_kind("purchase").filter(pl.col("gift"))["session_id"]
    inside = shop.events.filter(pl.col("session_id").is_in(sessions.implode()))
    assert set(inside["kind"]) == {"search", "view", "add_to_cart", "remove_from_cart", "purchase"}


def test_a_series_pulls_its_readers_on() -> None:
    """With a pull, customers who took a first volume take the second far more often than without."""

    def second_to_first(pull: float) -> float:
        simulation = Simulation(ShopSpec(books=400, customers=600, events=40_000, series_pull=pull))
        block = simulation.block(0)
        bought = block.looks.book[block.rows.look[block.rows.kind == EventKind.PURCHASE.code]]
        volumes = np.bincount(simulation.books.volume[bought], minlength=3)
        return float(volumes[2] / volumes[1])

    assert second_to_first(0.2) > 1.3 * second_to_first(0.0)
