"""What every answer carries, whatever it is, and what the page at /docs may do."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service

TARGETS = [
    ("GET", "/v1/customers/c1/recommendations"), ("GET", "/v1/popular"), ("GET", "/v1/popular?limit=0"),
    ("HEAD", "/v1/popular"), ("GET", "/nothing"), ("POST", "/v1/popular"), ("GET", "/v1/a%zz"), ("GET", "/health/live"),
    ("GET", "/metrics"), ("GET", "/openapi.json"), ("OPTIONS", "/v1/events"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_every_answer_carries_them(service: Service, method: str, target: str) -> None:
    """Once each: lists, problems of every layer, and what machines read."""
    headers = service.ask(method, target).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers


def test_a_refused_request_carries_them_too(service: Service) -> None:
    """Before any route."""
    service.client = "203.0.113.9"
    reply = service.get("/v1/popular")
    assert (reply.status, reply.headers["cache-control"]) == (401, "no-store")


def test_browsers_are_kept_on_tls_where_the_setting_says_so(home: Path, clock: FakeClock) -> None:
    """HSTS, for as long as it says."""
    with Service(Settings(home=home, hsts_seconds=60), clock) as service:
        assert service.get("/v1/popular").headers["strict-transport-security"] == "max-age=60"


def test_the_page_at_docs_may_do_what_it_needs_and_nothing_else(service: Service) -> None:
    """Its own script runs by its hash, its files come from here, and it may ask this service alone."""
    reply = service.get("/docs")
    policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", reply.body.decode(), re.S)
    allowed = "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' '{allowed}'"
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    assert "'self'" in policy["style-src"]
    files = re.findall(r'(?:src|href)="([^"]+)"', reply.body.decode())
    assert files
    for file in files:
        assert file.startswith("/docs/static/")
        assert service.get(file).status == 200
