"""What must hold in a simulated shop's files, event by event."""

from __future__ import annotations

import orjson
import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA
from recsys.data.events import EVENT_SCHEMA, KINDS_WITHOUT_ITEM, EventKind
from tests.simulation.simulated_shop import Shop

TAKEN = ("purchase", "own")


def test_the_files_have_the_schemas_of_the_importer(shop: Shop) -> None:
    """Items, customers and events have exactly the project's own columns and types."""
    assert dict(shop.items.schema) == ITEM_SCHEMA
    assert dict(shop.customers.schema) == CUSTOMER_SCHEMA
    assert dict(shop.events.schema) == EVENT_SCHEMA


def test_there_are_as_many_of_everything_as_asked_for(shop: Shop) -> None:
    """Books and customers are exact; events are within 10 %."""
    assert (len(shop.items), len(shop.customers)) == (shop.spec.books, shop.spec.customers)
    assert abs(len(shop.events) - shop.spec.events) <= 0.1 * shop.spec.events


def test_ids_are_unique_and_every_id_in_an_event_exists(shop: Shop) -> None:
    """Events name only customers and items that have a row."""
    for frame, name in ((shop.items, "item_id"), (shop.customers, "customer_id"), (shop.events, "event_id")):
        assert frame[name].n_unique() == len(frame)
        assert frame[name].null_count() == 0
    assert shop.events["customer_id"].is_in(shop.customers["customer_id"].implode()).all()
    named = shop.events["item_id"].drop_nulls()
    assert named.is_in(shop.items["item_id"].implode()).all()


def test_every_event_names_an_item_unless_its_kind_needs_none(shop: Shop) -> None:
    """Only searches and undos come without an item, and they always do."""
    kinds = set(shop.events["kind"])
    assert {EventKind(kind) for kind in kinds if EventKind(kind) in KINDS_WITHOUT_ITEM} == {"search", "undo"}
    nameless = shop.events.filter(pl.col("item_id").is_null())
    assert set(nameless["kind"]) == {"search", "undo"}
    assert len(nameless) == len(shop.of_kind("search", "undo"))


def test_every_kind_of_behaviour_is_there(shop: Shop) -> None:
    """The shop shows all kinds that customers cause by themselves."""
    assert set(shop.events["kind"]) == {
        "view", "search", "add_to_cart", "remove_from_cart", "purchase", "return", "rate", "review", "own", "like",
        "add_to_list", "share", "not_interested", "ignore_for_recommendations", "undo",
    }  # fmt: skip


def test_times_lie_in_the_span_and_ascend_within_a_file(shop: Shop) -> None:
    """Timestamps are within the simulated time, and every block's file is sorted by them."""
    assert shop.events["timestamp"].is_between(shop.spec.start_ms, shop.spec.end_ms, closed="left").all()
    for path in shop.folder.glob("events-*.parquet"):
        assert pl.read_parquet(path)["timestamp"].is_sorted()


def test_customers_come_only_while_they_are_customers(shop: Shop) -> None:
    """Visits lie between joining and lapsing, and not before the day that the customer's row says."""
    visits = shop.events.filter(pl.col("session_id").is_not_null()).join(shop.truth.customers, on="customer_id")
    # The last visit's steps may run a little past midnight.
    late = pl.col("present_until") + 6 * 3_600_000
    assert visits.select(pl.col("timestamp").is_between(pl.col("present_from"), late).all()).item()
    since = shop.customers["attributes"].str.json_path_match("$.since").str.to_date()
    joined = pl.from_epoch(shop.truth.customers["present_from"], "ms").dt.date()
    assert (since <= joined).all()


def test_nothing_happens_to_a_book_before_it_is_published(shop: Shop) -> None:
    """There is no event on an item before its publication, though many books come out in the simulated time."""
    events = shop.events.join(shop.items.select("item_id", "published"), on="item_id")
    assert (events["timestamp"] >= events["published"]).all()
    new = (shop.items["published"] > shop.spec.start_ms).mean()
    assert 0.8 * shop.spec.release_share < new < 1.2 * shop.spec.release_share


def test_what_is_out_of_stock_is_neither_taken_nor_bought(shop: Shop) -> None:
    """During a stock-out nobody buys the book, while people go on looking at it."""
    during = shop.events.join(shop.truth.stock_outs, on="item_id").filter(
        pl.col("timestamp").is_between(pl.col("out_from"), pl.col("out_until"), closed="left")
    )
    assert not set(during["kind"]) & {"purchase", "add_to_cart"}
    assert len(during.filter(pl.col("kind") == "view")) > 100


def test_available_says_what_is_out_of_stock_at_the_end(shop: Shop) -> None:
    """Exactly the books whose stock-out lasts past the end are not available."""
    out = shop.truth.stock_outs.filter(pl.col("out_until") > shop.spec.end_ms)["item_id"]
    assert set(shop.items.filter(~pl.col("available"))["item_id"]) == set(out)
    assert len(out) > 0


def test_a_purchase_comes_out_of_the_cart_of_its_visit(shop: Shop) -> None:
    """Each bought item was viewed, then put into the cart earlier in the same session; so was each removed one."""
    for kind in ("purchase", "remove_from_cart"):
        done = shop.of_kind(kind).select("session_id", "item_id", "timestamp")
        assert done["session_id"].null_count() == 0
        for step in ("view", "add_to_cart"):
            before = shop.of_kind(step).select("session_id", "item_id", pl.col("timestamp").alias("before"))
            first = before.group_by("session_id", "item_id").agg(pl.col("before").min())
            pairs = done.join(first, on=["session_id", "item_id"], how="left")
            assert (pairs["before"] < pairs["timestamp"]).fill_null(False).all()


def test_a_session_is_one_customer_on_one_occasion(shop: Shop) -> None:
    """All events of a session are the same customer's, within a few hours."""
    sessions = shop.events.drop_nulls("session_id").group_by("session_id")
    spans = sessions.agg(pl.col("customer_id").n_unique(), span=pl.col("timestamp").max() - pl.col("timestamp").min())
    assert (spans["customer_id"] == 1).all()
    assert spans.select(pl.col("span").max() < 6 * 3_600_000).item()


def test_returns_follow_purchases_and_never_exceed_them(shop: Shop) -> None:
    """At no moment has a customer sent back more pieces of an item than they had bought."""
    signed = (
        shop.of_kind("purchase", "return")
        .with_columns(
            pieces=pl.when(pl.col("kind") == "purchase").then(pl.col("quantity")).otherwise(-pl.col("quantity"))
        )
        .sort("timestamp", maintain_order=True)
    )
    kept = signed.select(pl.col("pieces").cum_sum().over("customer_id", "item_id"))
    assert (kept["pieces"] >= 0).all()
    assert 0.02 < len(shop.of_kind("return")) / len(shop.of_kind("purchase")) < 0.15


def test_an_undo_takes_back_an_earlier_event_of_the_same_customer(shop: Shop) -> None:
    """Every undo names one earlier event of the same customer that can be taken back, and none is taken back twice."""
    undos = shop.of_kind("undo").select("customer_id", "timestamp", "context")
    undos = undos.with_columns(undoes=pl.col("context").str.json_path_match("$.undoes"))
    undone = shop.events.select("event_id", "customer_id", "kind", pl.col("timestamp").alias("before"))
    pairs = undos.join(undone, left_on=["undoes", "customer_id"], right_on=["event_id", "customer_id"])
    assert len(pairs) == len(undos) > 20
    assert (pairs["before"] < pairs["timestamp"]).all()
    assert set(pairs["kind"]) <= {"like", "add_to_list", "not_interested", "own", "ignore_for_recommendations"}
    assert pairs["undoes"].is_unique().all()


def test_nobody_buys_the_same_book_twice_for_themselves(shop: Shop) -> None:
    """A book that a customer has, bought or owned before, is not bought again except as a present."""
    taken = shop.of_kind(*TAKEN).filter(~pl.col("gift"))
    assert taken.select("customer_id", "item_id").is_unique().all()


def test_a_series_is_read_in_order(shop: Shop) -> None:
    """Nearly every later volume that a customer takes comes after the volume before it."""
    taken = shop.of_kind(*TAKEN).filter(~pl.col("gift") & (pl.col("series") >= 0))
    keys = ["customer_id", "series", "volume"]
    before = taken.select("customer_id", "series", pl.col("volume") + 1, pl.col("timestamp").alias("before"))
    later = taken.filter(pl.col("volume") > 1).join(before, on=keys, how="left")
    in_order = (later["before"] <= later["timestamp"]).fill_null(False)
    assert len(later) > 100
    assert in_order.mean() > 0.9  # type: ignore[operator]


def test_prices_stand_where_money_is_meant(shop: Shop) -> None:
    """Cart, purchase and return carry the item's price and the currency; other kinds carry none."""
    money = shop.events.filter(pl.col("kind").is_in(["add_to_cart", "purchase", "return"]))
    money = money.join(shop.items.select("item_id", listed="price"), on="item_id")
    assert (money["price"] == money["listed"]).all()
    assert set(money["currency"]) == {"EUR"}
    assert len(shop.events.drop_nulls("price")) == len(shop.events.drop_nulls("currency")) == len(money)


def test_ratings_stand_on_ratings_and_reviews_of_books_that_were_taken(shop: Shop) -> None:
    """Ratings are whole stars from 1 to 5, after the customer got the book, and nowhere else."""
    rated = shop.events.drop_nulls("rating")
    assert set(rated["kind"]) == {"rate", "review"}
    assert set(rated["rating"]) == {1.0, 2.0, 3.0, 4.0, 5.0}
    got = shop.of_kind(*TAKEN).group_by("customer_id", "item_id").agg(pl.col("timestamp").min().alias("got"))
    pairs = rated.join(got, on=["customer_id", "item_id"], how="left")
    assert (pairs["got"] < pairs["timestamp"]).fill_null(False).all()


def test_searches_say_what_was_typed(shop: Shop) -> None:
    """Every search's context is a JSON object with the query: an author or a sub-genre of the shop."""
    queries = {orjson.loads(text)["query"] for text in shop.of_kind("search")["context"].unique()}
    assert queries <= set(shop.items["author"]) | {name.lower() for name in shop.items["category"]}
    assert len(queries) > 50


def test_attributes_are_json_objects(shop: Shop) -> None:
    """Attributes of items and customers parse as JSON and agree with the columns and the truth."""
    for row in shop.items.join(shop.truth.books, on="item_id").iter_rows(named=True):
        attributes = orjson.loads(row["attributes"])
        assert attributes["sub_genre"] == row["category"]
        assert attributes.get("volume", 0) == row["volume"]
        assert ("series" in attributes) == (row["series"] >= 0)
    for text in shop.customers["attributes"]:
        known = set(orjson.loads(text))
        assert {"name", "country", "since"} <= known <= {"name", "country", "since", "email", "language", "time_zone"}


def test_households_are_pairs(shop: Shop) -> None:
    """An account belongs to two customers; about as many customers as asked for have one."""
    accounts = shop.customers.drop_nulls("account_id")
    assert set(accounts["account_id"].value_counts()["count"]) == {2}
    assert abs(len(accounts) / shop.spec.customers - shop.spec.household_share) < 0.04


def test_presents_are_purchases_and_only_they_are_marked_as_such(shop: Shop) -> None:
    """The true list of presents names purchases; `ignore_for_recommendations` follows a present of the same item."""
    presents = shop.of_kind("purchase").filter(pl.col("gift"))
    assert len(presents) == len(shop.truth.gifts) > 100
    bought = presents.group_by("customer_id", "item_id").agg(pl.col("timestamp").min().alias("bought"))
    ignored = shop.of_kind("ignore_for_recommendations").join(bought, on=["customer_id", "item_id"], how="left")
    assert (ignored["bought"] < ignored["timestamp"]).fill_null(False).all()
    assert 0.1 < len(ignored) / len(presents) < 0.5
