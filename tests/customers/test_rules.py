"""The file of rules about customers."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.customers.rules import (
    DEFAULT_RULES,
    CustomerRules,
    CustomerRulesError,
    SegmentRules,
    Tier,
    ValueRules,
    read_rules,
    rules_in,
)

WHOLE = """
time_zone = "Europe/Berlin"
currency = "EUR"
tier_months = 24

[segments]
new_days = 14
active_days = 60
lost_days = 200
loyal_purchases = 4

[value]
months = 6
discount = 0.2
margin = 0.4

[attention]
unserved_months = 3
advocate_acts = 1

[[tiers]]
name = "gold"
spent = 500
purchases = 4

[[tiers]]
name = "silver"
spent = 100
"""


def test_every_key_is_read() -> None:
    """A file that says everything."""
    assert read_rules(WHOLE, "x") == CustomerRules(
        time_zone="Europe/Berlin",
        currency="EUR",
        tier_months=24,
        segments=SegmentRules(new_days=14, active_days=60, lost_days=200, loyal_purchases=4),
        value=ValueRules(months=6, discount=0.2, margin=0.4),
        unserved_months=3,
        advocate_acts=1,
        tiers=(Tier(name="gold", spent=500, purchases=4), Tier(name="silver", spent=100)),
    )


def test_no_file_and_an_empty_one_say_nothing(tmp_path: Path) -> None:
    """What is shipped holds then."""
    path = tmp_path / "customers.toml"
    assert rules_in(path) == DEFAULT_RULES
    path.write_text("")
    assert rules_in(path) == DEFAULT_RULES


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("curency = 'EUR'", 1, "there is no 'curency' here; expected one of currency"),
        ("\n[segments]\nnew_dais = 3", 3, "segments.new_dais: there is no 'new_dais' here; expected one of new_days"),
        ("[segments]\nnew_days = 100", 2, "new_days is 100 and active_days 90"),
        ("[segments]\nactive_days = 400", 2, "active_days is 400 and lost_days 365"),
        ("[segments]\nloyal_purchases = 1", 2, "found 1; expected a whole number from 2"),
        ("[value]\ndiscount = 5", 2, "found 5; expected a share from 0 to 1"),
        ("[value]\nmargin = 0", 2, "expected a share above 0, at most 1"),
        ("[attention]\nunserved_months = true", 2, "found true"),
        ("[[tiers]]\nspent = 3", 1, "`name` is missing"),
        ("[[tiers]]\nname = 'a'\n[[tiers]]\nname = 'a'", 4, "there is a tier a already"),
        ("[[tiers]]\nname = 'A b'", 2, "found 'A b'; expected a name of 1 to 64"),
        ("[[tiers]]\nname = 'a'\nspend = 3", 3, "there is no 'spend' here; expected one of spent"),
        ("currency = 'eur'", 1, "expected three capital letters"),
        ("time_zone = 'Mars/Base'", 1, "there is no time zone 'Mars/Base'"),
        ("x = [", 1, "expected TOML, see docs/customers.md"),
    ],
)
def test_faults_are_told_with_their_lines(text: str, line: int, found: str) -> None:
    """And with what was expected instead."""
    with pytest.raises(CustomerRulesError) as raised:
        read_rules(text, "customers.toml")
    assert found in str(raised.value)
    assert f"customers.toml, line {line}: " in str(raised.value)
