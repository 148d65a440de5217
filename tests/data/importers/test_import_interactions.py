"""Rows of interactions: what is kept, what is set aside, and every cause of badness."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.events import EVENT_SCHEMA, KINDS_WITHOUT_ITEM, EventKind
from recsys.data.importers.table import Cause
from recsys.errors import InputError
from tests.data.importers.importing_files import MAY, NOW, causes, present, read

HEADER = ",".join(EVENT_SCHEMA)


def _row(**fields: str) -> str:
    """One line of our own schema; good unless a field says otherwise."""
    base = {"customer_id": "c1", "item_id": "i1", "kind": "purchase", "timestamp": "2024-05-01T12:00:00Z"} | fields
    return ",".join('"{}"'.format(base.get(name, "").replace('"', '""')) for name in HEADER.split(","))


def test_our_own_schema_needs_no_options(tmp_path: Path) -> None:
    """All columns of the schema by their own names, in any order, each with its type."""
    full = _row(
        event_id="e1", position="7", quantity="2", price="6.95", currency="EUR", rating="4.5", session_id="s",
        recommendation_id="r", context='{"b": 1, "a": "x"}',
    )  # fmt: skip
    result = read(tmp_path, f"{HEADER}\n{full}\n")
    assert result.events.schema == pl.Schema(EVENT_SCHEMA)
    assert present(result.events) == [
        {
            "event_id": "e1", "customer_id": "c1", "item_id": "i1", "kind": "purchase", "timestamp": MAY,
            "position": 7, "quantity": 2.0, "price": 6.95, "currency": "EUR", "rating": 4.5, "session_id": "s",
            "recommendation_id": "r", "context": '{"a":"x","b":1}',
        }
    ]  # fmt: skip
    assert result.report.rows == 1
    assert result.report.notes == ()


BAD = {
    Cause.LONG_ID: [("item_id", "x" * 257), ("customer_id", "é" * 257), ("event_id", "x" * 257)],
    Cause.CONTROL_CHARACTER: [("item_id", "a\tb"), ("customer_id", "a\x7f"), ("session_id", "\x85")],
    Cause.MISSING_ID: [("item_id", "  "), ("customer_id", "\u00a0")],
    Cause.UNKNOWN_KIND: [("kind", "buy"), ("kind", "Purchase"), ("kind", "")],
    Cause.MISSING_ITEM: [("item_id", "")],
    Cause.BAD_NUMBER: [("quantity", "two"), ("price", "6,95"), ("price", "£5"), ("quantity", "1.1e15")],
    Cause.INFINITE_NUMBER: [("quantity", "inf"), ("price", "-inf"), ("price", "nan"), ("rating", "1e999")],
    Cause.BAD_QUANTITY: [("quantity", "0"), ("quantity", "-1")],
    Cause.BAD_PRICE: [("price", "-0.01")],
    Cause.BAD_RATING: [("rating", "good"), ("rating", "-1e39")],
    Cause.BAD_POSITION: [("position", "1.5"), ("position", "first")],
    Cause.BAD_TIME: [("timestamp", "yesterday"), ("timestamp", "2024-02-30T00:00:00Z")],
    Cause.TIME_BEFORE_1970: [("timestamp", "1969-12-31T23:59:59Z"), ("timestamp", "0001-01-01T00:00:00Z")],
    Cause.TIME_IN_FUTURE: [("timestamp", "2024-06-02T00:00:00.001Z"), ("timestamp", "2204-06-01T00:00:00Z")],
    Cause.BAD_CONTEXT: [("context", "query"), ("context", "[1]"), ("context", '{"a":')],
}  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "field", "value"), [(cause, *case) for cause, cases in BAD.items() for case in cases]
)
def test_each_cause_is_found_on_its_own_line(tmp_path: Path, cause: Cause, field: str, value: str) -> None:
    """One bad row among good ones: its line, its cause, its field, what was found; the good ones are kept."""
    lines = [HEADER, _row(), _row(context='{"note":\n"two lines"}'), _row(**{field: value}), _row(), ""]
    result = read(tmp_path, "\n".join(lines))
    assert causes(result) == [(5, cause, field, value[:300] or "nothing")]
    assert result.events.height == 3
    assert result.report.bad == {cause: 1}
    bad = result.quarantine.bad.row(0, named=True)
    assert bad["row"] == lines[3]
    assert bad["expected"]


def test_every_cause_of_rows_has_a_test() -> None:
    """No cause of this subject is left out above; the others have their own tests."""
    elsewhere = {
        Cause.RAGGED_ROW, Cause.BAD_QUOTES, Cause.NUL_BYTE, Cause.BAD_JSON, Cause.NONEXISTENT_TIME,
        Cause.UNDO_WITHOUT_EVENT, Cause.BAD_FLAG, Cause.BAD_ATTRIBUTES,
    }  # fmt: skip
    assert set(BAD) | elsewhere == set(Cause)


def test_limits_themselves_are_good(tmp_path: Path) -> None:
    """256 characters of any script, slashes, leading zeros, now and a day, 1970, price 0: all are kept as they are."""
    ids = ["é" * 256, "007", "a/b%2F", " x ", "null", "😀", "12345678901234567890", "1.0"]
    times = ["1970-01-01T00:00:00Z", "2024-06-02T00:00:00Z"]
    rows = [_row(item_id=each, price="0", timestamp=times[number % 2]) for number, each in enumerate(ids)]
    result = read(tmp_path, "\n".join([HEADER, *rows]))
    assert causes(result) == []
    assert result.events["item_id"].to_list() == ids
    assert result.events["timestamp"].to_list()[:2] == [0, NOW + 86_400_000]


def test_a_skipped_hour_is_a_bad_row(tmp_path: Path) -> None:
    """A naive time that the zone's clocks skipped is told apart from text that is no time."""
    rows = "customer_id,item_id,kind,timestamp\n1,2,view,2010-03-28 01:30:00\n1,2,view,2010-03-28 02:30:00\n"
    result = read(tmp_path, rows, timezone="Europe/London")
    assert causes(result) == [(2, "nonexistent_time", "timestamp", "2010-03-28 01:30:00")]
    assert result.report.time_read_as == "text without a zone, in Europe/London"


@pytest.mark.parametrize("context", ["", "{}", '{"undoes": ""}', '{"undoes": 5}', '{"undoes": null}'])
def test_an_undo_names_what_it_takes_back(tmp_path: Path, context: str) -> None:
    """An undo without the id of an event is bad; with one it needs no item."""
    good = _row(kind="undo", item_id="", context='{"undoes": "e1"}')
    result = read(tmp_path, "\n".join([HEADER, good, _row(kind="undo", item_id="", context=context)]))
    assert [(line, cause, field) for line, cause, field, _ in causes(result)] == [(3, "undo_without_event", "context")]
    assert present(result.events) == [
        {"customer_id": "c1", "kind": "undo", "timestamp": MAY, "quantity": 1.0, "context": '{"undoes":"e1"}'}
    ]


@pytest.mark.parametrize("kind", EventKind)
def test_only_some_kinds_need_an_item(tmp_path: Path, kind: EventKind) -> None:
    """Search, e-mail and subscriptions have no item; everything else is about one."""
    result = read(tmp_path, "\n".join([HEADER, _row(kind=kind, item_id="", context='{"undoes":"e"}')]), max_bad="100%")
    assert result.events.height == (1 if kind in KINDS_WITHOUT_ITEM else 0)


def test_a_row_is_bad_once(tmp_path: Path) -> None:
    """Of several causes the first is told, and the row counts once."""
    result = read(tmp_path, "\n".join([HEADER, _row(item_id="\x01", price="x", kind="buy", timestamp="x"), _row()]))
    assert result.report.bad == {"control_character": 1}
    assert result.report.bad_share == 0.5


def test_rows_without_a_customer_are_set_aside(tmp_path: Path) -> None:
    """They are counted and kept with their own text, and are not bad, whatever else is wrong with them."""
    lines = [HEADER, _row(), _row(customer_id="", price="x"), _row(customer_id="", kind="buy")]
    result = read(tmp_path, "\n".join(lines))
    assert result.report.aside == {"no_customer": 2}
    assert result.report.bad == {}
    assert result.quarantine.aside.drop("customer").rows() == [
        (3, "no_customer", lines[2]),
        (4, "no_customer", lines[3]),
    ]
    assert result.events.height == 1


def test_ignored_items_are_set_aside_by_code_and_by_pattern(tmp_path: Path) -> None:
    """Exact codes match exactly, capitals included; patterns match as a shell's do."""
    items = ["POST", "post", "DCGS0058", "DCGS", "M", "M1", "xDCGS1", "A.B", "AxB"]
    result = read(
        tmp_path, "\n".join([HEADER, *(_row(item_id=each) for each in items)]), ignore_items="POST,M,DCGS*,A.B"
    )
    assert result.events["item_id"].to_list() == ["post", "M1", "xDCGS1", "AxB"]
    assert result.report.aside == {"ignored_item": 5}


def test_broken_rows_count_as_bad_rows(tmp_path: Path) -> None:
    """Rows that cannot be split stand in the report and in the quarantine with the others, in the file's order."""
    result = read(tmp_path, "customer_id,item_id,kind\n1,2,buy\n1,2\n1,2,view\n1,2,view\n")
    assert [(line, cause) for line, cause, *_ in causes(result)] == [(2, "unknown_kind"), (3, "ragged_row")]
    assert (result.report.rows, result.events.height, result.report.bad_share) == (4, 2, 0.5)


def test_columns_and_kinds_are_mapped(tmp_path: Path) -> None:
    """A stranger's names become ours; kinds of ours pass as they are; what is not named is told."""
    text = "user,item,behavior,when,shop\nu,1,buy,1714564800,x\nu,2,cart,1714564800,x\nu,3,view,1714564800,x\n"
    result = read(
        tmp_path, text, columns="customer_id=user,item_id=item,kind=behavior,timestamp=when",
        kinds="buy=purchase,cart=add_to_cart",
    )  # fmt: skip
    assert result.events["kind"].to_list() == ["purchase", "add_to_cart", "view"]
    assert result.events["timestamp"].to_list() == [MAY] * 3
    assert result.report.notes == ("columns not used: shop",)
    assert result.report.time_read_as == "seconds since 1970, recognised by their size"


def test_the_kind_can_be_told_for_all_rows(tmp_path: Path) -> None:
    """`--event` stands in for a column; with a column it is one too many, unless the column is mapped away."""
    result = read(tmp_path, "customer_id,item_id\nu,1\n", event="like")
    assert present(result.events) == [{"customer_id": "u", "item_id": "1", "kind": "like", "quantity": 1.0}]
    assert "no times: they are stored as unknown" in result.report.notes
    with pytest.raises(InputError, match="--map kind="):
        read(tmp_path, "customer_id,item_id,kind\nu,1,book\n", event="like")
    mapped = read(tmp_path, "customer_id,item_id,kind\nu,1,book\n", event="like", columns="kind=")
    assert mapped.events["kind"].to_list() == ["like"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("user,item\n1,2\n", {}, "no column customer_id; its columns are user, item.*--map customer_id=user"),
        ("user,item\n1,2\n", {}, "item_id=item --event purchase"),
        ("visitor,sku,action\n1,2,buy\n", {}, "--map customer_id=visitor,item_id=sku,kind=action"),
        ("customer_id,item_id\n1,2\n", {}, "no column kind.*--event purchase"),
        ("customer_id,book\n1,2\n", {"event": "view"}, "no column item_id.*item_id=<its column>"),
        ("customer_id,item_id\n1,2\n", {"columns": "kind=what"}, "no column 'what'.*customer_id, item_id"),
        (
            "visitorid,event,itemid,timestamp\n1,view,2,1714564800\n",
            {"columns": "title=event", "format": "retailrocket"},
            "names title, which interactions do not",
        ),
    ],
)  # fmt: skip
def test_a_missing_column_is_told_with_the_option_that_supplies_it(
    tmp_path: Path, text: str, options: dict[str, str], message: str
) -> None:
    """The message lists the columns there are and the --map that would do."""
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text, **options)
    assert "events.csv" in caught.value.found or "--map" in caught.value.found


def test_events_without_items_need_no_column_for_them(tmp_path: Path) -> None:
    """A file of e-mail events is whole without items."""
    result = read(tmp_path, "customer_id,kind\nu,email_open\nu,unsubscribe\n")
    assert result.events["kind"].to_list() == ["email_open", "unsubscribe"]


def test_whole_columns_that_cannot_be_read_name_the_file(tmp_path: Path) -> None:
    """An error about all times says in which file they are."""
    with pytest.raises(InputError, match=r"events\.csv: the times in column 'timestamp' name no time zone"):
        read(tmp_path, "customer_id,item_id,kind,timestamp\n1,2,view,2024-05-01 10:00\n")


def test_identical_rows_all_count_and_given_ids_count_once(tmp_path: Path) -> None:
    """Two equal lines without an id are two events; two lines with one id are one, the first."""
    same = "customer_id,item_id,kind\n1,2,view\n1,2,view\n1,2,view\n"
    assert read(tmp_path, same).events["event_id"].n_unique() == 3
    result = read(tmp_path, "event_id,customer_id,item_id,kind\ne,1,2,view\ne,1,3,view\n,1,2,view\n")
    assert result.events["event_id"].to_list()[0] == "e"
    assert result.events["item_id"].to_list() == ["2", "2"]
    assert result.repeated == 1
    assert result.events["event_id"][1] == read(tmp_path, same).events["event_id"][0]


def test_ids_of_parquet_are_the_decimal_text(tmp_path: Path) -> None:
    """Integers and whole floats become their digits; NaN is no customer; the report tells of floats."""
    frame = pl.DataFrame(
        {"customer_id": [13085.0, float("nan"), None, 1e15], "item_id": [2**63, 5, 7, 8], "kind": ["view"] * 4},
        schema_overrides={"item_id": pl.UInt64},
    )
    frame.write_parquet(tmp_path / "made.parquet")
    result = read(tmp_path, (tmp_path / "made.parquet").read_bytes(), "events.parquet")
    assert result.events["customer_id"].to_list() == ["13085", "1000000000000000"]
    assert result.events["item_id"].to_list() == [str(2**63), "8"]
    assert result.report.aside == {"no_customer": 2}
    assert any("13085.0 is read as the id 13085" in note for note in result.report.notes)
    assert result.quarantine.aside.drop("customer").row(1) == (
        3,
        "no_customer",
        '{"customer_id":null,"item_id":7,"kind":"view"}',
    )


def test_text_ids_keep_their_point_and_the_report_says_so(tmp_path: Path) -> None:
    """Text is never changed; ids that look like floats are pointed out."""
    result = read(tmp_path, "customer_id,item_id,kind\n13085.0,2,view\n")
    assert result.events["customer_id"].to_list() == ["13085.0"]
    assert result.report.notes[0] == "customer_id (customer_id) has ids such as 13085.0, kept as they are written"


def test_the_currency_of_prices_can_be_told(tmp_path: Path) -> None:
    """`--currency` fills in where a price has none, and only there."""
    text = "customer_id,item_id,kind,price,currency\n1,2,view,5,\n1,2,view,5,USD\n1,2,view,,\n"
    assert read(tmp_path, text, currency="EUR").events["currency"].to_list() == ["EUR", "USD", None]


def test_positions_may_be_equal_and_missing(tmp_path: Path) -> None:
    """A position is a whole number per customer; equal ones are one basket; missing ones stay unknown."""
    text = "customer_id,item_id,kind,position\n1,2,purchase,0\n1,3,purchase,0\n1,4,purchase,\n1,5,purchase,3.0\n"
    result = read(tmp_path, text)
    assert result.events["position"].to_list() == [0, 0, None, 3]
    assert result.events["timestamp"].null_count() == 4
