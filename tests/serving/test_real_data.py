"""Every route answers on real shops: invoices with returns, browsing, ratings, purchases without times."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import orjson
import polars as pl
import pytest

from recsys.cli.app import main
from recsys.shop import ShopFolder
from recsys.stores import open_store
from serving.http.settings import Settings
from tests.serving.service import FakeClock, Service
from tests.serving.test_list_contract import check_list

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("BOOKMATCH_DATA" not in os.environ, reason="BOOKMATCH_DATA names no folder of data sets"),
]

ROWS = 20_000
"""So many of the first rows of each file of events: enough for a model, and quickly read."""

NOW = 1_790_000_000_000

SHOPS: dict[str, list[list[str]]] = {
    "online-retail-uci": [["transactions.parquet", "--format", "online-retail"]],
    "retailrocket-mb": [["train_events.parquet", "--format", "retailrocket"]],
    "movielens-100k": [
        ["items.parquet", "--format", "movielens", "--as", "items"],
        ["users.parquet", "--format", "movielens", "--as", "customers"],
        ["ratings.parquet", "--format", "movielens"],
    ],
    "amazon-book-kgat": [["train.parquet", "--map", "customer_id=user,item_id=item", "--event", "purchase"]],
}
"""The arguments of each import."""


def run(*arguments: str) -> None:
    """One command, in this process: others import everything anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bookmatch", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
    assert done.value.code == 0


@pytest.fixture(scope="module", params=SHOPS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of the first rows of a data set, trained."""
    folder = tmp_path_factory.mktemp("real")
    for name, *options in SHOPS[request.param]:
        rows = pl.scan_parquet(Path(os.environ["BOOKMATCH_DATA"]) / request.param / name).head(ROWS).collect()
        rows.write_parquet(folder / name)
        run("import", str(folder / name), *options, "--home", str(folder / "shop"))
    run("train", "--tune-budget", "0", "--home", str(folder / "shop"))
    return folder / "shop"


def test_every_route_answers_on_a_real_shop(shop: Path) -> None:
    """Lists keep the contract; what a customer says back counts in the next answer; each can be forgotten."""
    store = open_store(ShopFolder(shop).store)
    table = store.events.read()
    store.close()
    counts = table.events["customer"].value_counts(sort=True)
    known = [table.customer_ids[number] for number in counts["customer"].to_list()]
    customer, busiest = known[len(known) // 2], known[0]
    item_id = table.item_ids[int(table.events["item"].mode().sort()[0])]
    with Service(Settings(home=shop), FakeClock(NOW)) as service:
        lists = [
            *(f"/v1/customers/{quote(each, safe='')}/recommendations" for each in (customer, busiest, "nobody")),
            *(f"/v1/customers/{quote(busiest, safe='')}/{kind}" for kind in ("buy-again", "recently-viewed")),
            *(
                f"/v1/items/{quote(item_id, safe='')}/related?relation={relation}"
                for relation in ("similar", "bought_together", "after")
            ),
            *(f"/v1/popular?window={days}" for days in ("all", "30d")),
            *(f"/v1/popular?window=90d&order={order}" for order in ("rising", "new")),
        ]  # fmt: skip
        for target in lists:
            reply = service.get(target)
            assert reply.status == 200, (target, reply.body)
            check_list(reply.json(), 20, set())
        own = f"/v1/customers/{quote(busiest, safe='')}"
        first = service.get(f"{own}/recommendations").items
        assert first
        posted = service.post_events({"customer_id": busiest, "kind": "not_interested", "item_id": first[0]})
        assert first[0] not in service.get(f"{own}/recommendations").items
        undo = {"customer_id": busiest, "kind": "undo", "context": {"undoes": posted[0]["event_id"]}}
        service.post_events(undo)
        assert service.get(f"{own}/recommendations").items == first

        def ask(target: str, body: object) -> dict[str, object]:
            reply = service.ask("POST", target, orjson.dumps(body), content_type="application/json")
            assert reply.status == 200, reply.body
            found: dict[str, object] = reply.json()
            return found

        ranked = ask("/v1/rank", {"customer_id": busiest, "item_ids": first[::-1]})
        assert [entry["item_id"] for entry in ranked["items"]] == first  # type: ignore[attr-defined]
        types = ("recommendations", "popular", "buy_again", "recently_viewed")
        whole = ask("/v1/pages", {"customer_id": busiest, "lists": [{"name": each, "type": each} for each in types]})
        shown = [entry["item_id"] for each in whole["lists"] for entry in each["items"]]  # type: ignore[attr-defined]
        assert len(shown) == len(set(shown)) > 0
        assert ask("/v1/recommendations", {"events": [{"item_id": item_id}]})["items"]
        assert service.get(f"/v1/items/{quote(item_id, safe='')}/audience?purpose=email").status == 200
        assert service.get(f"/v1/items/{quote(item_id, safe='')}").status in (200, 404)
        told = service.get(own).json()
        assert told["taste"]
        assert sum(told["events"].values()) == len(service.get(f"{own}/export").json()["events"])
        assert service.ask("DELETE", own).json()["removed"]["events"] == sum(told["events"].values())
        assert service.get(f"{own}/recommendations").served_from["fallback"] == "unknown_customer"
