"""Plans, shops and settings for tests of sending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from recsys.data.catalog import ITEM_SCHEMA
from recsys.data.profile import Consent
from recsys.shop import ShopFolder
from recsys.stores import open_store
from recsys.stores.protocols import Store
from serving.email.deliver import Pace
from serving.email.message import Sender
from serving.email.planned import PlanHeader, PlannedBlock, PlannedItem, PlannedMail
from serving.email.settings import DeliverySettings
from serving.email.smtp import MailServer, Security

NOW = 1_800_000_000_000
"""In UTC 08:00 on a Friday."""

ITEM = PlannedItem(
    "b1",
    "The First Book",
    "A. Author",
    12.5,
    "EUR",
    "https://shop.example/b1",
    None,
    "because of X",
    "history",
    "x",
    0.1,
)
BLOCKS = (
    PlannedBlock("for_you", "For you", (ITEM, replace(ITEM, item_id="b2", title="Second", price=None))),
    PlannedBlock("buy_again", "Buy again", (replace(ITEM, item_id="b3", title="Third <&>", author=None, reason=""),)),
)
MAIL = PlannedMail(
    "spring", "email", "ann", None, "ann@example.com", "Ann", "en", "UTC", 0, "New for you", BLOCKS, "token.signature"
)


def mail(customer_id: str, address: str | None = None) -> PlannedMail:
    """The mail of one customer."""
    return replace(MAIL, customer_id=customer_id, address=address or f"{customer_id}@example.com")


@dataclass(frozen=True)
class TestPlan:
    """A plan in memory."""

    __test__ = False
    planned: Sequence[PlannedMail]
    without: Sequence[tuple[str, str]] = ()
    planned_at: int = 1_800_000_000_000 - 3_600_000

    @property
    def header(self) -> PlanHeader:
        """Of the campaign `spring`, one fifth held out."""
        causes = [cause for _, cause in self.without]
        return PlanHeader(
            campaign="spring",
            purpose="email",
            template=None,
            shop="The Shop",
            language="en",
            time_zone="UTC",
            planned_at=self.planned_at,
            bundle="b",
            audience=len(self.planned) + len(self.without),
            planned=len(self.planned),
            suppressed={cause: causes.count(cause) for cause in causes},
            counted={},
            holdout=0.2,
            salt="s",
            blocks=(),
            words={},
            parts=1,
        )

    def mails(self) -> Iterator[PlannedMail]:
        """See `Plan`."""
        return iter(self.planned)

    def suppressed(self) -> pl.DataFrame:
        """See `Plan`."""
        return pl.DataFrame(list(self.without), schema={"customer_id": pl.String(), "cause": pl.String()}, orient="row")


def settings(port: int, **pace: object) -> DeliverySettings:
    """To a server of this machine."""
    quick = {"connections": 4, "first_pause": 0.05, "patience": 5.0} | pace
    return DeliverySettings(
        sender=Sender("The Shop", "mail@shop.example"),
        imprint="The Shop Ltd, 1 Long Road, Town",
        home_page="https://shop.example/",
        service="https://shop.example",
        server=MailServer("127.0.0.1", port, Security.NONE, timeout=10.0),
        pace=Pace(**quick),  # type: ignore[arg-type]
    )


def shop_of(home: Path, customer_ids: Sequence[str]) -> Store:
    """A store with the books of `MAIL` and a yes of these customers."""
    store = open_store(ShopFolder(home).store)
    rows = [
        {
            "item_id": item.item_id,
            "title": item.title,
            "price": item.price,
            "currency": item.currency,
            "available": True,
        }
        for block in BLOCKS
        for item in block.items
    ]
    with store.transaction():
        store.catalog.put(pl.DataFrame(rows, schema=ITEM_SCHEMA))
        for customer_id in customer_ids:
            store.profiles.put(customer_id, [Consent("email", True, "form", 5)])
    return store
