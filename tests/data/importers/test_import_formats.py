"""Publishers' formats, in their own layout and renamed: small made-up files with their whole result."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest

from recsys.data.events import EventKind
from recsys.data.importers.formats import FORMATS
from recsys.data.importers.layouts import Layout
from recsys.data.importers.options import Subject
from recsys.errors import InputError
from tests.data.importers.importing_files import MAY, causes, present, read

SECONDS = MAY // 1000


def _parquet(folder: Path, **columns: object) -> bytes:
    pl.DataFrame(columns).write_parquet(folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


def _attributes(frame: pl.DataFrame) -> list[object]:
    return [each and orjson.loads(each) for each in frame["attributes"]]


def test_personalize_interactions(tmp_path: Path) -> None:
    """Kinds in any spelling; a rating's value is the rating; values, what was shown and recommendations are kept."""
    text = (
        "USER_ID,ITEM_ID,EVENT_TYPE,EVENT_VALUE,TIMESTAMP,IMPRESSION,RECOMMENDATION_ID,DEVICE\n"
        f"u1,i1,Watch,0.5,{SECONDS},i1|i2,r1,tv\nu1,i2,AddToCart,,{SECONDS},,,tv\nu2,i1,Rating,4,{SECONDS},,,tv\n"
    )
    result = read(tmp_path, text, format="personalize")
    common = {"quantity": 1.0, "timestamp": MAY}
    assert present(result.events) == [
        {"customer_id": "u1", "item_id": "i1", "kind": "view", "recommendation_id": "r1",
         "context": '{"event_value":0.5,"impression":["i1","i2"]}', **common},
        {"customer_id": "u1", "item_id": "i2", "kind": "add_to_cart", **common},
        {"customer_id": "u2", "item_id": "i1", "kind": "rate", "rating": 4.0, **common},
    ]  # fmt: skip
    assert result.report.notes == ("columns not used: DEVICE",)


def test_personalize_kinds_of_their_own_are_told(tmp_path: Path) -> None:
    """A kind nobody knows is bad until it is mapped; without the column, --event says the kind."""
    text = f"user_id,item_id,event_type,timestamp\nu,i,Wave,{SECONDS}\n"
    assert causes(read(tmp_path, text, format="personalize")) == [(2, "unknown_kind", "kind", "Wave")]
    mapped = read(tmp_path, text, format="personalize", kinds="Wave=like")
    assert mapped.events["kind"].to_list() == ["like"]
    bare = f"USER_ID,ITEM_ID,TIMESTAMP\nu,i,{SECONDS}\n"
    with pytest.raises(InputError, match="--event"):
        read(tmp_path, bare, format="personalize")
    assert read(tmp_path, bare, format="personalize", event="purchase").events["kind"].to_list() == ["purchase"]


def test_personalize_items_and_users(tmp_path: Path) -> None:
    """The items and users datasets are told from the interactions by their columns."""
    text = f"ITEM_ID,CREATION_TIMESTAMP,PRICE,CATEGORY_L1,CATEGORY_L2\ni1,{SECONDS},9.5,shoes,red\n"
    items = read(tmp_path, text, format="personalize").items
    assert present(items) == [
        {"item_id": "i1", "category": "shoes", "price": 9.5, "published": MAY, "attributes": '{"CATEGORY_L2":"red"}'}
    ]
    users = read(tmp_path, "USER_ID,AGE\nu1,30\n", format="personalize").customers
    assert present(users) == [{"customer_id": "u1", "attributes": '{"AGE":"30"}'}]


RATED = [
    {"customer_id": "1", "item_id": "31", "kind": "rate", "rating": 2.5, "timestamp": MAY, "quantity": 1.0},
    {"customer_id": "2", "item_id": "31", "kind": "rate", "rating": 4.0, "timestamp": MAY, "quantity": 1.0},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("u.data", f"1\t31\t2.5\t{SECONDS}\n2\t31\t4\t{SECONDS}\n"),
        ("ratings.dat", f"1::31::2.5::{SECONDS}\n2::31::4::{SECONDS}\n"),
        ("ratings.csv", f"userId,movieId,rating,timestamp\n1,31,2.5,{SECONDS}\n2,31,4.0,{SECONDS}\n"),
    ],
)
def test_movielens_ratings(tmp_path: Path, name: str, text: str) -> None:
    """100k, 1M and 20M give the same events, with and without a header."""
    result = read(tmp_path, text, name, format="movielens")
    assert present(result.events) == RATED
    assert result.quarantine.bad.height == 0


def test_movielens_renamed(tmp_path: Path) -> None:
    """The renamed Parquet gives the events of the original; a Float32 rating is its decimal text."""
    ratings = _parquet(
        tmp_path, user=[1, 2], item=[31, 31], rating=pl.Series([2.5, 4.0], dtype=pl.Float32), timestamp=[SECONDS] * 2
    )
    events = read(tmp_path, ratings, "ratings.parquet", format="movielens").events
    assert present(events) == RATED
    assert events.equals(
        read(tmp_path, f"1\t31\t2.5\t{SECONDS}\n2\t31\t4\t{SECONDS}\n", "u.data", format="movielens").events
    )
    items = _parquet(tmp_path, item=[31], movie_title=["Tin Tale"], release_year=["1995"], **{"class": ["Drama War"]})
    assert present(read(tmp_path, items, "items.parquet", format="movielens").items) == [
        {"item_id": "31", "title": "Tin Tale", "category": "Drama War", "attributes": '{"release_year":"1995"}'}
    ]
    users = _parquet(tmp_path, user=[1], age=["24"], gender=["M"], occupation=["writer"], zip_code=["00501"])
    assert _attributes(read(tmp_path, users, "users.parquet", format="movielens").customers) == [
        {"age": "24", "gender": "M", "occupation": "writer", "zip_code": "00501"}
    ]


def test_movielens_items(tmp_path: Path) -> None:
    """Titles of all releases, in the encoding of their time; genres as one text."""
    flags = ["0"] * 19
    flags[3] = flags[5] = "1"
    u_item = "|".join(["31", 'Émile "x" (1995)', "01-Jan-1995", "", "http://x", *flags]) + "\n"
    result = read(tmp_path, u_item.encode("latin-1"), "u.item", format="movielens")
    assert present(result.items) == [
        {"item_id": "31", "title": 'Émile "x" (1995)', "category": "Animation|Comedy",
         "attributes": '{"imdb_url":"http://x","release_date":"01-Jan-1995"}'}
    ]  # fmt: skip
    assert result.report.notes[0] == "read as latin-1, since it is not UTF-8"
    dat = "31::Émile: x (1995)::Animation|Comedy\n32::Y::(no genres listed)\n".encode("latin-1")
    assert [row.get("category") for row in present(read(tmp_path, dat, "movies.dat", format="movielens").items)] == [
        "Animation|Comedy",
        None,
    ]
    movies = 'movieId,title,genres\n31,"Émile, x (1995)",Animation|Comedy\n'
    assert present(read(tmp_path, movies, "movies.csv", format="movielens").items) == [
        {"item_id": "31", "title": "Émile, x (1995)", "category": "Animation|Comedy"}
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("u.user", "1|24|M|writer|00501\n"), ("users.dat", "1::M::24::writer::00501\n")]
)
def test_movielens_users(tmp_path: Path, name: str, text: str) -> None:
    """What is known of a customer is in the attributes; a postcode keeps its zeros."""
    assert _attributes(read(tmp_path, text, name, format="movielens").customers) == [
        {"age": "24", "gender": "M", "occupation": "writer", "zip_code": "00501"}
    ]


def test_recbole(tmp_path: Path) -> None:
    """Typed headers; ratings become rates; sequences become lists; without ratings the kind must be told."""
    inter = (
        f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t31\t2.5\t{SECONDS}.0\n2\t31\t4\t{SECONDS}\n"
    )
    assert present(read(tmp_path, inter, "ml.inter", format="recbole").events) == RATED
    bare = "user_id:token\titem_id:token\n1\t31\n"
    with pytest.raises(InputError, match="--event"):
        read(tmp_path, bare, "x.inter", format="recbole")
    assert read(tmp_path, bare, "x.inter", format="recbole", event="purchase").events.height == 1
    kinds = "user_id:token\titem_id:token\tbehavior_type:token\n1\t31\tbuy\n1\t31\tpv\n"
    assert read(tmp_path, kinds, "x.inter", format="recbole").events["kind"].to_list() == ["purchase", "view"]
    with pytest.raises(InputError, match=r"no file of the format recbole"):
        read(tmp_path, "session_id:token\titem_id:token\n1\t31\n", "x.inter", format="recbole")
    item = (
        "item_id:token\tmovie_title:token_seq\tclass:token_seq\ttags:token_seq\tvec:float_seq\tyear:float\n"
        "31\tTin Tale\tDrama War\ta b\t0.5 1\t1995\n"
    )
    items = read(tmp_path, item, "ml.item", format="recbole").items
    assert present(items.drop("attributes")) == [{"item_id": "31", "title": "Tin Tale", "category": "Drama War"}]
    assert _attributes(items) == [{"tags": ["a", "b"], "vec": [0.5, 1.0], "year": 1995.0}]
    users = read(tmp_path, "user_id:token\tage:token\n1\t24\n", "ml.user", format="recbole").customers
    assert present(users) == [{"customer_id": "1", "attributes": '{"age":"24"}'}]


def test_gorse_csv(tmp_path: Path) -> None:
    """Gorse's exports, with Go's way of writing times; its time of none is unknown."""
    feedback = (
        "feedback_type,user_id,item_id,time_stamp\r\n"
        "star,u1,i1,2024-05-01 12:00:00.000000001 +0000 UTC\r\nread,u1,i2,0001-01-01 00:00:00 +0000 UTC\r\n"
    )
    events = read(tmp_path, feedback, format="gorse").events
    assert present(events) == [
        {"customer_id": "u1", "item_id": "i1", "kind": "like", "timestamp": MAY, "quantity": 1.0},
        {"customer_id": "u1", "item_id": "i2", "kind": "view", "quantity": 1.0},
    ]
    items = (
        "item_id,is_hidden,categories,time_stamp,labels,description\r\n"
        '1,false,x|y,2024-05-01 12:00:00 +0000 UTC,"{""genre"":[""sf""]}","o,ne"\r\n'
        "2,true,,0001-01-01T00:00:00Z,null,\r\n"
    )
    result = read(tmp_path, items, format="gorse")
    assert present(result.items.drop("attributes")) == [
        {"item_id": "1", "title": "o,ne", "category": "x|y", "available": True, "published": MAY},
        {"item_id": "2", "available": False},
    ]
    assert _attributes(result.items) == [{"labels": {"genre": ["sf"]}}, None]
    users = read(tmp_path, 'user_id,labels\nu1,"[""a""]"\n', format="gorse").customers
    assert present(users) == [{"customer_id": "u1", "attributes": '{"labels":["a"]}'}]


def test_gorse_json(tmp_path: Path) -> None:
    """The objects of Gorse's HTTP interface, one per line."""
    feedback = b'{"FeedbackType":"like","UserId":"u1","ItemId":"i1","Timestamp":"2024-05-01T12:00:00Z","Comment":""}\n'
    assert present(read(tmp_path, feedback, "f.jsonl", format="gorse").events) == [
        {"customer_id": "u1", "item_id": "i1", "kind": "like", "timestamp": MAY, "quantity": 1.0}
    ]
    item = b'{"ItemId":"1","IsHidden":true,"Categories":["x","y"],"Timestamp":"2024-05-01T12:00:00Z","Comment":"One"}\n'
    assert present(read(tmp_path, item, "i.jsonl", format="gorse").items) == [
        {"item_id": "1", "title": "One", "category": "x|y", "available": False, "published": MAY}
    ]
    assert causes(read(tmp_path, "item_id,is_hidden\n1,perhaps\n", format="gorse")) == [
        (2, "bad_flag", "available", "perhaps")
    ]


def test_retailrocket_events(tmp_path: Path) -> None:
    """Milliseconds, visitors and transactions as published; seconds and buys as renamed."""
    text = (
        f"timestamp,visitorid,event,itemid,transactionid\n{MAY},257597,view,355908,\n"
        f"{MAY},257597,addtocart,355908,\n{MAY},2,transaction,1000,234\n"
    )
    result = read(tmp_path, text, format="retailrocket")
    assert present(result.events) == [
        {"customer_id": "257597", "item_id": "355908", "kind": "view", "timestamp": MAY, "quantity": 1.0},
        {"customer_id": "257597", "item_id": "355908", "kind": "add_to_cart", "timestamp": MAY, "quantity": 1.0},
        {"customer_id": "2", "item_id": "1000", "kind": "purchase", "timestamp": MAY, "quantity": 1.0,
         "session_id": "234"},
    ]  # fmt: skip
    renamed = _parquet(
        tmp_path, user=[0, 0, 1], item=[1, 1, 2], behavior=["view", "cart", "buy"], timestamp=[SECONDS] * 3
    )
    events = read(tmp_path, renamed, "events.parquet", format="retailrocket").events
    assert events["kind"].to_list() == ["view", "add_to_cart", "purchase"]
    assert events["timestamp"].to_list() == [MAY] * 3


def test_retailrocket_item_properties(tmp_path: Path) -> None:
    """Weekly snapshots of properties become one item each, with the newest value of every property."""
    text = (
        "timestamp,itemid,property,value\n"
        f"{MAY},1,888,new 5\n{MAY - 1},1,888,old\n{MAY},2,available,0\n{MAY},1,categoryid,1338\n"
        f'{MAY},1,790,"n1 ""x"""\n{MAY - 1},2,available,1\n{MAY},,1,x\n'
    )
    result = read(tmp_path, text, "item_properties_part1.csv", format="retailrocket")
    assert present(result.items.drop("attributes")) == [
        {"item_id": "1", "category": "1338"},
        {"item_id": "2", "available": False},
    ]
    assert _attributes(result.items) == [{"888": "new 5", "790": 'n1 "x"'}, {}]
    assert causes(result) == [(8, "missing_id", "item_id", "nothing")]


INVOICES = [
    ("489434", "85048", " GLASS BALL ", "12", "6.95", "13085", "United Kingdom"),
    ("489434", "85048", "GLASS BALL", "12", "6.95", "13085", "United Kingdom"),
    ("489434", "85048", "GLASS BALL", "12", "6.95", "13085", "United Kingdom"),
    ("489435", "85048", "glass", "1", "5.00", "", "United Kingdom"),
    ("C489436", "85048", "GLASS BALL", "-2", "6.95", "13085", "France"),
    ("489437", "22041", "damaged", "-5", "0.0", "", "United Kingdom"),
    ("A506401", "B", "Adjust bad debt", "1", "-53.5", "13085", "United Kingdom"),
    ("489438", "POST", "POSTAGE", "1", "18.0", "13086", "Japan"),
    ("489439", "10002", "", "3", "0.0", "13086", "Japan"),
]
HEADERS = {
    "one": "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
    "two": "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
    "renamed": "invoice,stock_code,description,quantity,timestamp,price,customer_id,country",
}


def _invoices(header: str, time: str, customer_suffix: str = "") -> str:
    lines = [HEADERS[header]]
    for invoice, code, title, quantity, price, customer, country in INVOICES:
        shown = customer + customer_suffix if customer else ""
        lines.append(f"{invoice},{code},{title},{quantity},{time},{price},{shown},{country}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("header", "time", "suffix"),
    [("one", "7/1/2010 7:45", ""), ("two", "2010-07-01 07:45:00", ".0"), ("renamed", "2010-07-01T07:45", ""),
     ("one", "7/1/10 7:45", "")],
)  # fmt: skip
def test_online_retail(tmp_path: Path, header: str, time: str, suffix: str) -> None:
    """Sales, returns, gifts, adjustments, postage and lines without a customer, from every layout of the data."""
    result = read(tmp_path, _invoices(header, time, suffix), format="online-retail", ignore_items="POST")
    sale = {
        "customer_id": "13085", "item_id": "85048", "kind": "purchase", "timestamp": 1277966700000, "quantity": 12.0,
        "price": 6.95, "currency": "GBP", "session_id": "489434",
    }  # fmt: skip
    gift = sale | {"customer_id": "13086", "item_id": "10002", "quantity": 3.0, "price": 0.0, "session_id": "489439"}
    assert present(result.events) == [
        sale, sale, sale, sale | {"kind": "return", "quantity": 2.0, "session_id": "C489436"}, gift,
    ]  # fmt: skip
    assert result.report.aside == {"no_customer": 2, "adjustment": 1, "ignored_item": 1}
    assert result.report.bad == {}
    # Three of the four sales say GLASS BALL, once with spaces around it; what was never sold is no item.
    assert present(result.items) == [{"item_id": "85048", "title": "GLASS BALL"}]
    assert present(result.customers) == [
        {"customer_id": "13085", "attributes": '{"country":"United Kingdom"}'},
        {"customer_id": "13086", "attributes": '{"country":"Japan"}'},
    ]


def test_online_retail_from_every_type_of_file_is_the_same(tmp_path: Path) -> None:
    """CSV in cp1252 and Parquet with types give equal events, ids included."""
    text = _invoices("renamed", "2010-07-01 07:45:00").replace("POSTAGE", "£ POSTAGE")
    from_text = read(tmp_path, text.encode("cp1252"), format="online-retail")
    frame = pl.read_csv(text.encode(), schema_overrides={"invoice": pl.String, "stock_code": pl.String})
    frame = frame.with_columns(pl.col("timestamp").str.to_datetime(), pl.col("customer_id").cast(pl.Int32))
    frame.write_parquet(tmp_path / "made.parquet")
    from_parquet = read(tmp_path, (tmp_path / "made.parquet").read_bytes(), "x.parquet", format="online-retail")
    assert from_text.events.equals(from_parquet.events)
    assert from_text.events.height == 6
    assert from_text.items.equals(from_parquet.items)
    assert from_text.report.notes == ("read as cp1252, since it is not UTF-8",)


def test_online_retail_prices_tie_break_titles_by_text(tmp_path: Path) -> None:
    """Two descriptions used equally often: the first by text, so that every import names the item the same."""
    rows = "".join(f"48943{n},1,{title},1,2010-07-01 07:45,1.0,1,UK\n" for n, title in enumerate(["b", "a", "b", "a"]))
    items = read(tmp_path, f"{HEADERS['two']}\n{rows}", format="online-retail").items
    assert items["title"].to_list() == ["a"]


def test_amazon_reviews(tmp_path: Path) -> None:
    """A review is a review of the parent item; the variant and whether it was bought are context."""
    line = {
        "rating": 4.0, "title": "Nice", "text": "Works.", "images": [], "asin": "B01", "parent_asin": "B00",
        "user_id": "AE1", "timestamp": MAY, "helpful_vote": 0, "verified_purchase": True,
    }  # fmt: skip
    result = read(tmp_path, orjson.dumps(line) + b"\n", "Books.jsonl", format="amazon-reviews-2023")
    assert present(result.events) == [
        {"customer_id": "AE1", "item_id": "B00", "kind": "review", "rating": 4.0, "timestamp": MAY, "quantity": 1.0,
         "context": '{"asin":"B01","verified_purchase":true}'}
    ]  # fmt: skip
    assert result.items.height == 0


@pytest.mark.parametrize("history", ["", ",history"])
def test_amazon_ratings_alone(tmp_path: Path, history: str) -> None:
    """The benchmark files have no text: they are ratings, with or without a history column."""
    more = ",B0 B1" if history else ""
    text = f"user_id,parent_asin,rating,timestamp{history}\nAE1,B00,4.0,{MAY}{more}\n"
    assert present(read(tmp_path, text, "Books.csv", format="amazon-reviews-2023").events) == [
        {"customer_id": "AE1", "item_id": "B00", "kind": "rate", "rating": 4.0, "timestamp": MAY, "quantity": 1.0}
    ]


def test_amazon_metadata(tmp_path: Path) -> None:
    """Titles, prices that are numbers, and the author, or the store where there is none."""
    common = {"main_category": "Books", "images": [{"thumb": "x"}], "description": ["long"], "features": []}
    lines = [
        {"parent_asin": "B00", "title": "A Tale", "price": 9.5, "store": "Shop", "categories": ["Books", "War"],
         "author": {"name": "Ann"}, "average_rating": 4.5, **common},
        {"parent_asin": "B01", "title": "B", "price": "from 9.99", "store": "Ben (Author)", "author": None, **common},
        {"parent_asin": "B02", "title": "C", "price": None, "store": None, "author": None, **common},
    ]  # fmt: skip
    text = b"\n".join(orjson.dumps(line) for line in lines)
    result = read(tmp_path, text, "meta_Books.jsonl", format="amazon-reviews-2023")
    assert present(result.items.drop("attributes")) == [
        {"item_id": "B00", "title": "A Tale", "author": "Ann", "category": "Books", "price": 9.5, "currency": "USD"},
        {"item_id": "B01", "title": "B", "author": "Ben (Author)", "category": "Books"},
        {"item_id": "B02", "title": "C", "category": "Books"},
    ]
    first = _attributes(result.items)[0]
    assert isinstance(first, dict)
    assert first == {"store": "Shop", "categories": ["Books", "War"], "average_rating": 4.5}


def test_a_file_of_no_layout_is_told_with_the_layouts_there_are(tmp_path: Path) -> None:
    """The message names the file's columns and what the format would have."""
    with pytest.raises(InputError, match=r"no file of the format retailrocket: its columns are categoryid, parentid.*"):
        read(tmp_path, "categoryid,parentid\n1,2\n", format="retailrocket")
    with pytest.raises(InputError, match=r"no format 'movie'.*amazon-reviews-2023, gorse, movielens"):
        read(tmp_path, "a\n1\n", format="movie")


def test_the_subject_narrows_the_layouts(tmp_path: Path) -> None:
    """`--as` chooses among the layouts of a format; one that fits no file of it is refused."""
    with pytest.raises(InputError, match="no file of the format gorse"):
        read(tmp_path, "feedback_type,item_id\nx,1\n", format="gorse", subject="customers")


@pytest.mark.parametrize(
    "layout", [layout for each in FORMATS.values() for layout in each.layouts], ids=lambda x: x.name
)
def test_layouts_are_whole(layout: Layout) -> None:
    """A layout needs only columns it names, maps to columns we have (or `_…` for its hooks) and to kinds of ours."""
    assert set(layout.needs) <= set(layout.columns)
    ours = {name for name in layout.columns if not name.startswith("_")}
    assert ours <= set(layout.subject.fields)
    assert set(layout.kinds.values()) <= set(EventKind)
    if layout.subject is Subject.INTERACTIONS:
        assert "customer_id" in layout.needs
