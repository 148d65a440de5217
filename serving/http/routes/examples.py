"""The examples in the API's description: those of docs/http-api.md, which a test holds them to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

PATH: Final = Path(__file__).with_name("examples.json")
"""By method and path: what may be sent, where there is a body, and what is answered."""

_CREATED: Final = frozenset({"created", "added"})
_JSON: Final = "application/json"


def show_examples(document: dict[str, Any]) -> None:
    """Puts an example beside the request and the answer of every operation of an OpenAPI document that has one."""
    examples: Mapping[str, Mapping[str, Any]] = orjson.loads(PATH.read_bytes())
    for name, example in examples.items():
        method, _, path = name.partition(" ")
        operation = document["paths"][path][method.lower()]
        if "request" in example:
            operation["requestBody"]["content"][_JSON]["example"] = example["request"]
        status = "201" if example["answer"].get("status") in _CREATED else "200"
        operation["responses"][status]["content"][_JSON]["example"] = example["answer"]
