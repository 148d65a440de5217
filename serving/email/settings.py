"""How a shop sends its mails: `email/delivery.toml` in its folder."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsys.access.rates import Rate
from recsys.errors import InputError
from serving.email.addresses import is_address
from serving.email.deliver import Pace
from serving.email.links import is_link
from serving.email.message import Sender
from serving.email.smtp import MailServer, Security

FILE: Final = "delivery.toml"
PASSWORD: Final = "BOOKMATCH_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
"""The variable that holds the password of [smtp] user; no file does."""

_TEXTS = {
    "sender": ("name", "address", "reply_to", "bounces", "imprint"),
    "links": ("home_page", "service"),
    "smtp": ("host", "security", "user", "authorities"),
    "pace": ("rate", "domain_rate"),
}
_NUMBERS: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "smtp": {"port": (1, 65_535), "timeout": (0.1, 3_600)},
    "pace": {"connections": (1, 256), "attempts": (1, 100), "first_pause": (0, 86_400), "patience": (0, 86_400)},
}
_NEEDED = (("sender", "name"), ("sender", "address"), ("sender", "imprint"), ("links", "home_page"), ("smtp", "host"))
_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """What the file says.

    Attributes
    ----------
    imprint : who sends, with a postal address, as it stands below every mail.
    home_page : of the shop.
    service : the address under which customers reach `bookmatch serve`, for links to unsubscribe.
    """

    sender: Sender
    imprint: str
    home_page: str
    service: str
    server: MailServer
    pace: Pace


def read_settings(folder: Path, password: str | None) -> DeliverySettings:
    """The settings in a shop's folder `email`. Raises InputError, with file and line, for what is unknown, missing or
    does not fit."""
    path = folder / FILE
    try:
        source = path.read_text(encoding="utf-8")
        said = tomllib.loads(source)
    except FileNotFoundError:
        raise InputError(f"there is no {path}", remedy="write one: docs/email-delivery.md shows it") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", expected="TOML, as docs/email-delivery.md shows") from error
    return _File(path, source, said).settings(password)


class _File:
    """The file, and where in it something is."""

    def __init__(self, path: Path, source: str, said: Mapping[str, object]) -> None:
        self._path, self._source = path, source
        self._texts: dict[tuple[str, str], str] = {}
        self._numbers: dict[tuple[str, str], float] = {}
        for table, values in said.items():
            if table not in _TEXTS or not isinstance(values, dict):
                raise self._error(table, "", f"[{table}] is unknown", f"one of {', '.join(_TEXTS)}")
            for name, value in values.items():
                self._take(table, name, value)
        for table, name in _NEEDED:
            if not self._texts.get((table, name)):
                raise self._error(table, name, f"{name} is missing in [{table}]", "a text")

    def settings(self, password: str | None) -> DeliverySettings:
        """What it says, checked."""
        text = self._texts.get
        for name in ("address", "reply_to", "bounces"):
            given = text(("sender", name))
            if given is not None and not is_address(given):
                raise self._error("sender", name, f"{name} is {given!a}", "an address such as mail@shop.example")
        home_page = self._link("home_page", self._texts["links", "home_page"])
        return DeliverySettings(
            sender=Sender(
                self._texts["sender", "name"],
                self._texts["sender", "address"],
                text(("sender", "reply_to")),
                text(("sender", "bounces")),
            ),
            imprint=self._texts["sender", "imprint"],
            home_page=home_page,
            service=self._link("service", text(("links", "service"), home_page)).rstrip("/"),
            server=self._server(password),
            pace=self._pace(),
        )

    def _server(self, password: str | None) -> MailServer:
        host, user = self._texts["smtp", "host"], self._texts.get(("smtp", "user"))
        given = self._texts.get(("smtp", "security"), "starttls")
        if given not in list(Security):
            raise self._error("smtp", "security", f"security is {given!a}", f"one of {', '.join(Security)}")
        security = Security(given)
        if security is Security.NONE and host not in _LOCAL:
            raise self._error("smtp", "security", f'security is "none" for {host}', "starttls or tls")
        if user is not None and not password:
            raise self._error("smtp", "user", f"{user!a} is to log in, and {PASSWORD} is not set", f"{PASSWORD}")
        authorities = self._texts.get(("smtp", "authorities"))
        return MailServer(
            host=host,
            port=int(self._numbers.get(("smtp", "port"), _PORTS[security])),
            security=security,
            user=user,
            password=password,
            authorities=None if authorities is None else Path(authorities),
            timeout=self._numbers.get(("smtp", "timeout"), MailServer(host, 1).timeout),
        )

    def _pace(self) -> Pace:
        usual, number = Pace(), self._numbers.get
        return Pace(
            connections=int(number(("pace", "connections"), usual.connections)),
            rate=self._rate("rate"),
            domain_rate=self._rate("domain_rate"),
            attempts=int(number(("pace", "attempts"), usual.attempts)),
            first_pause=number(("pace", "first_pause"), usual.first_pause),
            patience=number(("pace", "patience"), usual.patience),
        )

    def _rate(self, name: str) -> Rate | None:
        text = self._texts.get(("pace", name))
        try:
            return None if text is None else Rate.parse(text)
        except InputError as error:
            raise self._error("pace", name, error.found, error.expected) from error

    def _link(self, name: str, url: str) -> str:
        if not is_link(url):
            raise self._error("links", name, f"{name} is {url!a}", "an address such as https://shop.example")
        return url

    def _take(self, table: str, name: str, value: object) -> None:
        if name in _TEXTS[table]:
            if not isinstance(value, str) or not value.strip() or (name != "imprint" and "\n" in value):
                raise self._error(table, name, f"{name} is {value!r}", "a text in quotes, of one line")
            self._texts[table, name] = value
            return
        low, high = _NUMBERS.get(table, {}).get(name, (1, 0))
        if low > high:
            allowed = [*_TEXTS[table], *_NUMBERS.get(table, ())]
            raise self._error(table, name, f"{name} is unknown in [{table}]", f"one of {', '.join(allowed)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._error(table, name, f"{name} is {value!r}", f"a number from {low:g} to {high:g}")
        self._numbers[table, name] = float(value)

    def _error(self, table: str, name: str, found: str, expected: str) -> InputError:
        lines, inside, line = self._source.splitlines(), "", 1
        for number, each in enumerate(lines, 1):
            if heading := re.match(r"\s*\[\s*([^\]]+?)\s*\]", each):
                inside = heading[1]
                line = number if inside == table else line
            elif inside == table and name and re.match(rf"\s*{re.escape(name)}\s*=", each):
                line = number
        return InputError(f"{self._path}:{line}: {found}", expected=expected, remedy="correct the file")
