"""What the service can be told from outside: one frozen value, read from the environment once."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from recsys.data.history import HISTORY_LIMIT
from recsys.errors import InputError
from recsys.shop import ShopFolder
from serving.http.client import Network
from serving.http.permissions import PUBLIC_AREAS

PREFIX: Final = "BOOKMATCH_"
METRICS_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("console", "json")
TRACING: Final = ("off", "on")
_ELSEWHERE: Final = frozenset({"BOOKMATCH_DATA", "BOOKMATCH_SMTP_PASSWORD"})
"""Variables of this prefix that are read by other parts of the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one service runs. Every field but `metrics_folder` is the variable BOOKMATCH_<NAME>.

    Attributes
    ----------
    home : the shop's folder, with its store and its models.
    redis_url : where answers are cached for all workers and machines; None caches in each worker's own memory.
    redis_timeout_ms : how long one answer waits for Redis, connecting included, before it is computed instead.
    cache_size : MiB of answers that each worker keeps in memory when there is no Redis; 0 turns this cache off.
    cache_ttl : seconds after which a cached list is forgotten even though nothing changed.
    history_limit : the newest events of a customer that taste is read from; older ones say what was had or refused.
    history_cache_size : histories that each worker keeps in memory.
    budget_ms : how long one list may be computed before it is of popular items instead.
    bundle_poll : seconds between two looks for a newly published bundle.
    max_body_bytes : the largest request body that is read.
    no_keys : whether everybody who reaches the service may do everything; `bookmatch serve --no-keys` sets it.
    public : of `PUBLIC_AREAS` those that need no key from anywhere; the others need none from this machine.
    trusted_proxies : whose word on a client's address (X-Forwarded-For) is taken.
    hsts_seconds : for how long browsers are told to come back with TLS alone; 0 where TLS is not certain.
    workers : among how many processes limits are divided; `bookmatch serve --workers` sets it.
    drain_seconds : how long a service that is to stop says so and goes on answering, before it closes.
    settings_file : a file of further settings, which a reload reads again; None: there is none.
    log_level : `debug` also logs every request; `info`, `warning`, `error`.
    log_format : `console` for people, `json` for programs.
    log_requests : the share of requests that are logged at level `info`.
    tracing : `on` sends traces where the OTEL_… variables say; `off`.
    metrics_folder : where several workers add up their metrics (PROMETHEUS_MULTIPROC_DIR); None with one worker.
    """

    home: Path = Path("shop")
    redis_url: str | None = None
    redis_timeout_ms: int = 25
    cache_size: int = 64
    cache_ttl: int = 300
    history_limit: int = HISTORY_LIMIT
    history_cache_size: int = 10_000
    budget_ms: int = 50
    bundle_poll: float = 1.0
    max_body_bytes: int = 2 * 1024 * 1024
    no_keys: bool = False
    public: frozenset[str] = frozenset({"health"})
    trusted_proxies: tuple[Network, ...] = ()
    hsts_seconds: int = 0
    workers: int = 1
    drain_seconds: float = 1.0
    settings_file: Path | None = None
    log_level: str = "info"
    log_format: str = "console"
    log_requests: float = 0.0
    tracing: str = "off"
    metrics_folder: Path | None = None

    @property
    def shop(self) -> ShopFolder:
        """Where the shop's files are."""
        return ShopFolder(self.home)

    @classmethod
    def variables(cls) -> dict[str, str]:
        """The environment variable of each field that has one."""
        return {f"{PREFIX}{field.name.upper()}": field.name for field in fields(cls) if field.name != "metrics_folder"}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The settings that these variables say; InputError for one that is unknown or does not fit."""
        variables = cls.variables()
        unknown = sorted(
            name for name in environment if name.startswith(PREFIX) and name not in variables and name not in _ELSEWHERE
        )
        if unknown:
            raise InputError(
                f"the environment sets {', '.join(unknown)}, which nothing reads",
                expected=f"only {', '.join(sorted({*variables, *_ELSEWHERE}))}",
                remedy="correct the name or unset it",
            )
        values = cls()
        texts = {field: environment[name] for name, field in variables.items() if name in environment}
        folder = environment.get(METRICS_FOLDER_VARIABLE)

        def whole(field: str, default: int, low: int, high: int) -> int:
            return int(_number(field, texts[field], int, low, high)) if field in texts else default

        return cls(
            home=_path(texts["home"]) if "home" in texts else values.home,
            redis_url=_redis_url(texts.get("redis_url", "")),
            redis_timeout_ms=whole("redis_timeout_ms", values.redis_timeout_ms, 1, 10_000),
            cache_size=whole("cache_size", values.cache_size, 0, 1_000_000),
            cache_ttl=whole("cache_ttl", values.cache_ttl, 1, 86_400),
            history_limit=whole("history_limit", values.history_limit, 1, 100_000),
            history_cache_size=whole("history_cache_size", values.history_cache_size, 1, 100_000_000),
            budget_ms=whole("budget_ms", values.budget_ms, 1, 10_000),
            bundle_poll=_number("bundle_poll", texts["bundle_poll"], float, 0.01, 3_600)
            if "bundle_poll" in texts
            else values.bundle_poll,
            max_body_bytes=whole("max_body_bytes", values.max_body_bytes, 1_024, 1_073_741_824),
            no_keys=_choice("no_keys", texts.get("no_keys", "0"), ("0", "1")) == "1",
            public=_areas(texts["public"]) if "public" in texts else values.public,
            trusted_proxies=_networks(texts.get("trusted_proxies", "")),
            hsts_seconds=whole("hsts_seconds", values.hsts_seconds, 0, 63_072_000),
            workers=whole("workers", values.workers, 1, 1_024),
            drain_seconds=_number("drain_seconds", texts["drain_seconds"], float, 0, 600)
            if "drain_seconds" in texts
            else values.drain_seconds,
            settings_file=Path(texts["settings_file"]) if texts.get("settings_file") else None,
            log_level=_choice("log_level", texts.get("log_level", values.log_level), LOG_LEVELS),
            log_format=_choice("log_format", texts.get("log_format", values.log_format), LOG_FORMATS),
            log_requests=_number("log_requests", texts["log_requests"], float, 0, 1)
            if "log_requests" in texts
            else values.log_requests,
            tracing=_choice("tracing", texts.get("tracing", values.tracing), TRACING),
            metrics_folder=Path(folder) if folder else None,
        )

    @property
    def logging_level(self) -> int:
        """The level as the standard library counts it."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


def _refused(field: str, text: str, expected: str) -> InputError:
    name = f"{PREFIX}{field.upper()}"
    return InputError(f"{name} is {text!r}", expected=expected, remedy=f"correct {name} or unset it")


def _number(field: str, text: str, kind: Callable[[str], float], low: float, high: float) -> float:
    expected = f"a {'whole ' if kind is int else ''}number from {low} to {high}"
    try:
        value = kind(text)
    except ValueError:
        raise _refused(field, text, expected) from None
    if not low <= value <= high:
        raise _refused(field, text, expected)
    return value


def _choice(field: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise _refused(field, text, f"one of {', '.join(choices)}")
    return text


def _areas(text: str) -> frozenset[str]:
    areas = frozenset(filter(None, text.replace(" ", "").split(",")))
    if not areas <= set(PUBLIC_AREAS):
        raise _refused("public", text, f"some of {', '.join(PUBLIC_AREAS)} with commas between, or nothing")
    return areas


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(each) for each in text.replace(" ", "").split(",") if each)
    except ValueError:
        expected = "addresses or networks with commas between, such as 10.0.0.7,10.1.0.0/16"
        raise _refused("trusted_proxies", text, expected) from None


def _path(text: str) -> Path:
    if not text:
        raise _refused("home", text, "the path of a folder")
    return Path(text)


def _redis_url(text: str) -> str | None:
    if not text:
        return None
    # Imported here: the library costs start-up time that a service without Redis need not pay.
    from serving.cache.address import FORMS, AddressError
    from serving.cache.redis import check_address

    try:
        check_address(text)
    except AddressError as error:
        name = f"{PREFIX}REDIS_URL"
        raise InputError(
            f"{name} is no address of a Redis: {error} (it is not shown here, as it may hold a password)",
            expected=FORMS,
            remedy=f"correct {name} or unset it; a / or @ in a password is written %2F or %40",
        ) from None
    return text
