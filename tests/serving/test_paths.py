"""Ids in paths arrive exactly as they were meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.http.parameters import PathId
from serving.http.problems import Problem
from serving.http.raw_path import decoded_segment, routable_path
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.serving.shop import item

AWKWARD = ["a/b", "/", "//", "%", "%2F", "%252F", "a?b", "a#b", "..", ".", "../..", " a", "a b", "+", "a\\b", "a;b=1"]
UNICODE = ["é", "e\u0301", "书", "🦄", "\u202e"]


@pytest.fixture(scope="module")
def echo(trained_shop: Path) -> Iterator[Service]:
    """The service with one more route that answers the id it got."""
    with Service(Settings(home=trained_shop), FakeClock()) as running:

        async def answer(identifier: PathId) -> dict[str, str]:
            return {"id": identifier}

        app: FastAPI = running.app.framework
        app.add_api_route("/echo/{id}/here", answer)
        yield running


@pytest.mark.parametrize("identifier", [*AWKWARD, *UNICODE])
def test_an_awkward_id_arrives_as_it_was_sent(echo: Service, identifier: str) -> None:
    """Percent-encoded once, any id goes through."""
    assert echo.get(f"/echo/{quote(identifier, safe='')}/here").json() == {"id": identifier}


@settings(deadline=None)
@given(identifier=st.text(min_size=1, max_size=256))
def test_every_id_arrives_or_is_refused_as_an_id(echo: Service, identifier: str) -> None:
    """Ids that are not blank and hold no control characters arrive; others are 422; nothing else happens."""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in identifier):
        return
    reply = echo.get(f"/echo/{quote(identifier, safe='')}/here")
    if not identifier.strip() or any(unicodedata.category(character) == "Cc" for character in identifier):
        assert reply.status == 422
    else:
        assert (reply.status, reply.json()) == (200, {"id": identifier})


@settings(deadline=None)
@given(raw=st.binary(max_size=60).filter(lambda raw: b"?" not in raw))
def test_any_bytes_in_a_path_are_an_answer_and_never_a_fault_of_the_service(echo: Service, raw: bytes) -> None:
    """Whatever stands in the path, the status is 200 or 4xx."""
    target = "/v1/items/" + "".join(chr(byte) if 33 <= byte < 127 else f"%{byte:02X}" for byte in raw) + "/related"
    assert echo.get(target).status in (200, 400, 404, 422)


@given(segments=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_splitting_and_decoding_give_back_every_segment(segments: list[str]) -> None:
    """The path for the router has as many segments as the path on the wire, each decoding to its text."""
    raw = "/".join(quote(segment, safe="") for segment in segments).encode()
    routed = routable_path({"type": "http", "path": "unused", "raw_path": raw})
    assert [decoded_segment(segment) for segment in routed.split("/")] == segments


def test_a_slash_in_an_id_is_not_a_slash_in_the_path(service: Service) -> None:
    """`items/a%2Frelated` is an item's id, `items/s1%2Fb02/related` is a list, `items/s1/b02/related` is no route."""
    encoded = quote(item(1, 2), safe="")
    assert service.get(f"/v1/items/{encoded}/related").status == 200
    assert service.get(f"/v1/items/{item(1, 2)}/related").json()["type"].endswith("no-such-route")
    assert service.get("/v1/items/s1%2Frelated").json()["type"].endswith("unknown-item")
    assert service.get("/v1/items/a%2Frelated/related").json()["type"].endswith("unknown-item")


def test_a_lower_case_escape_is_the_same(service: Service) -> None:
    """%2f is %2F."""
    assert service.get("/v1/items/s1%2fb02/related").status == 200


@pytest.mark.parametrize("raw", ["%ff", "%C3", "%ED%A0%80"])
def test_bytes_that_are_no_utf8_are_refused(service: Service, raw: str) -> None:
    """A path that is not UTF-8 is 400."""
    reply = service.get(f"/v1/items/{raw}/related")
    assert (reply.status, reply.json()["type"]) == (400, "urn:bookmatch:problem:malformed-path")


@pytest.mark.parametrize("raw", ["%", "%2", "%zz", "100%"])
def test_a_bare_percent_sign_is_refused(service: Service, raw: str) -> None:
    """An escape that is none is 400, not a guess."""
    assert service.get(f"/v1/items/{raw}/related").status == 400


@pytest.mark.parametrize("identifier", ["a\nb", "\0", "\x7f", "x" * 257])
def test_an_id_that_nothing_can_have_is_refused(service: Service, identifier: str) -> None:
    """Control characters and more than 256 characters are 422 and name the place."""
    reply = service.get(f"/v1/customers/{quote(identifier, safe='')}/recommendations")
    assert reply.status == 422
    assert reply.json()["errors"][0]["place"] == ["path", "id"]


def test_256_characters_are_fine(service: Service) -> None:
    """The longest id, each character of four bytes."""
    assert service.get(f"/v1/customers/{quote('🦄' * 256)}/recommendations").status == 200


def test_a_scope_without_a_raw_path_is_routed_by_its_path() -> None:
    """Servers may leave raw_path out."""
    assert routable_path({"type": "http", "path": "/a b"}) == "/a b"


def test_refusing_a_path_raises_a_problem() -> None:
    """The layer answers it like any other."""
    with pytest.raises(Problem):
        routable_path({"type": "http", "path": "", "raw_path": b"/%"})
