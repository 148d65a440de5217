"""The examples of docs/http-api.md, and the file that the API's description takes them from.

`python -m tests.serving.documented` writes that file anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson

from serving.http.routes.examples import PATH

API = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
_WRITTEN = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def examples() -> dict[str, tuple[str, str, list[Any]]]:
    """Method, target and JSON blocks of each example by name."""
    found = {}
    for name, method, target, rest in re.findall(
        r"<!-- example: (\w+) -->\n```\n(\w+) (\S+)\n```\n((?:```json\n.*?\n```\n?)+)", API, re.S
    ):
        blocks = [orjson.loads(block) for block in re.findall(r"```json\n(.*?)\n```", rest, re.S)]
        found[name] = (method, target, blocks)
    return found


def by_operation() -> dict[str, dict[str, Any]]:
    """Request and answer by method and path as the API's description names them; the problem is of no operation."""
    found = {}
    for name, (method, target, blocks) in examples().items():
        path = re.sub(r"^/v1/(customers|items)/[^/?]+", r"/v1/\1/{id}", target.partition("?")[0])
        if name != "problem":
            found[f"{method} {path}"] = {
                **({"request": blocks[0]} if len(blocks) > 1 else {}),
                "answer": blocks[-1],
            }
    return found


if __name__ == "__main__":
    PATH.write_bytes(orjson.dumps(by_operation(), option=_WRITTEN))
