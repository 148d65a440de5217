"""What is known of one customer, for people who ask: read from the store as it is now, beside the answering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from recsys.customers.kept import kept_of
from recsys.data.events import KIND_BY_CODE
from recsys.data.history import History
from recsys.data.profile import Consent
from recsys.data.signals import UNKNOWN_TIME
from recsys.errors import ForgottenCustomerError, UnknownCustomerError
from recsys.stores.protocols import Store
from serving.http.engine import Engine

MAX_TASTE = 50
"""So many items are named of what speaks for a customer, the strongest first."""


def known_ids(store: Store, customer_id: str) -> tuple[str, ...]:
    """The ids of one person, the customer's first. Raises UnknownCustomerError and ForgottenCustomerError."""
    if store.persons.forgotten([customer_id]):
        raise ForgottenCustomerError([customer_id])
    if not store.persons.known(customer_id):
        raise UnknownCustomerError(customer_id)
    profile = store.profiles.get(customer_id)
    return profile.customer_id, *profile.visitors


def about(store: Store, engine: Engine | None, customer_id: str, history_limit: int) -> dict[str, Any]:
    """What is known of a customer and what follows from it. Raises as `known_ids`."""
    ids = known_ids(store, customer_id)
    profile = store.profiles.get(customer_id)
    events = store.persons.events(customer_id)
    stored = store.histories.get(customer_id, history_limit)
    told: dict[str, Any] = {
        **_row(store, ids[0]),
        "facts": dict(kept_of(store, ids[0])) or None,
        "visitors": list(ids[1:]),
        "recommendations": profile.recommendations,
        "consents": {purpose: _said(consent) for purpose, consent in profile.consents.items()},
        "events": dict(sorted(Counter(events["kind"].to_list()).items())),
        "first": moment(_int(events["timestamp"].min())),
        "last": moment(_int(events["timestamp"].max())),
        "taste": [],
        "not_shown_again": 0,
        "unknown_items": 0,
    }
    if engine is not None:
        told |= _taste(engine, History.from_stored(stored, engine.bundle.items))
    return told


def export(store: Store, customer_id: str) -> dict[str, Any]:
    """Everything that is stored of a customer. Raises as `known_ids`."""
    ids = known_ids(store, customer_id)
    profile = store.profiles.get(customer_id)
    events = store.persons.events(customer_id)
    rows = []
    for event in events.iter_rows(named=True):
        context = event["context"]
        known = {name: value for name, value in event.items() if value is not None}
        rows.append(
            known
            | ({"timestamp": moment(event["timestamp"])} if event["timestamp"] is not None else {})
            | ({"context": orjson.loads(context)} if context is not None else {})
        )
    return {
        **_row(store, ids[0]),
        "facts": dict(kept_of(store, ids[0])) or None,
        "visitors": list(ids[1:]),
        "recommendations": profile.recommendations,
        "consents": [{"purpose": each.purpose} | _said(each) for each in store.profiles.statements(customer_id)],
        "events": rows,
        "exposures": [
            {"experiment": each.experiment, "arm": each.arm, "customer_id": each.customer_id, "at": moment(each.at)}
            for each in store.exposures.of_person(customer_id)
        ],
    }


def moment(milliseconds: int | None) -> str | None:
    """ISO 8601 in UTC; a time that no calendar has as it is stored."""
    if milliseconds is None:
        return None
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _row(store: Store, customer_id: str) -> dict[str, Any]:
    rows = store.customers.get([customer_id]).to_dicts()
    row = rows[0] if rows else {"account_id": None, "attributes": None}
    attributes = row["attributes"]
    return {
        "customer_id": customer_id,
        "account_id": row["account_id"],
        "attributes": None if attributes is None else orjson.loads(attributes),
    }


def _said(consent: Consent) -> dict[str, Any]:
    return {"granted": consent.granted, "source": consent.source, "stated_at": moment(consent.stated)}


def _taste(engine: Engine, history: History) -> dict[str, Any]:
    """What speaks for items, the strongest first, and because of what."""
    taste = engine.recommender.taste(history)
    order = sorted(range(len(taste.items)), key=lambda place: (-taste.strengths[place], taste.items[place]))
    return {
        "taste": [
            {
                "item_id": engine.bundle.items[int(taste.items[place])],
                "strength": round(float(taste.strengths[place]), 5),
                "kind": str(KIND_BY_CODE[int(taste.kinds[place])]),
                "last": _last(history, int(taste.items[place])),
            }
            for place in order[:MAX_TASTE]
        ],
        "not_shown_again": len(taste.seen),
        "unknown_items": history.unknown_items,
    }


def _last(history: History, item: int) -> str | None:
    times: Sequence[int] = history.timestamp[history.item == item].tolist()
    newest = max(times)
    return None if newest == UNKNOWN_TIME else moment(newest)


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
