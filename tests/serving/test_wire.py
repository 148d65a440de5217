"""The compiled JSON of an answer is the JSON of its objects."""

from __future__ import annotations

import re

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.vocabulary import Vocabulary
from recsys.recommend.kernel import (
    BY_NEW,
    BY_NONE,
    BY_OTHERS,
    BY_POPULARITY,
    BY_RISING,
    MOST_EVIDENCE,
    UNITS,
    Listed,
)
from recsys.recommend.relevance import UNKNOWN_RELEVANCE
from serving.http.wire import HISTORY, RELATED, Texts, written

IDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=9), min_size=1)
NAMES = ["", "view", "purchase"]
NOBODY = {BY_POPULARITY: "popular", BY_OTHERS: "other", BY_RISING: "rising", BY_NEW: "new"}


@given(st.data())
def test_it_says_what_the_objects_say(data: st.DataObject) -> None:
    """Any ids, scores from the smallest to the largest, shares below 0, personal items and others, none at all."""
    ids = Vocabulary.from_ids(data.draw(IDS))
    count = data.draw(st.integers(0, 4))
    item = np.array(data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=count, max_size=count)), dtype=np.int32)
    units = st.integers(-(10**9), 10**14)
    score = np.array(data.draw(st.lists(units, min_size=count, max_size=count)), dtype=np.int64)
    speakers = np.array(data.draw(st.lists(st.integers(0, len(ids) - 1), min_size=1, max_size=3)), dtype=np.int32)
    kinds = np.array([1 + place % 2 for place in range(len(speakers))], dtype=np.int32)
    who = st.one_of(st.integers(0, len(speakers) - 1), st.sampled_from([*NOBODY]))
    named = np.full((count, MOST_EVIDENCE), BY_NONE, dtype=np.int32)
    share = np.zeros((count, MOST_EVIDENCE), dtype=np.int64)
    for place in range(count):
        parts = data.draw(st.lists(st.tuples(who, units), max_size=MOST_EVIDENCE))
        for part, (what, own) in enumerate(parts):
            named[place, part], share[place, part] = what, own
    personal, code = data.draw(st.integers(0, count)), data.draw(st.sampled_from([HISTORY, RELATED]))
    found = Listed(item, score, personal, np.zeros(7), named, share, 0, 0)
    known = st.one_of(st.just(UNKNOWN_RELEVANCE), st.integers(0, 100_000))
    relevance = np.array(data.draw(st.lists(known, min_size=count, max_size=count)), dtype=np.int64)
    text, ends = written(found, relevance, code, Texts.of_ids(ids), speakers, kinds, Texts.of(NAMES))

    def evidence(what: int, own: int) -> dict[str, object]:
        if what < 0:
            return {"item_id": None, "kind": NOBODY[what], "share": own / UNITS}
        return {"item_id": ids[int(speakers[what])], "kind": NAMES[kinds[what]], "share": own / UNITS}

    expected = [
        {
            "item_id": ids[int(item[place])],
            "score": float(score[place] / UNITS),
            "relevance": None if relevance[place] == UNKNOWN_RELEVANCE else float(relevance[place] / UNITS),
            "reason": {
                "code": ("history", "related")[code] if place < personal else NOBODY.get(int(named[place, 0]), "other"),
                "evidence": [
                    evidence(int(what), int(own))
                    for what, own in zip(named[place], share[place], strict=True)
                    if what != BY_NONE
                ],
            },
        }
        for place in range(count)
    ]
    assert orjson.loads(b"[" + text + b"]") == expected
    assert not re.search(rb'"(score|relevance|share)":-?\d+\.\d+0[,}]', text), "a number ends in needless zeros"
    begins = [0, *(int(end) + 1 for end in ends[:-1])]
    assert [orjson.loads(text[begin:end]) for begin, end in zip(begins, ends, strict=False)] == expected


@pytest.mark.parametrize("ids", [["a", "b"], ['say "a"', "b"], ["tab\t", "ü"], []])
def test_ids_are_texts_of_json(ids: list[str]) -> None:
    """With and without something to escape."""
    texts = Texts.of_ids(Vocabulary.from_ids(ids))
    parts = [texts.bytes[begin:end].tobytes() for begin, end in zip(texts.start[:-1], texts.start[1:], strict=True)]
    assert [orjson.loads(part) for part in parts] == sorted(ids)
