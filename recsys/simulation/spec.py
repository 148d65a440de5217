"""What kind of shop is simulated: every parameter, and what it changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from math import ceil

import numpy as np

from recsys.errors import InputError

MS_PER_DAY = 86_400_000
MIN_BOOKS = 50

_LEAST = {"books": MIN_BOOKS, "customers": 1, "events": 1, "seed": 0, "days": 30, "events_per_block": 1_000}
_MOST = {"books": 10_000_000, "customers": 1_000_000_000}
_SHARES = (
    "drift", "gift_share", "series_share", "series_pull", "release_share", "stock_out_share", "household_share",
    "off_taste_share",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopSpec:
    """A simulated bookshop, completely: the same values give the same files, byte for byte.

    Attributes
    ----------
    books : how many items the catalogue has; at least 50.
    customers : how many customers are registered; some of them never come.
    events : how many events there are, to within 10 % from 5,000 on; of fewer, chance takes more.
    seed : of everything random; another seed is another shop of the same kind.
    end : the last day of the simulated time (UTC), written as 2026-10-31; no event is later.
    days : how many days the simulated time has, `end` included; 365 and more have every season.
    currency : the code that stands beside every price; changes no amount.
    drift : how much of a customer's taste is another at the end of the time, on average; 0 keeps all as they are.
    activity_spread : the standard deviation of the logarithm of how active customers are; 0 makes all alike, 1.2
        gives the most active tenth about half of all events.
    gift_share : the share of visits outside December that look for a present, for somebody else's taste.
    series_share : the share of authors with enough books whose books are the volumes of a series.
    series_pull : the share of looks that go back to a series the customer looked at before.
    release_share : the share of books published within the simulated time; the others were there before.
    launch_boost : the share of looks that go to what came out lately.
    stock_out_share : the share of printed books that are out of stock at least once.
    household_share : the share of customers who share an account with another customer.
    off_taste_share : the share of looks that follow the crowd instead of the customer's own taste.
    events_per_block : how many events are made at once; decides the memory that is needed and the number of event
        files. Another value is another shop.
    """

    books: int = 2_000
    customers: int = 5_000
    events: int = 200_000
    seed: int = 1
    end: str = "2026-10-31"
    days: int = 730
    currency: str = "EUR"
    drift: float = 0.5
    activity_spread: float = 1.2
    gift_share: float = 0.04
    series_share: float = 0.4
    series_pull: float = 0.08
    release_share: float = 0.25
    launch_boost: float = 0.15
    stock_out_share: float = 0.15
    household_share: float = 0.1
    off_taste_share: float = 0.15
    events_per_block: int = 500_000

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} is {value}", expected=f"at least {least}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise InputError(f"{name} is {getattr(self, name)}", expected=f"at most {most}")
        for name in (*_SHARES, "launch_boost"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise InputError(f"{name} is {value}", expected="a share from 0 to 1")
        if self.launch_boost + self.off_taste_share > 1.0:
            raise InputError(
                f"launch_boost {self.launch_boost} and off_taste_share {self.off_taste_share} add up to more than 1",
                expected="two shares of the same looks, together at most 1",
            )
        if not 0.0 <= self.activity_spread <= 3.0:
            raise InputError(f"activity_spread is {self.activity_spread}", expected="from 0 to 3")
        if self.events < self.customers:
            raise InputError(
                f"{self.events} events are fewer than {self.customers} customers",
                expected="at least one event per customer on average",
                remedy="ask for more events or fewer customers",
            )
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise InputError(f"currency is {self.currency!r}", expected="three capital letters, as in EUR")
        self._check_dates()

    def _check_dates(self) -> None:
        try:
            last = date.fromisoformat(self.end)
        except ValueError:
            raise InputError(f"end is {self.end!r}", expected="a date as in 2026-10-31") from None
        if last.isoformat() != self.end:
            raise InputError(f"end is {self.end!r}", expected=f"a date written as {last.isoformat()}")
        if self.start_ms < 0:
            raise InputError(
                f"{self.days} days up to {self.end} begin before 1970",
                expected="a time that begins in 1970 or later",
                remedy="choose a later end or fewer days",
            )

    @property
    def end_ms(self) -> int:
        """The first moment after the simulated time, milliseconds UTC."""
        midnight = datetime.combine(date.fromisoformat(self.end), datetime.min.time(), UTC)
        return round(midnight.timestamp()) * 1000 + MS_PER_DAY

    @property
    def start_ms(self) -> int:
        """The first moment of the simulated time, milliseconds UTC."""
        return self.end_ms - self.days * MS_PER_DAY

    @property
    def customers_per_block(self) -> int:
        """So many customers that a block has about `events_per_block` events: not more when there are more of them."""
        return max(1, min(self.customers, self.events_per_block * self.customers // self.events))

    @property
    def blocks(self) -> int:
        """How many blocks of customers there are."""
        return ceil(self.customers / self.customers_per_block)

    def to_json(self) -> dict[str, int | float | str]:
        """All parameters by name."""
        return asdict(self)

    def random(self, *stream: int) -> np.random.Generator:
        """The random numbers of one part of the shop. A stream does not depend on which others were drawn from."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=stream))


PARAMETERS = tuple(field.name for field in fields(ShopSpec))
"""The names of all parameters."""
