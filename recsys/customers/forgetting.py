"""Forgetting a customer everywhere in a shop's folder."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recsys.customers.planned_mails import remove_from_plans
from recsys.durable import replace_file
from recsys.errors import StoreUnavailableError
from recsys.shop import ShopFolder
from recsys.stores.protocols import Erased, Store


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was removed.

    Attributes
    ----------
    erased : from the store.
    quarantined : how many rows of files of refused rows.
    planned : how many rows of plans of campaigns.
    """

    erased: Erased
    quarantined: int
    planned: int = 0


def forget(shop: ShopFolder, store: Store, customer_id: str, at: int) -> Receipt:
    """Removes a customer from a shop's store, from the files of refused rows and from the plans of campaigns beside it.

    Models name no customers: what they learned from this one among all others goes with the next training. Raises
    UnknownCustomerError, and StoreUnavailableError where something could not be removed yet; asking again goes on.
    """
    # First here: once the store has forgotten, nobody knows any more under which other ids the person was met.
    profile = store.profiles.get(customer_id)
    ids = (profile.customer_id, *profile.visitors)
    known = store.persons.known(customer_id)
    quarantined = _clean(shop, ids) if known else 0
    planned = remove_from_plans(shop.mailings, ids) if known else 0
    erased = store.persons.forget(customer_id, at)
    planned += remove_from_plans(shop.mailings, erased.ids)
    return Receipt(erased, quarantined + _clean(shop, erased.ids), planned)


def _clean(shop: ShopFolder, ids: Sequence[str]) -> int:
    """Removes these ids from all files of refused rows, those that a killed import left unfinished too."""
    if not shop.quarantine.is_dir():
        return 0
    with _alone(shop.quarantine):
        return sum(_without(path, ids) for path in sorted(shop.quarantine.glob("*.csv*")))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else forgets meanwhile: of two who rewrite one file the second would bring back what the first removed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise StoreUnavailableError(
            f"the refused rows in {folder} cannot be looked through: {error}",
            remedy="see that this user may read and write there, then ask again",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _without(path: Path, ids: Sequence[str]) -> int:
    """Removes the rows that name one of these ids from a file of refused rows; how many."""
    forms = {form for each in ids for form in _written(each)}
    named = _pattern(forms)
    # Ids may come as numbers were written: 0042 as "42" is another customer, and stays.
    try:
        text = path.read_bytes().decode()
        # Within the file itself each quote stands twice.
        if _pattern({form.replace('"', '""') for form in forms}).search(text) is None:
            return 0
        header, *rows = list(csv.reader(io.StringIO(text, newline="")))
        kept = [row for row in rows if not any(named.search(cell) for cell in row)]
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=os.linesep if "\r\n" in text else "\n").writerows([header, *kept])
        replace_file(path, out.getvalue().encode())
    except FileNotFoundError:
        return 0  # An import has given it its name, or taken it away.
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreUnavailableError(
            f"the customer is removed from the store, but not from the refused rows in {path}: {error}",
            remedy="see that this user may write there, then ask again; or remove the file",
        ) from error
    return len(rows) - len(kept)


def _written(customer_id: str) -> Iterator[str]:
    """How a row of CSV or JSON may write an id."""
    yield customer_id
    yield customer_id.replace('"', '""')
    yield json.dumps(customer_id)[1:-1]
    yield json.dumps(customer_id, ensure_ascii=False)[1:-1]


def _pattern(forms: Collection[str]) -> re.Pattern[str]:
    """An id is named where it does not go on as a longer word: `c1` is not in `c12`."""
    return re.compile("|".join(rf"(?<![^\W_]){re.escape(form)}(?![^\W_])" for form in sorted(forms)))
