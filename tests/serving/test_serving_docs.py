"""The documents say what the service does: every example runs, every metric, problem and field is there."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from recsys.data.events import Event, EventKind
from recsys.data.profile import Consent
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.customer_shapes import (
    CustomerExport,
    CustomerOut,
    CustomerResult,
    CustomerResults,
    CustomersOut,
    MergedOut,
    ReceiptOut,
    ReceiptsOut,
)
from serving.http.event_input import EventIn
from serving.http.item_input import ItemIn
from serving.http.item_record import DETAILS
from serving.http.metrics import Metrics
from serving.http.problems import TITLES
from serving.http.schemas import (
    AnswerOut,
    AudienceOut,
    EventResults,
    Health,
    ItemRecord,
    ItemRecords,
    ItemResults,
    PageOut,
    ProblemOut,
    Readiness,
)
from serving.http.settings import Settings
from tests.serving.documented import API, by_operation, examples
from tests.serving.service import FakeClock, Service
from tests.serving.shop import DAY, START, train_shop

DOCS = Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text()
ITEM_EXAMPLES = ("put_item", "get_item", "get_items", "put_items", "delete_item", "delete_items")
NOVELS = ["emma", "persuasion", "middlemarch", "villette", "cranford"]
SPACE = ["dune", "solaris", "ubik", "neuromancer", "foundation"]


@pytest.fixture(scope="module")
def trained_bookshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop of the examples: readers of novels, readers of science fiction, and writers who use up notebooks."""
    home = tmp_path_factory.mktemp("docs") / "shop"
    store = open_store(ShopFolder(home).store)
    bought = [
        (f"{shelf[0]}{reader}", title, place)
        for shelf in (NOVELS, SPACE)
        for reader in range(8)
        for place, title in enumerate(shelf)
        if (reader + place) % 3
    ]
    bought += [("ada", "emma", 1), ("ada", "middlemarch", 2)]
    bought += [
        (writer, "notebook", 1 + week * 7) for writer in ("grace", *(f"w{n}" for n in range(8))) for week in range(6)
    ]
    store.events.append(
        [
            Event(
                event_id=f"{customer}-{title}-{day}",
                customer_id=customer,
                kind=EventKind.PURCHASE,
                item_id=title,
                timestamp=START + day * DAY,
            )
            for customer, title, day in bought
        ]
    )
    looks = [("emma", EventKind.VIEW), ("dune", EventKind.ADD_TO_CART)]
    store.events.append(
        [
            Event(event_id=title, customer_id="grace", kind=kind, item_id=title, timestamp=START + (37 + step) * DAY)
            for step, (title, kind) in enumerate(looks)
        ]
    )
    store.profiles.put("ada", [Consent("email", True, "checkout", START)])
    store.close()
    train_shop(home)
    return home


@pytest.fixture
def bookshop(trained_bookshop: Path, tmp_path: Path) -> Iterator[Service]:
    """The service over a copy of it."""
    home = Path(shutil.copytree(trained_bookshop, tmp_path / "shop"))
    with Service(Settings(home=home), FakeClock(1_780_000_000_000)) as running:
        yield running


def shape(value: object) -> object:
    """The types of a value: fields of an object, the kinds of elements of a list, null apart from the rest."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted({str(shape(part)) for part in value})
    return None if value is None else type(value).__name__


def ask(service: Service, name: str) -> tuple[Any, Any]:
    """What the document shows and what the service answers."""
    method, target, blocks = examples()[name]
    if len(blocks) > 1:
        return blocks[-1], service.ask(method, target, orjson.dumps(blocks[0]), content_type="application/json").json()
    return blocks[-1], service.ask(method, target).json()


SHAPES: list[tuple[str, type[BaseModel]]] = [
    ("recommendations", AnswerOut),
    ("session", AnswerOut),
    ("rank", AnswerOut),
    ("pages", PageOut),
    ("related", AnswerOut),
    ("audience", AudienceOut),
    ("popular", AnswerOut),
    ("buy_again", AnswerOut),
    ("recently_viewed", AnswerOut),
    ("events", EventResults),
    ("put_customer", CustomerResult),
    ("put_customers", CustomerResults),
    ("customer", CustomerOut),
    ("get_customers", CustomersOut),
    ("export", CustomerExport),
    ("merge", MergedOut),
    ("forget", ReceiptOut),
    ("forget_customers", ReceiptsOut),
    ("put_items", ItemResults),
    ("get_items", ItemRecords),
    ("delete_items", ItemResults),
    ("live", Health),
    ("ready", Readiness),
    ("problem", ProblemOut),
]
"""Each example, and the shape of its answer."""


def test_every_example_is_checked() -> None:
    """Each of the document is among those whose shape or words are compared below."""
    assert set(examples()) == {name for name, _ in SHAPES} | set(ITEM_EXAMPLES)


def test_every_operation_shows_the_documents_example(bookshop: Service) -> None:
    """In /openapi.json each operation that speaks JSON has the request and the answer of docs/http-api.md; where this
    fails after a change of the document: `python -m tests.serving.documented`."""
    shown = {}
    for path, operations in bookshop.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            contents = [reply.get("content", {}).get("application/json") for reply in operation["responses"].values()]
            answers = [content["example"] for content in contents if content and "example" in content]
            body = operation.get("requestBody")
            request = {} if body is None else {"request": body["content"]["application/json"].get("example")}
            if any(contents):
                shown[f"{method.upper()} {path}"] = request | {"answer": answers[0] if answers else None}
    assert shown == by_operation()


@pytest.mark.parametrize(("name", "model"), SHAPES)
def test_an_example_and_the_real_answer_have_the_described_shape(
    bookshop: Service, name: str, model: type[BaseModel]
) -> None:
    """Both fit the schema that /openapi.json gives, with no field missing or added."""
    for document in ask(bookshop, name):
        wanted = {name for name, field in model.model_fields.items() if field.is_required()}
        assert wanted <= set(document) <= set(model.model_fields)
        model.model_validate(document)


@pytest.mark.parametrize("name", ["live", "ready", "problem"])
def test_a_fixed_example_is_the_real_answer(bookshop: Service, name: str) -> None:
    """Word for word, but for the request's id."""
    shown, real = ask(bookshop, name)
    for document in (shown, real):
        document.pop("instance", None)
    assert shown == real


def test_the_examples_of_lists_have_the_fields_of_real_ones(bookshop: Service) -> None:
    """Item by item and in `served_from`; the recommended book of the example is really recommended."""
    for name in ("recommendations", "session", "rank", "related", "popular", "buy_again", "recently_viewed"):
        shown, real = ask(bookshop, name)
        if name == "rank":
            assert shown["served_from"]["short"] == real["served_from"]["short"]
        assert len(real["items"]) == len(shown["items"])
        if name in ("recommendations", "session", "rank", "related"):
            assert real["items"][0]["item_id"] in NOVELS
        else:
            assert (real["items"], real["served_from"]["short"]) == (shown["items"], shown["served_from"]["short"])
        assert shape(shown["items"][0].keys()) == shape(real["items"][0].keys())
        assert shown["served_from"].keys() == real["served_from"].keys()
        assert shown["served_from"]["masked"].keys() == real["served_from"]["masked"].keys()
        assert real["items"][0]["reason"]["code"] == shown["items"][0]["reason"]["code"]
        for entry in shown["items"]:
            assert entry["score"] == pytest.approx(sum(part["share"] for part in entry["reason"]["evidence"]))


def test_the_example_of_a_page_has_the_lists_of_a_real_one(bookshop: Service) -> None:
    """List by list: names, fields, masks, and the problem of the list that cannot be made."""
    shown, real = (document["lists"] for document in ask(bookshop, "pages"))
    assert [entry["name"] for entry in shown] == [entry["name"] for entry in real]
    for example, answer in zip(shown[:2], real[:2], strict=True):
        assert [set(each) for each in example["items"]] == [set(each) for each in answer["items"]]
        assert list(example["served_from"]["masked"]) == list(answer["served_from"]["masked"])
    fixed = [
        {key: entry["problem"][key] for key in ("type", "title", "status", "errors")} for entry in (shown[2], real[2])
    ]
    assert fixed[0] == fixed[1]


def test_the_example_of_an_audience_is_the_real_one(bookshop: Service) -> None:
    """The same customer for the same kind of reason, and the same counts."""
    shown, real = ask(bookshop, "audience")
    assert [each["customer_id"] for each in shown["customers"]] == [each["customer_id"] for each in real["customers"]]
    assert shown["customers"][0]["reason"]["code"] == real["customers"][0]["reason"]["code"]
    counts = ("found", "looked_at", "consenting", "next")
    assert {name: shown[name] for name in counts} == {name: real[name] for name in counts}


def test_the_example_of_events_has_the_results_that_it_shows(bookshop: Service) -> None:
    """Status by status, and the refusal at the same place."""
    shown, real = ask(bookshop, "events")
    assert [result["status"] for result in shown["results"]] == [result["status"] for result in real["results"]]
    assert [shape(result) for result in shown["results"]] == [shape(result) for result in real["results"]]
    places = [result["results"][3]["error"]["errors"][0]["place"] for result in (shown, real)]
    assert places[0] == places[1]


def test_the_examples_of_items_are_the_real_answers(bookshop: Service) -> None:
    """One after the other, as they stand there, word for word but for the bundle."""
    for name in ITEM_EXAMPLES:
        shown, real = ask(bookshop, name)
        for document in (shown, real):
            for entry in [document, *document.get("items", [])]:
                if "bundle" in entry:
                    entry["bundle"] = "some"
        assert shown == real, name
    ItemRecord.model_validate(examples()["get_item"][2][0])


def test_the_curl_line_of_items_works(bookshop: Service) -> None:
    """Method, path and body, taken apart as a shell does."""
    (line,) = re.findall(r"^curl (.*/v1/items.*)$", API, re.M)
    _, method, address, _, header, _, body = shlex.split(line)
    target = "/" + address.split("/", 3)[3]
    reply = bookshop.ask(method, target, body.encode(), content_type=header.partition(": ")[2])
    assert reply.status == 201
    assert bookshop.get(target).json()["hidden_because"] == "unavailable"


def test_every_reason_to_hide_an_item_is_documented() -> None:
    """And no other."""
    rows = API.split("| `hidden_because` |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", rows, re.M)) == set(DETAILS)


def test_every_field_of_an_event_and_of_an_item_is_documented() -> None:
    """In the tables of fields."""
    rows = " ".join(re.findall(r"^\| (`[^|]+) \|", API, re.M))
    assert [field for shape in (EventIn, ItemIn) for field in shape.model_fields if f"`{field}`" not in rows] == []


def test_every_kind_of_event_is_documented() -> None:
    """By its name."""
    assert [kind for kind in EventKind if f"`{kind}`" not in API and not kind.startswith("email_")] == []


def test_every_problem_is_documented() -> None:
    """Each type has a row, and no row is of a type that is gone."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:\d{3}|any other) \|", API, re.M)
    assert sorted(rows) == sorted(TITLES)


def test_every_metric_is_documented_with_its_labels() -> None:
    """Each metric has a row, and no row is of a metric that is gone."""
    rows = dict(re.findall(r"^\| `(bookmatch_\w+)` \| ([^|]*)\|", OPERATIONS, re.M))
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()}
    real = {}
    for collector in vars(Metrics()).values():
        if hasattr(collector, "_labelnames"):
            suffix = "_total" if collector._type == "counter" else ""
            real[f"{collector._name}{suffix}"] = set(collector._labelnames)
    assert documented == real
