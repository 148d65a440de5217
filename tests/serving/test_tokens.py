"""A recommendation_id says which answer it was, and cannot be made up."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.http.tokens import AnswerIdentity, RecommendationTokens
from tests.serving.service import FakeClock, Service
from tests.serving.shop import store_of

IDENTITY = AnswerIdentity("bundle", "default", "b", "seed", 1_700_000_000_000)


def test_an_answers_id_is_verified_by_whoever_has_the_store(service: Service, home: Path, clock: FakeClock) -> None:
    """Bundle, placement and time come out of it; it is good as an event's recommendation_id."""
    reply = service.get("/v1/customers/c1/recommendations")
    token = reply.json()["recommendation_id"]
    with store_of(home) as store:
        identity = RecommendationTokens(store.secret()).verify(token)
    assert identity is not None
    assert (identity.bundle, identity.placement, identity.arm) == (reply.served_from["bundle"], "default", "")
    assert identity.time == clock.ms
    event = {"customer_id": "c1", "kind": "click", "item_id": reply.items[0], "recommendation_id": token}
    assert service.post_events(event)[0]["status"] == "accepted"


def test_no_two_answers_share_an_id(service: Service) -> None:
    """Not even the same list from the cache in the same millisecond."""
    ids = {service.get("/v1/customers/c1/recommendations").json()["recommendation_id"] for _ in range(50)}
    assert len(ids) == 50


@given(bundle=st.text(), placement=st.text(), arm=st.text(), seed=st.text(), time=st.integers(0, 2**60))
def test_what_was_signed_comes_back(bundle: str, placement: str, arm: str, seed: str, time: int) -> None:
    """Any identity, whole."""
    tokens = RecommendationTokens(b"k" * 32)
    identity = AnswerIdentity(bundle, placement, arm, seed, time)
    assert tokens.verify(tokens.sign(identity)) == identity


@given(data=st.data())
def test_a_token_that_was_changed_or_made_elsewhere_says_nothing(data: st.DataObject) -> None:
    """One character changed, cut, another store's key, any text."""
    tokens = RecommendationTokens(b"k" * 32)
    token = tokens.sign(IDENTITY)
    place = data.draw(st.integers(0, len(token.rpartition(".")[0]) - 1))
    other = "A" if token[place] != "A" else "B"
    assert tokens.verify(token[:place] + other + token[place + 1 :]) is None
    assert tokens.verify(token[:place]) is None
    assert tokens.verify(data.draw(st.text(max_size=60))) is None
    assert RecommendationTokens(b"l" * 32).verify(token) is None
