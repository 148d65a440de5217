"""How often: limits of keys and addresses, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.access.keys import NewKey, Role
from recsys.access.rates import Rate
from serving.http.access_layer import FAILURES
from serving.http.limits import Limits
from serving.http.settings import Settings
from tests.serving.keys import given_key
from tests.serving.service import FakeClock, Service
from tests.serving.test_requests import assert_problem

POPULAR = "/v1/popular"
SHOP = "https://shop.example"


@pytest.fixture
def limited(home: Path) -> NewKey:
    """A key that may ask three times a minute."""
    return given_key(home, Role.STOREFRONT, rate=Rate(3, 60))


@pytest.fixture
def keyed(home: Path, clock: FakeClock, limited: NewKey) -> Iterator[Service]:
    """A service that asks for keys."""
    with Service(Settings(home=home), clock) as running:
        yield running


@given(
    quota=st.integers(1, 20),
    seconds=st.sampled_from([1, 60]),
    workers=st.integers(1, 4),
    gaps=st.lists(st.floats(0, 30), max_size=60),
)
def test_the_limit_is_a_bucket_that_fills_evenly(quota: int, seconds: int, workers: int, gaps: list[float]) -> None:
    """The same requests are let in as by the textbook's bucket of tokens, and after `wait` the next one is."""
    now = [0.0]
    limits = Limits(lambda: now[0], workers)
    capacity = max(quota / workers, 1.0)
    per_second = quota / workers / seconds
    tokens = capacity
    for gap in gaps:
        now[0] += gap
        tokens = min(capacity, tokens + gap * per_second)
        allowance = limits.take("k", Rate(quota, seconds))
        if abs(tokens - 1) < 1e-6:
            return  # Which of the two rounds up is no matter.
        assert (allowance.wait == 0) == (tokens >= 1)
        if allowance.wait:
            assert allowance.wait == pytest.approx((1 - tokens) / per_second)
        else:
            tokens -= 1
            assert allowance.remaining == pytest.approx(int(tokens + 1e-6), abs=1e-3)


def test_what_is_remembered_is_bounded() -> None:
    """Whoever was quiet longest is forgotten first; each name is counted for itself."""
    limits = Limits(lambda: 0.0, 1, most=3)
    for name in "abcd":
        assert limits.take(name, Rate(1, 60)).wait == 0
    assert limits.counted == 3
    assert limits.take("d", Rate(1, 60)).wait > 0
    assert limits.take("a", Rate(1, 60)).wait == 0


def test_a_key_beyond_its_limit_is_told_when_to_come_back(keyed: Service, limited: NewKey, clock: FakeClock) -> None:
    """429 with Retry-After; every answer says what is left; after that time the next one is let in."""
    left = []
    for _ in range(3):
        reply = keyed.ask("GET", POPULAR, x_api_key=limited.text)
        assert (reply.status, reply.headers["ratelimit-policy"]) == (200, '"key";q=3;w=60')
        left.append(reply.headers["ratelimit"])
    assert left == ['"key";r=2;t=20', '"key";r=1;t=40', '"key";r=0;t=60']
    refused = keyed.ask("GET", POPULAR, x_api_key=limited.text)
    assert_problem(refused, 429, "too-many-requests")
    assert (refused.headers["retry-after"], refused.headers["ratelimit"]) == ("20", '"key";r=0;t=60')
    clock.forward(19)
    assert keyed.ask("GET", POPULAR, x_api_key=limited.text).status == 429
    clock.forward(1)
    assert keyed.ask("GET", POPULAR, x_api_key=limited.text).status == 200


def test_other_keys_have_limits_of_their_own(keyed: Service, limited: NewKey, home: Path) -> None:
    """Or none, and then no header speaks of one."""
    for _ in range(4):
        last = keyed.ask("GET", POPULAR, x_api_key=limited.text)
    assert last.status == 429
    free = keyed.ask("GET", POPULAR, x_api_key=given_key(home, Role.STOREFRONT).text)
    assert free.status == 200
    assert "ratelimit" not in free.headers


def test_a_limit_is_divided_among_the_workers(home: Path, clock: FakeClock, limited: NewKey) -> None:
    """Of three a minute each of three workers lets in one, and the next a minute later."""
    with Service(Settings(home=home, workers=3), clock) as service:
        statuses = [service.ask("GET", POPULAR, x_api_key=limited.text).status for _ in range(2)]
        assert statuses == [200, 429]
        clock.forward(59)
        assert service.ask("GET", POPULAR, x_api_key=limited.text).status == 429
        clock.forward(1)
        assert service.ask("GET", POPULAR, x_api_key=limited.text).status == 200


def test_a_key_that_stands_in_a_page_is_limited_for_each_address(home: Path, clock: FakeClock) -> None:
    """One visitor cannot use up what the others have; behind a trusted proxy the visitor's address counts."""
    key = given_key(home, Role.EVENTS, origins=(SHOP,), rate=Rate(1, 60))
    proxied = Settings.from_environment({"BOOKMATCH_HOME": str(home), "BOOKMATCH_TRUSTED_PROXIES": "10.0.0.0/8"})
    with Service(proxied, clock) as service:

        def status(client: str, forwarded: str = "") -> int:
            service.client = client
            more = {"x_forwarded_for": forwarded} if forwarded else {}
            body = b'{"events": []}'
            return service.ask(
                "POST", "/v1/events", body, content_type="application/json", x_api_key=key.text, origin=SHOP, **more
            ).status

        assert [status("198.51.100.1"), status("198.51.100.1"), status("198.51.100.2")] == [422, 429, 422]
        # Of version 6 a visitor has a whole network.
        assert [status("2001:db8::1"), status("2001:db8::2"), status("2001:db8:0:1::1")] == [422, 429, 422]
        assert [status("10.0.0.1", "192.0.2.1"), status("10.0.0.1", "192.0.2.2")] == [422, 422]
        # What stands left of the last untrusted address is only what the visitor says.
        assert status("10.0.0.1", "192.0.2.9, 192.0.2.1, 10.2.3.4") == 429
        assert status("198.51.100.1", "192.0.2.77") == 429


def test_whoever_fails_often_has_to_wait_and_shuts_nobody_out(keyed: Service, limited: NewKey) -> None:
    """429 in place of 401; a valid key from the same address is let in all the same."""
    statuses = [keyed.ask("GET", POPULAR, x_api_key="wrong").status for _ in range(FAILURES.quota + 2)]
    assert statuses == [401] * FAILURES.quota + [429] * 2
    assert keyed.ask("GET", POPULAR, x_api_key=limited.text).status == 200
