"""`python -m benchmarks.real_data`: takes four real data sets through import and training and writes docs/real-data.md.

For each: the commands as a user would type them, sizes, seconds, memory, and three customers' histories beside their
lists. Needs BOOKMATCH_DATA.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from benchmarks.data_sets import DATA_SETS, VARIABLE, DataSet, data_folder
from benchmarks.measured import Run, run
from benchmarks.served import served
from recsys.data.events import EventKind
from recsys.shop import ShopFolder
from recsys.stores import open_store

ROOT = Path(__file__).resolve().parents[1]
BOOKMATCH = str(Path(sys.executable).parent / "bookmatch")
SHOWN = 8
TASTES = (EventKind.PURCHASE.code, EventKind.RATE.code)


def cost(what: str, done: Run) -> str:
    """One line of a table of costs."""
    return f"| {what} | {done.seconds:.1f} | {done.peak_bytes / 1e6:,.0f} |"


def chosen_customers(home: Path) -> list[str]:
    """Three customers by rule: with 8 to 20 events of buying or rating, at the quarters of the list sorted by id."""
    store = open_store(ShopFolder(home).store, create=False, read_only=True)
    try:
        table = store.events.read()
    finally:
        store.close()
    bought = table.events.filter(table.events["kind"].is_in(TASTES)).group_by("customer").len()
    able = bought.filter(bought["len"].is_between(8, 20))["customer"]
    ids = sorted(table.customer_ids.gather(able))
    return [ids[len(ids) * quarter // 4] for quarter in (1, 2, 3)]


def name_of(item: str, titles: dict[str, str]) -> str:
    """A title with its id, or the id alone."""
    return f"{titles[item].title() if titles[item].isupper() else titles[item]} ({item})" if item in titles else item


def recommended(home: Path, customer: str) -> dict[str, Any]:
    """One customer's history and list, as the command gives them to programs."""
    done = run([BOOKMATCH, "recommend", customer, "--home", str(home), "--limit", str(SHOWN), "--json"])
    answer: dict[str, Any] = orjson.loads(done.output)
    return answer


def served_alike(home: Path, answers: list[dict[str, Any]]) -> float:
    """Seconds until the service answered; ends the program when one of its lists differs from the command's."""
    with served(home) as server:
        for answer in answers:
            found = server.get(f"/v1/customers/{answer['customer_id']}/recommendations?limit={SHOWN}")
            ours, theirs = ([item["item_id"] for item in each["items"]] for each in (answer, found))
            if ours != theirs:
                sys.exit(f"the service answered {theirs} where the command answered {ours}")
        return server.seconds


def customer_section(answer: dict[str, Any]) -> str:
    """One customer's newest events beside their list."""
    titles = answer["titles"]
    past = [f"{row['kind']} {name_of(row['item_id'], titles)}" for row in answer["history"][:SHOWN]]
    listed = []
    for item in answer["items"]:
        named = [part for part in item["reason"]["evidence"] if part["item_id"] is not None]
        because = (
            f"{len(named)} named, first {name_of(named[0]['item_id'], titles)}" if named else item["reason"]["code"]
        )
        listed.append(f"{name_of(item['item_id'], titles)} | {because}")
    lines = [f"Customer `{answer['customer_id']}`", "", "| newest events | recommended | evidence |", "|---|---|---|"]
    lines += [f"| {did} | {proposed or ' | '} |" for did, proposed in zip_longest(past, listed, fillvalue="")]
    return "\n".join(lines)


def section(data_set: DataSet, folder: Path, home: Path) -> str:
    """Everything about one data set."""
    commands, costs = [], []
    for file, *options in data_set.imports:
        arguments = ["import", str(folder / data_set.name / file), *options, "--home", str(home)]
        costs.append(cost(f"import `{file}`", run([BOOKMATCH, *arguments])))
        shown = [f'"${VARIABLE}/{data_set.name}/{file}"', *map(shlex.quote, options)]
        commands.append(f"bookmatch import {' '.join(shown)} --home {data_set.name}")
    trained = run([BOOKMATCH, "train", "--home", str(home), "--json"])
    costs.append(cost("train", trained))
    data = orjson.loads(trained.output)["data"]
    customers = chosen_customers(home)
    answers = [recommended(home, customer) for customer in customers]
    costs.append(f"| serve, until the first answer | {served_alike(home, answers):.1f} | |")
    commands += [
        f"bookmatch train --home {data_set.name}",
        f"bookmatch recommend {customers[0]} --home {data_set.name}",
    ]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in data["kinds"].items())
    sizes = "\n".join(
        f"| {name} | {sum(path.stat().st_size for path in place.rglob('*') if path.is_file()) / 1e6:,.1f} |"
        for name, place in (("store", home), ("bundle", ShopFolder(home).models))
    )
    return "\n\n".join(
        [
            f"## {data_set.name}",
            data_set.about,
            "```sh\n" + "\n".join(commands) + "\n```",
            f"{data['customers']:,} customers, {data['items']:,} items, {data['events']:,} events: {kinds}.",
            "| step | seconds | peak memory, MB |\n|---|---:|---:|\n" + "\n".join(costs),
            "| on disk | MB |\n|---|---:|\n" + sizes,
            *map(customer_section, answers),
        ]
    )


def main() -> None:
    """Writes docs/real-data.md."""
    folder = data_folder()
    head = (
        "# Real data, from file to list\n\n"
        f"Written by `python -m benchmarks.real_data`, which ran each command below as it stands, on {os.cpu_count()} "
        f"cores ({platform.machine()}, Python {platform.python_version()}). Seconds are wall-clock with the start "
        "of the program; memory is the largest resident set. "
        f"`{VARIABLE}` names the folder with the data sets, which are not part of this project. The three customers "
        "are chosen by rule: those with 8 to 20 purchases or ratings, at the quarters of the list sorted by id. The "
        "service was asked for the same customers and gave the same lists."
    )
    with tempfile.TemporaryDirectory() as scratch:
        sections = [section(data_set, folder, Path(scratch) / data_set.name) for data_set in DATA_SETS]
    (ROOT / "docs" / "real-data.md").write_text("\n\n".join([head, *sections]) + "\n")
    print("wrote docs/real-data.md")


if __name__ == "__main__":
    main()
