"""What the environment may say, and that it is written down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.errors import InputError
from serving.http.settings import Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing needs to be set."""
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_every_setting_is_read_from_its_variable() -> None:
    """Each variable changes its own field and no other."""
    texts = {
        "home": "books",
        "redis_url": "redis://cache:6379/1",
        "redis_timeout_ms": "7",
        "cache_size": "8",
        "cache_ttl": "9",
        "history_limit": "10",
        "history_cache_size": "11",
        "budget_ms": "12",
        "bundle_poll": "0.5",
        "max_body_bytes": "4096",
        "no_keys": "1",
        "public": "metrics",
        "trusted_proxies": "10.0.0.7/32",
        "hsts_seconds": "13",
        "workers": "14",
        "drain_seconds": "0.5",
        "settings_file": "settings.env",
        "log_level": "debug",
        "log_format": "json",
        "log_requests": "0.25",
        "tracing": "on",
    }
    assert set(Settings.variables().values()) == set(texts)
    for variable, field in Settings.variables().items():
        read = Settings.from_environment({variable: texts[field]})
        changed = [name for name in texts if getattr(read, name) != getattr(Settings(), name)]
        assert changed == [field]
        assert as_text(getattr(read, field)) == texts[field]


def as_text(value: object) -> str:
    """A value as its variable says it."""
    if isinstance(value, bool):
        return str(int(value))
    return ",".join(map(str, value)) if isinstance(value, tuple | frozenset) else str(value)


def test_the_folder_for_metrics_is_read_from_the_metrics_librarys_own_variable() -> None:
    """Several workers find the folder under the name that the library uses."""
    assert Settings.from_environment({"PROMETHEUS_MULTIPROC_DIR": "m"}).metrics_folder == Path("m")


def test_an_unknown_variable_is_refused_by_name() -> None:
    """A typo is an error, never ignored."""
    with pytest.raises(InputError, match=r"BOOKMATCH_REDIS_URI.*BOOKMATCH_REDIS_URL"):
        Settings.from_environment({"BOOKMATCH_REDIS_URI": "redis://cache"})


def test_the_folder_of_real_data_sets_is_no_unknown_variable() -> None:
    """BOOKMATCH_DATA belongs to documents and tests."""
    assert Settings.from_environment({"BOOKMATCH_DATA": "/data"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BOOKMATCH_HOME", ""),
        ("BOOKMATCH_REDIS_TIMEOUT_MS", "0"),
        ("BOOKMATCH_REDIS_TIMEOUT_MS", "2.5"),
        ("BOOKMATCH_CACHE_SIZE", "-1"),
        ("BOOKMATCH_CACHE_TTL", "soon"),
        ("BOOKMATCH_BUNDLE_POLL", "nan"),
        ("BOOKMATCH_MAX_BODY_BYTES", "1"),
        ("BOOKMATCH_LOG_LEVEL", "loud"),
        ("BOOKMATCH_LOG_FORMAT", "xml"),
        ("BOOKMATCH_LOG_REQUESTS", "1.5"),
        ("BOOKMATCH_LOG_REQUESTS", "nan"),
        ("BOOKMATCH_TRACING", "yes"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_was_found(variable: str, text: str) -> None:
    """The message names the variable, the value and what was expected."""
    with pytest.raises(InputError, match=f"{variable} is {re.escape(repr(text))}. Expected: .+ To do: "):
        Settings.from_environment({variable: text})


@pytest.mark.parametrize(
    "url",
    [
        "cache:6379",
        "http://:s3cret@cache:6379",
        "redis://:s3/cret@cache:6379",
        "redis://:s3cret@cache:port",
        "redis://[::1",
        "redis://:s3cret@cache:6379/0?socket_timeout=soon",
        "redis://:s3cret@cache:6379/0?colour=red",
    ],
)
def test_what_is_no_address_of_a_redis_is_refused_without_telling_its_password(url: str) -> None:
    """Before a worker starts: one that fails at its start is started again for ever."""
    with pytest.raises(InputError, match="BOOKMATCH_REDIS_URL is no address") as raised:
        Settings.from_environment({"BOOKMATCH_REDIS_URL": url})
    assert "cret" not in str(raised.value)


def test_every_setting_is_documented() -> None:
    """docs/operations.md has a row for each variable, with its default."""
    text = OPERATIONS.read_text()
    for variable, field in Settings.variables().items():
        default = getattr(Settings(), field)
        shown = "" if default is None or default == () else f"`{as_text(default)}`"
        assert re.search(rf"\| `{variable}` \| {re.escape(shown)} ?\|", text), variable
