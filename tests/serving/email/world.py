"""A small shop of books and readers whose mails are known by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl

from recsys.data.catalog import CUSTOMER_SCHEMA, ITEM_SCHEMA, Catalog
from recsys.data.events import EventKind
from recsys.data.interactions import Interactions
from recsys.data.item_table import ItemTable
from recsys.errors import InputError
from recsys.recommend.recommender import Recommender
from recsys.stores.protocols import PERMISSION_SCHEMA
from serving.email.people import people_of
from serving.email.plan import Shop
from serving.email.reading import Surroundings
from serving.http.tokens import RecommendationTokens
from tests.worlds import DAY, START, event_frame, event_table, published

BOOKS, READERS, LAST = 24, 40, 60
NOW = START + (LAST + 1) * DAY
"""2024-01-14 22:13:20 UTC."""

SECRET = b"s" * 32
MAILED = {"customer_id": pl.String(), "at": pl.Int64(), "content": pl.String()}


def book(number: int) -> str:
    """The id of a book."""
    return f"b{number:02}"


def reader(number: int) -> str:
    """The id of a customer."""
    return f"r{number:02}"


def catalogue() -> pl.DataFrame:
    """Two shelves of twelve books; the first eight of each are volumes of a series."""
    rows = [
        {
            "item_id": book(number),
            "title": f"Book {number}",
            "author": f"Author {number % 4}",
            "category": f"Shelf {number % 2}",
            "price": 5.0 + number,
            "currency": "EUR",
            "published": START + (number - 4) * 3 * DAY,
            "attributes": orjson.dumps(
                {"series": f"Saga {number % 2}", "volume": number // 2 + 1} if number < 16 else {}
            ).decode(),
        }
        for number in range(BOOKS)
    ]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA)


def happened() -> list[tuple[str, str, EventKind, int | None]]:
    """Readers keep to one shelf, `n % 2`; each looks at a book twice and leaves another in the cart."""
    rows: list[tuple[str, str, EventKind, int | None]] = []
    for n in range(READERS):
        bought = [book((2 * (n + 3 * step) + n % 2) % BOOKS) for step in range(n % 6 + 1)]
        rows += [(reader(n), each, EventKind.PURCHASE, 5 + 6 * step) for step, each in enumerate(bought)]
        looked, carted = book((2 * (n + 1) + n % 2) % BOOKS), book((2 * (n + 2) + n % 2) % BOOKS)
        rows += [(reader(n), looked, EventKind.VIEW, 50), (reader(n), looked, EventKind.VIEW, 52)]
        rows.append((reader(n), carted, EventKind.ADD_TO_CART, 55))
    return rows


def attributes(n: int) -> dict[str, object]:
    """What the shop knows of a reader."""
    known: dict[str, object] = {"email": f"{reader(n)}@mail.example", "name": f"Reader {n}", "country": "DE"}
    if n % 4 == 0:
        known |= {"language": "de", "time_zone": "Asia/Seoul", "country": "KR"}
    return known


def customers(own: Mapping[int, Mapping[str, object]] | None = None) -> pl.DataFrame:
    """The readers' rows; `own` replaces single attributes, and `account_id`."""
    rows = []
    for n in range(READERS):
        said = attributes(n) | dict((own or {}).get(n, {}))
        account = said.pop("account_id", None)
        rows.append({"customer_id": reader(n), "account_id": account, "attributes": orjson.dumps(said).decode()})
    return pl.DataFrame(rows, schema=CUSTOMER_SCHEMA)


def facts() -> pl.DataFrame:
    """Every third reader is a champion of the tier gold."""
    return pl.DataFrame(
        {
            "customer_id": [reader(n) for n in range(READERS)],
            "segment": ["champion" if n % 3 == 0 else "new" for n in range(READERS)],
            "tier": ["gold" if n % 3 == 0 else None for n in range(READERS)],
            "recency_days": [n % 5 for n in range(READERS)],
            "frequency": [n % 6 + 1 for n in range(READERS)],
        }
    )


def permissions(own: Mapping[int, tuple[bool | None, bool]] | None = None) -> pl.DataFrame:
    """Everybody consented, but for `own`: what was granted, and whether recommendations are on."""
    said = dict.fromkeys(range(READERS), (True, True)) | dict(own or {})
    rows = [(reader(n), granted, on) for n, (granted, on) in said.items()]
    return pl.DataFrame(rows, schema=PERMISSION_SCHEMA, orient="row")


def mailed(rows: Sequence[tuple[int, int, Sequence[int]]]) -> pl.DataFrame:
    """Mails that went out: reader, how many days ago, and the books in it."""
    content = [
        (reader(n), NOW - days * DAY, orjson.dumps([{"block": "for_you", "items": [book(b) for b in books]}]).decode())
        for n, days, books in sorted(rows, key=lambda row: -row[1])
    ]
    return pl.DataFrame(content, schema=MAILED, orient="row")


def shop_in(folder: Path) -> Shop:
    """The shop with its models."""
    rows, events = catalogue(), event_frame(happened())
    bundle = published(folder, events, None, rows)
    interactions = Interactions.from_events(event_table(events)).over(bundle.items)
    return Shop(
        recommender=Recommender(bundle),
        catalog=Catalog.from_items(rows, bundle.items),
        table=ItemTable.from_items(rows, bundle.items),
        items=rows,
        interactions=interactions,
        people=people_of(customers(), pl.Series([], dtype=pl.String), facts()),
        permissions=permissions(),
        forgotten=frozenset(),
        unreachable=frozenset(),
        mailed=mailed([]),
        tokens=RecommendationTokens(SECRET),
    )


def with_people(shop: Shop, own: Mapping[int, Mapping[str, object]]) -> Shop:
    """The shop, where something else is known of some readers."""
    return replace(shop, people=people_of(customers(own), pl.Series([], dtype=pl.String), facts()))


def surroundings(shop: Shop, *, foresees: bool = False) -> Surroundings:
    """What a campaign's file is checked against."""
    from serving.email.people import customer_table
    from serving.email.reading import check_plain

    def check_template(name: str | None) -> None:
        if name not in (None, "cards"):
            raise InputError(f"there is no template {name!r}", expected="one of cards")

    return Surroundings(
        segments=("champion", "new", "lost"),
        tiers=("gold",),
        check_items=lambda text: check_plain(text, shop.table.kinds),
        check_customers=lambda text: check_plain(text, customer_table(shop.people).kinds),
        is_item=lambda item: item in shop.bundle.items,
        foresees=lambda name: _foresees(name, foresees=foresees),
        check_template=check_template,
    )


def _foresees(name: str | None, *, foresees: bool) -> bool:
    """Of the placement `home` it is not known how likely items are bought."""
    if name not in (None, "home"):
        raise InputError(f"there is no placement {name!r}", expected="one of home")
    return foresees and name is None


HEAD = """name = "autumn"
purpose = "email"

[shop]
name = "Moonlight Books"
language = "en"
time_zone = "Europe/Berlin"
item_url = "https://moonlight.example/{item_id}"
"""


def campaign_text(audience: str = "", blocks: str = '[[blocks]]\nkind = "for_you"\n', more: str = "") -> str:
    """A campaign's file."""
    return f"{HEAD}\n[audience]\n{audience}\n{blocks}\n{more}"
