"""Unsubscribing by the link in a mail."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.access.audit import Act
from recsys.access.keys import Role
from recsys.data.events import EventKind
from recsys.data.profile import Consent
from recsys.shop import ShopFolder
from serving.email.unsubscribe import UnsubscribeLinks, rotate_key
from serving.http.settings import Settings
from tests.serving.keys import given_key
from tests.serving.service import FakeClock, Service
from tests.serving.shop import START, store_of

ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--'
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def link(home: Path) -> str:
    """Of customer c1, who said yes to two purposes."""
    with store_of(home) as store:
        yes = [Consent(purpose, True, "form", START) for purpose in ("email", "news")]
        store.profiles.put("c1", yes)
    return f"/v1/email/unsubscribe/{UnsubscribeLinks.of_shop(ShopFolder(home).email).token('c1', 'email')}"


@pytest.fixture
def abroad(home: Path, clock: FakeClock, link: str) -> Iterator[Service]:
    """A service with keys, asked by a stranger without one."""
    given_key(home, Role.ADMIN)
    with Service(Settings(home=home), clock) as running:
        running.client = "203.0.113.9"
        yield running


def allowed(home: Path) -> list[bool]:
    """Whether c1 may be written to for each of the two purposes."""
    with store_of(home) as store:
        profile = store.profiles.get("c1")
        return [profile.allows(purpose) for purpose in ("email", "news")]


def test_get_shows_and_post_acts(abroad: Service, home: Path, link: str, clock: FakeClock) -> None:
    """Without a key; only this purpose; with source and date, an event and a line of the audit that names nobody."""
    page = abroad.get(link)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b'<form method="post">' in page.body
    assert allowed(home) == [True, True]
    assert abroad.ask("POST", link, ONE_CLICK, content_type=FORM).status == 200
    assert allowed(home) == [False, True]
    with store_of(home) as store:
        said = store.profiles.statements("c1")[-1]
        assert said == Consent("email", False, "unsubscribe link", clock.ms)
        events = store.events.period([EventKind.UNSUBSCRIBE], 0, clock.ms + 1)
        assert events["customer_id"].to_list() == ["c1"]
        (line,) = [each for each in store.audit.read() if each.act is Act.CUSTOMER_UNSUBSCRIBED]
    assert line.result == "email"
    # A hash, in which the letters of an id may stand by chance.
    assert re.fullmatch("[0-9a-f]{20}", line.subjects[0].partition(":")[2])
    assert line.subjects[0].startswith("customer:")


def test_twice_is_as_good_as_once(abroad: Service, home: Path, link: str) -> None:
    """And leaves one statement, one event and one line."""
    for _ in range(3):
        assert abroad.ask("POST", link, ONE_CLICK, content_type=FORM).status == 200
    with store_of(home) as store:
        assert len(store.profiles.statements("c1")) == 3
        assert sum(each.act is Act.CUSTOMER_UNSUBSCRIBED for each in store.audit.read()) == 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (MULTIPART, {"content_type": "multipart/form-data; boundary=x"}),
        (ONE_CLICK, {"content_type": FORM, "origin": "null"}),
        (ONE_CLICK, {"content_type": FORM, "origin": "https://mail.example"}),
    ],
)  # fmt: skip
def test_however_a_mail_program_asks(
    abroad: Service, home: Path, link: str, body: bytes, headers: dict[str, str]
) -> None:
    """With any body, from any page, with parameters that programs on the way added."""
    assert abroad.ask("POST", f"{link}?utm_source=x", body, **headers).status == 200
    assert allowed(home) == [False, True]


def test_links_outlive_their_key(abroad: Service, home: Path, link: str) -> None:
    """New links are signed by the new key; old ones go on working, years later."""
    folder = ShopFolder(home).email
    rotate_key(folder)
    new = UnsubscribeLinks.of_shop(folder).token("c1", "news")
    assert new.rpartition(".")[2] != link.rpartition(".")[2]
    for each in (link, f"/v1/email/unsubscribe/{new}"):
        assert abroad.ask("POST", each).status == 200
    assert allowed(home) == [False, False]
    assert (folder / "unsubscribe.keys").stat().st_mode & 0o077 == 0


def test_a_forged_link_is_none(abroad: Service, home: Path, link: str) -> None:
    """Changed, cut, signed by another shop, or for somebody else: a page says so, and nothing changes."""
    other = UnsubscribeLinks([b"x" * 32]).token("c1", "email")
    for bad in (link[:-1], f"{link}x", link.replace("unsubscribe/", "unsubscribe/x"), f"/v1/email/unsubscribe/{other}"):
        for method in ("GET", "POST"):
            reply = abroad.ask(method, bad)
            assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert allowed(home) == [True, True]


def test_who_is_forgotten_is_written_to_no_more(abroad: Service, home: Path, link: str) -> None:
    """The link still says yes, and brings nothing of them back."""
    with store_of(home) as store:
        store.persons.forget("c1", START)
    assert abroad.ask("POST", link, ONE_CLICK, content_type=FORM).status == 200
    with store_of(home) as store:
        assert not store.persons.known("c1")


def test_too_many_are_asked_to_wait(abroad: Service, link: str) -> None:
    """By address, and nobody else is held up."""
    statuses = [abroad.get(link).status for _ in range(601)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    abroad.client = "198.51.100.7"
    assert abroad.get(link).status == 200


def test_the_page_speaks_the_reader_s_language_and_runs_no_script(abroad: Service, link: str) -> None:
    """German for a German browser, English where there are no words; its style is allowed by its hash."""
    german = abroad.ask("GET", link, accept_language="fr, de-AT;q=0.9, en;q=0.8")
    assert '<html lang="de">' in german.body.decode()
    assert "Abmelden" in german.body.decode()
    assert '<html lang="en">' in abroad.ask("GET", link, accept_language="fr").body.decode()
    (style,) = re.findall(r"<style>(.*?)</style>", german.body.decode(), re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = german.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
