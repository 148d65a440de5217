"""How the address of a Redis is read."""

from __future__ import annotations

import pytest

from serving.cache.address import AddressError, RedisAddress
from serving.cache.redis import check_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://cache:6379/1", RedisAddress("standalone", (), "redis://cache:6379/1")),
        ("unix:///run/redis.sock?db=2", RedisAddress("standalone", (), "unix:///run/redis.sock?db=2")),
        (
            "redis+sentinel://one,two:1/lists",
            RedisAddress("sentinel", (("one", 26379), ("two", 1)), "redis://one/0", "lists"),
        ),
        (
            "redis+sentinel://me:p%40ss@[::1]:5,two/li%2Fsts/3?sentinel_username=it&sentinel_password=s%26t",
            RedisAddress(
                "sentinel", (("::1", 5), ("two", 26379)), "redis://me:p%40ss@[::1]:5/3", "li/sts", "it", "s&t"
            ),
        ),
        (
            "rediss+sentinel://:pw@one/lists?ssl_cert_reqs=none",
            RedisAddress("sentinel", (("one", 26379),), "rediss://:pw@one/0?ssl_cert_reqs=none", "lists"),
        ),
        ("redis+cluster://one,two:7001", RedisAddress("cluster", (("one", 6379), ("two", 7001)), "redis://one/0")),
        ("rediss+cluster://:pw@one/0", RedisAddress("cluster", (("one", 6379),), "rediss://:pw@one/0")),
    ],
)
def test_an_address_says_what_stands_where(text: str, expected: RedisAddress) -> None:
    """Hosts, ports, the service, the number and both passwords; a cache can be made of it."""
    assert RedisAddress.parse(text) == expected
    assert expected.tls is text.startswith("rediss")
    check_address(text)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("redis+sentinel://:s3cret@one:26379", "service's name"),
        ("redis+sentinel://:s3cret@one/lists/first", "must be a number"),
        ("redis+sentinel://:s3cret@one/lists/1/2", "service's name"),
        ("redis+sentinel://:s3cret@/lists", "hosts is empty"),
        ("redis+sentinel://:s3cret@one,,two/lists", "hosts is empty"),
        ("redis+sentinel://:s3cret@one:s3cret/lists", "cannot be read"),
        ("redis+sentinel://:s3cret@one/lists?colour=s3cret", "cannot be read"),
        ("redis+sentinel://:s3cret@one/lists?s3cret", "cannot be read"),
        ("redis+cluster://:s3cret@one/1", "no numbered databases"),
        ("redis+cluster://:s3cret@one?db=1", "no numbered databases"),
        ("redis+cluster://:s3cret@one?sentinel_password=s3cret", "cannot be read"),
        ("redis+cluster://:s3cret@one?socket_type=1", "not known here"),
        ("redis://:s3cret@one/first", "must be a number"),
        ("redis+magic://:s3cret@one", "scheme is unknown"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_its_password(text: str, cause: str) -> None:
    """Not in the message, and not in what is printed of a good one either."""
    with pytest.raises(AddressError, match=cause) as raised:
        check_address(text)
    assert "cret" not in str(raised.value)
    good = "redis+sentinel://:s3cret@one/lists?sentinel_password=s3cret"
    assert "cret" not in repr(RedisAddress.parse(good))
