"""One simulated shop of several blocks, shared by the tests that only read."""

from __future__ import annotations

import pytest

from recsys.simulation.spec import ShopSpec
from tests.simulation.simulated_shop import Shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Made once; nobody writes to it."""
    spec = ShopSpec(books=800, customers=2_500, events=100_000, seed=7, events_per_block=40_000)
    assert spec.blocks == 3
    return Shop.simulated(spec, tmp_path_factory.mktemp("simulated") / "shop")
