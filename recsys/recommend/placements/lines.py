"""On which line of a TOML text a key stands, for messages about values that do not fit."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]
"""How to get to a value: keys of tables, and numbers of elements of arrays."""

MOST_LINES = 500
"""Of an array whose elements have lines of their own; those of a longer one have that of the array."""

MOST_CHARACTERS = 3_000_000
"""The parser is given as many, to find lines; what stands behind that has the line of the table that it is in. A file
that people write needs a small part of it, a text of thousands of brackets would take minutes."""

_CLOSING = ("]", '"""', "'''")
"""One of these is on the last line of a statement of several."""


class Lines:
    """The lines of the keys of a TOML text that parses. The parser of the standard library does not tell them, so it is
    given one statement after the other, which takes a while: only for a file that has a fault."""

    def __init__(self, text: str) -> None:
        self._known: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}
        self._left = MOST_CHARACTERS
        lines = text.replace("\r\n", "\n").split("\n")
        first, below = 0, KeyPath()
        while first < len(lines):
            last, said = self._statement(lines, first)
            if lines[first].lstrip().startswith("["):
                below = self._header(said, first + 1)
            else:
                self._note(below, said, lines[first : last + 1], first + 1)
            first = last + 1

    def of(self, path: KeyPath) -> int:
        """The line, from 1, where a value begins; that of what it is in, where the text has it nowhere."""
        while path and path not in self._known:
            path = path[:-1]
        return self._known.get(path, 1)

    def _header(self, said: Mapping[str, object], line: int) -> KeyPath:
        """Notes `[a.b]` or `[[a.b]]` and returns the path of the values that follow it."""
        path, inside = KeyPath(), said
        while inside:
            key, value = next(iter(inside.items()))
            path = (*path, key)
            self._known.setdefault(path, line)
            if isinstance(value, list):
                self._tables[path] = self._tables.get(path, -1) + 1
                inside = {}
            else:
                inside = value if isinstance(value, dict) else {}
            if path in self._tables:
                path = (*path, self._tables[path])
                self._known.setdefault(path, line)
        return path

    def _note(self, below: KeyPath, value: object, lines: list[str], line: int) -> None:
        """Notes a value of a statement on these lines, the first of which has the number `line`, and all within it."""
        self._known.setdefault(below, line)
        if isinstance(value, dict):
            for key, inner in value.items():
                self._note((*below, key), inner, lines, line)
        elif isinstance(value, list):
            ends = _ends(lines, len(value)) if 1 < len(lines) <= MOST_LINES else []
            for number, element in enumerate(value):
                at = line + ends[number] if number < len(ends) else line
                self._note((*below, number), element, lines[:1], at)

    def _statement(self, lines: list[str], first: int) -> tuple[int, Mapping[str, object]]:
        """The last line of the statement that begins on a line, and what it says. No part of a statement parses."""
        size = 0
        for last in range(first, len(lines)):
            size += len(lines[last]) + 1
            if last > first and not any(mark in lines[last] for mark in _CLOSING):
                continue
            self._left -= size
            if self._left < 0:
                break
            try:
                return last, tomllib.loads("\n".join(lines[first : last + 1]))
            except tomllib.TOMLDecodeError:
                continue
        return len(lines) - 1, {}


def _ends(lines: list[str], size: int) -> list[int]:
    """On which of its statement's lines, from 0, each element of an array ends; of fewer where that cannot be told."""
    ends: list[int] = []
    for last in range(len(lines)):
        if len(ends) == size:
            break
        try:
            said: object = tomllib.loads("\n".join([*lines[: last + 1], "]"]))
        except tomllib.TOMLDecodeError:
            continue
        while isinstance(said, dict):
            said = next(iter(said.values()))
        if isinstance(said, list):
            ends += [last] * (len(said) - len(ends))
    # The last element may stand on one line with the closing bracket.
    return ends + [len(lines) - 1] * (size - len(ends))
