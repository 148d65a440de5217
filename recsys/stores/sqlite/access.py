"""API keys and the audit in SQLite."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import orjson

from recsys.access.audit import Act, AuditLine
from recsys.access.keys import ApiKey, Role
from recsys.access.rates import Rate
from recsys.data.events import EventKind
from recsys.errors import InputError
from recsys.stores.sqlite.database import Database, Row, as_json

_COLUMNS = "key_id, digest, role, name, created, origins, kinds, rate, expires, revoked"
_ALL = f"SELECT {_COLUMNS} FROM api_keys ORDER BY created, key_id"  # noqa: S608 - our own text
_ONE = f"SELECT {_COLUMNS} FROM api_keys WHERE key_id = ?"  # noqa: S608 - our own text
_ADD = f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own text
_KNOWN = "SELECT 1 FROM api_keys WHERE key_id = ? OR digest = ?"
_EXPIRE = "UPDATE api_keys SET expires = min(coalesce(expires, ?1), ?1) WHERE key_id = ?2"
_REVOKE = "UPDATE api_keys SET revoked = coalesce(revoked, ?1) WHERE key_id = ?2"
_MARK = "SELECT value FROM meta WHERE key = 'keys'"
_CHANGED = "UPDATE meta SET value = ? WHERE key = 'keys'"

_LINE = "INSERT INTO audit (at, actor, act, subjects, number, result, request_id) VALUES (?, ?, ?, ?, ?, ?, ?)"
_LINES = """
    SELECT at, actor, act, subjects, number, result, request_id FROM audit WHERE ?1 IS NULL OR at >= ?1 ORDER BY line
"""


class SqliteKeys:
    """Implements `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey) -> None:
        """See `KeyStore`."""
        rate = None if key.rate is None else str(key.rate)
        with self._database.transaction():
            if self._database.query(_KNOWN, (key.key_id, key.digest)):
                raise InputError(f"there is a key {key.key_id!r} already", remedy="make another")
            row = (key.key_id, key.digest, str(key.role), key.name, key.created, as_json(key.origins))
            self._database.run(_ADD, (*row, as_json(key.kinds), rate, key.expires, key.revoked))
            self._change()

    def all(self) -> Sequence[ApiKey]:
        """See `KeyStore`."""
        return [_key(row) for row in self._database.query(_ALL)]

    def expire(self, key_id: str, at: int) -> ApiKey:
        """See `KeyStore`."""
        return self._update(_EXPIRE, key_id, at)

    def revoke(self, key_id: str, at: int) -> ApiKey:
        """See `KeyStore`."""
        return self._update(_REVOKE, key_id, at)

    def mark(self) -> str:
        """See `KeyStore`."""
        (mark,) = self._database.one(_MARK)
        return str(mark)

    def _update(self, statement: str, key_id: str, at: int) -> ApiKey:
        with self._database.transaction():
            self._database.run(statement, (at, key_id))
            found = self._database.query(_ONE, (key_id,))
            if not found:
                raise InputError(f"there is no key {key_id!r}", remedy="see `bookmatch keys list`")
            self._change()
        return _key(found[0])

    def _change(self) -> None:
        # Random and not counted: a backup that is put in place and then changed must not look like what was there.
        self._database.run(_CHANGED, (secrets.token_hex(8),))


class SqliteAudit:
    """Implements `AuditStore`; triggers keep what is there as it is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, line: AuditLine) -> None:
        """See `AuditStore`."""
        row = (line.at, line.actor, str(line.act), as_json(line.subjects), line.number, line.result, line.request_id)
        with self._database.transaction():
            self._database.run(_LINE, row)

    def read(self, since: int | None = None) -> Sequence[AuditLine]:
        """See `AuditStore`."""
        rows = self._database.query(_LINES, (since,))
        return [
            AuditLine(at, actor, Act(act), tuple(orjson.loads(subjects)), number, result, request_id)
            for at, actor, act, subjects, number, result, request_id in rows
        ]


def _key(row: Row) -> ApiKey:
    key_id, digest, role, name, created, origins, kinds, rate, expires, revoked = row
    return ApiKey(
        key_id,
        bytes(digest),
        Role(role),
        name,
        created,
        tuple(orjson.loads(origins)),
        tuple(EventKind(kind) for kind in orjson.loads(kinds)),
        None if rate is None else Rate.parse(rate),
        expires,
        revoked,
    )
