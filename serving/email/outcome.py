"""What came of a mailing: who got it, what they did, and what the mails changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
import polars as pl

from recsys.data.events import EventKind
from recsys.experiments import Arm, Experiment
from recsys.experiments.report import Report, report_on
from recsys.outcomes.metric import Metric
from recsys.stores.ledger import Mailing, MailState, Totals
from recsys.stores.protocols import Store
from serving.email.campaign import MAILED
from serving.email.sending import experiment_name
from serving.http.tokens import AnswerIdentity

MONTH_MS: Final = 30.4375 * 86_400_000
_COUNTED: Final = (
    EventKind.EMAIL_OPEN,
    EventKind.EMAIL_CLICK,
    EventKind.CLICK,
    EventKind.PURCHASE,
    EventKind.EMAIL_BOUNCE,
    EventKind.UNSUBSCRIBE,
    EventKind.COMPLAINT,
)
_MOST_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Exposed:
    """An item in mails: in how many of them, and how it stands with the shop: `available`, and the attribute `stock`
    where that is a number."""

    item_id: str
    mails: int
    available: bool
    stock: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one mailing, as of one moment.

    Attributes
    ----------
    uncertain : the customers whose mail may or may not have been taken.
    opened, clicked, bought : how many customers did so by a link of the mail; `purchases` by how many events.
    revenue : by currency, of these purchases.
    bounced, left : customers whose mail came back for good, and who unsubscribed or complained since.
    places : by kind of block, the share of all items in mails that were sent.
    exposed : the items that most mails had.
    lift : of everybody who was to get the campaign's mails over the holdout; None without one.
    """

    mailing: Mailing
    totals: Totals
    uncertain: tuple[str, ...]
    opened: int
    clicked: int
    bought: int
    purchases: int
    revenue: Mapping[str, float]
    bounced: int
    left: int
    places: Mapping[str, float]
    exposed: tuple[Exposed, ...]
    lift: Report | None

    @property
    def reach(self) -> float:
        """The share of the audience that was sent a mail."""
        return self.totals.states[MailState.SENT] / self.totals.audience if self.totals.audience else 0.0


def outcome_of(
    store: Store,
    mailing: Mailing,
    read_token: Callable[[str], AnswerIdentity | None],
    holdout: float,
    as_of: int,
) -> Outcome:
    """What came of a mailing up to `as_of` (milliseconds UTC). `holdout` is the share that its campaign held out."""
    rows = store.ledger.rows(mailing.name)
    reached = rows.filter(pl.col("state").is_in([str(MailState.SENT), str(MailState.UNCERTAIN)]))
    events = store.events.period(_COUNTED, mailing.planned, as_of + 1)
    came = _by_link(events, mailing, read_token)
    of_ours = events.filter(pl.col("customer_id").is_in(reached["customer_id"].to_list()))
    bought = came.filter(kind=str(EventKind.PURCHASE))
    places, exposed = _contents(store, reached)
    return Outcome(
        mailing=mailing,
        totals=store.ledger.totals(mailing.name),
        uncertain=tuple(rows.filter(state=str(MailState.UNCERTAIN))["customer_id"].to_list()),
        opened=_people(came, EventKind.EMAIL_OPEN),
        clicked=_people(came, EventKind.EMAIL_CLICK, EventKind.CLICK),
        bought=_people(came, EventKind.PURCHASE),
        purchases=bought.height,
        revenue=_revenue(bought),
        bounced=_people(of_ours.filter(~_is_delayed()), EventKind.EMAIL_BOUNCE),
        left=_people(of_ours, EventKind.UNSUBSCRIBE, EventKind.COMPLAINT),
        places=places,
        exposed=exposed,
        lift=report_on(campaign_experiment(mailing.campaign, holdout), store, as_of, lambda _: None)
        if holdout > 0
        else None,
    )


def campaign_experiment(campaign: str, holdout: float) -> Experiment:
    """The comparison of who gets a campaign's mails with who is held out of them: the lift is that of the mails."""
    return Experiment(
        name=experiment_name(campaign),
        placement=experiment_name(campaign),
        arms=(Arm(name=MAILED),),
        control="holdout",
        holdout=holdout,
        salt=campaign,
        primary=Metric.PURCHASES,
    )


def unserved(store: Store, purpose: str, months: float, now: int) -> list[str]:
    """The customers, ascending, who may be mailed for a purpose and were sent no mail of any for so many months."""
    served = set(store.ledger.mailed(int(now - months * MONTH_MS))["customer_id"].to_list())
    return [customer_id for customer_id in store.profiles.consenting(purpose) if customer_id not in served]


def _by_link(
    events: pl.DataFrame, mailing: Mailing, read_token: Callable[[str], AnswerIdentity | None]
) -> pl.DataFrame:
    """The events that carry a token of this mailing: of its campaign, made with its plan."""
    tokens = events["recommendation_id"].drop_nulls().unique().to_list()
    placement = experiment_name(mailing.campaign)
    ours = []
    for token in tokens:
        said = read_token(token)
        if said is not None and (said.placement, said.time) == (placement, mailing.planned):
            ours.append(token)
    return events.filter(pl.col("recommendation_id").is_in(ours))


def _people(events: pl.DataFrame, *kinds: EventKind) -> int:
    return events.filter(pl.col("kind").is_in([str(kind) for kind in kinds]))["customer_id"].n_unique()


def _is_delayed() -> pl.Expr:
    """Of a report that only says that a mail is on its way still."""
    return pl.col("context").str.json_path_match("$.permanent").eq_missing(pl.lit("false"))


def _revenue(bought: pl.DataFrame) -> dict[str, float]:
    sums = (
        bought.filter(pl.col("price").is_not_null())
        .group_by(pl.col("currency").fill_null(""))
        .agg(amount=(pl.col("price") * pl.col("quantity")).sum())
        .sort("currency")
    )
    return dict(sums.iter_rows())


def _contents(store: Store, reached: pl.DataFrame) -> tuple[dict[str, float], tuple[Exposed, ...]]:
    kinds: Counter[str] = Counter()
    items: Counter[str] = Counter()
    for content in reached["content"]:
        for block in orjson.loads(content):
            kinds[block["block"]] += len(block["items"])
            items.update(block["items"])
    total = kinds.total()
    most = items.most_common(_MOST_ITEMS)
    rows = {row["item_id"]: row for row in store.catalog.get([item for item, _ in most]).iter_rows(named=True)}
    exposed = tuple(_exposed(item, mails, rows.get(item)) for item, mails in most)
    return {kind: count / total for kind, count in kinds.most_common()}, exposed


def _exposed(item_id: str, mails: int, row: Mapping[str, object] | None) -> Exposed:
    if row is None:
        return Exposed(item_id, mails, available=False, stock=None)
    attributes = row["attributes"]
    stock = orjson.loads(attributes).get("stock") if isinstance(attributes, str) else None
    number = float(stock) if isinstance(stock, int | float) and not isinstance(stock, bool) else None
    return Exposed(item_id, mails, row["available"] is not False, number)
