"""What customers said, in SQLite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from recsys.data.profile import Consent, Profile, check_consent, in_force
from recsys.errors import InputError
from recsys.stores.admission import check_ids, storable
from recsys.stores.sqlite.database import Database
from recsys.stores.sqlite.forgotten import Forgotten
from recsys.stores.sqlite.names import ROOT, ROOT_OF_ID, Names
from recsys.stores.sqlite.sequence import reserve

MERGED = "merge"
"""The source of a no that one of two ids had said before they turned out to be one person."""

_WHO = f"""
    SELECT customer, customer_id, profiles.version, recommendations FROM customers LEFT JOIN profiles USING (customer)
    WHERE customer = {ROOT_OF_ID}
"""  # noqa: S608
_VERSION = f"""
    SELECT version FROM profiles
    WHERE customer = {ROOT_OF_ID}
"""  # noqa: S608
_VISITORS = "SELECT customer_id FROM customers WHERE merged_into = ? ORDER BY customer_id"
_GROUP = "customer = ? OR customer IN (SELECT customer FROM customers WHERE merged_into = ?)"
_STATEMENTS = f"""
    SELECT purpose, granted, source, stated FROM consents WHERE {_GROUP} ORDER BY seq
"""  # noqa: S608
_STATE = "INSERT INTO consents (customer, purpose, seq, granted, source, stated) VALUES (?, ?, ?, ?, ?, ?)"
_KEEP = """
    INSERT INTO profiles (customer, version, recommendations, merged) VALUES (?, ?, ?, ?)
    ON CONFLICT (customer) DO UPDATE SET (version, recommendations, merged) =
        (excluded.version, excluded.recommendations, max(merged, excluded.merged))
"""
_ABOUT = f"""
    SELECT {ROOT}, purpose, granted, source, stated
    FROM consents JOIN customers USING (customer) WHERE purpose = ? ORDER BY seq
"""  # noqa: S608
_OFF = "SELECT customer FROM profiles WHERE NOT recommendations"
_MERGE = "UPDATE customers SET merged_into = ? WHERE customer = ? OR merged_into = ?"
_UNPACK = "DELETE FROM packed_histories WHERE customer IN (?, ?)"


class SqliteProfiles:
    """Implements `ProfileStore`."""

    def __init__(self, database: Database, forgotten: Forgotten) -> None:
        self._database = database
        self._forgotten = forgotten
        self._customers = Names(database, "customers", "customer")

    def get(self, customer_id: str) -> Profile:
        """See `ProfileStore`."""
        if not storable(customer_id):
            return Profile(customer_id)
        with self._database.snapshot():
            found = self._database.query(_WHO, (customer_id,))
            if not found:
                return Profile(customer_id)
            ((number, own_id, version, recommendations),) = found
            visitors = tuple(visitor for (visitor,) in self._database.query(_VISITORS, (number,)))
            # Nothing was said: there is nothing to look for.
            consents = in_force(self._said(number)) if version else {}
        return Profile(own_id, version or 0, recommendations != 0, consents, visitors)

    def version(self, customer_id: str) -> int:
        """See `ProfileStore`."""
        found = self._database.query(_VERSION, (customer_id,)) if storable(customer_id) else []
        return int(found[0][0]) if found else 0

    def put(
        self, customer_id: str, consents: Sequence[Consent] = (), *, recommendations: bool | None = None
    ) -> Profile:
        """See `ProfileStore`."""
        check_ids("customer_id", [customer_id])
        for consent in consents:
            check_consent(consent)
        with self._database.transaction():
            self._forgotten.check([customer_id])
            before = self.get(customer_id)
            number = self._customers.intern([before.customer_id])[before.customer_id]
            said = set(self._said(number))
            new = [consent for consent in dict.fromkeys(consents) if consent not in said]
            wanted = before.recommendations if recommendations is None else recommendations
            if new or wanted != before.recommendations:
                self._state(number, new)
                self._keep(number, wanted)
            return self.get(customer_id)

    def statements(self, customer_id: str) -> Sequence[Consent]:
        """See `ProfileStore`."""
        if not storable(customer_id):
            return []
        with self._database.snapshot():
            found = self._database.query(_WHO, (customer_id,))
            return self._said(found[0][0]) if found else []

    def merge(self, visitor_id: str, customer_id: str, at: int) -> bool:
        """See `ProfileStore`."""
        check_ids("customer_id", [visitor_id, customer_id])
        with self._database.transaction():
            self._forgotten.check([visitor_id, customer_id])
            visitor, customer = self.get(visitor_id), self.get(customer_id)
            if visitor.customer_id == customer.customer_id:
                if visitor_id == customer_id:
                    raise InputError(f"{visitor_id!r} is to be merged into itself", expected="two ids")
                return False
            numbers = self._customers.intern([visitor.customer_id, customer.customer_id])
            number, old = numbers[customer.customer_id], numbers[visitor.customer_id]
            refused = {
                purpose
                for side in (visitor, customer)
                for purpose, consent in side.consents.items()
                if not consent.granted
            }
            self._database.run(_MERGE, (number, old, old))
            self._database.run(_UNPACK, (number, old))
            now = in_force(self._said(number))
            lost = sorted(purpose for purpose in refused if now[purpose].granted)
            self._state(number, [Consent(purpose, False, MERGED, max(at, now[purpose].stated)) for purpose in lost])
            self._keep(number, visitor.recommendations and customer.recommendations, merged=True)
        return True

    def consenting(self, purpose: str) -> Sequence[str]:
        """See `ProfileStore`."""
        with self._database.snapshot():
            said: defaultdict[int, list[Consent]] = defaultdict(list)
            for number, *consent in self._database.query(_ABOUT, (purpose,)):
                said[number].append(_consent(*consent))
            off = {number for (number,) in self._database.query(_OFF)}
            numbers = [
                number
                for number, statements in said.items()
                if number not in off and in_force(statements)[purpose].granted
            ]
            return sorted(self._customers.texts(numbers).values())

    def _said(self, number: int) -> list[Consent]:
        return [_consent(*row) for row in self._database.query(_STATEMENTS, (number, number))]

    def _state(self, number: int, consents: Sequence[Consent]) -> None:
        if not consents:
            return
        rows = enumerate(consents, reserve(self._database, len(consents)))
        self._database.run_many(
            _STATE, [(number, each.purpose, seq, int(each.granted), each.source, each.stated) for seq, each in rows]
        )

    def _keep(self, number: int, recommendations: bool, *, merged: bool = False) -> None:
        # Of the numbers that events get, so that it is larger than any version that was told before.
        version = reserve(self._database, 1)
        self._database.run(_KEEP, (number, version, int(recommendations), version if merged else 0))


def _consent(purpose: str, granted: int, source: str, stated: int) -> Consent:
    return Consent(purpose, bool(granted), source, stated)
