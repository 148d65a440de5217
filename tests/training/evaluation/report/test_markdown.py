"""The Markdown of an evaluation, as a pull request shows it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.training.evaluation.report.recorded_report import MODELS, recorded
from training.evaluation.report import markdown, words

TEXT = markdown.render(recorded())
RENDERED = MarkdownIt("gfm-like", {"linkify": False}).enable("table")


def test_it_holds_the_answer_and_every_model() -> None:
    """The headline of each track, and a table with a line per model."""
    assert TEXT.count("**Yes: the blend is better than what is in production now.**") == 2
    for name in MODELS:
        assert re.search(rf"^\| {re.escape(words.model(name))} \|.*\[.*\]|^\| Blend \|", TEXT, re.M)


def test_every_table_has_its_columns() -> None:
    """Text with bars and line breaks does not tear a row."""
    blocks = [block.splitlines() for block in TEXT.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 6
    for lines in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(counts) == 1


def test_what_a_shop_wrote_is_text_in_a_pull_request() -> None:
    """Nothing in it is HTML, a picture or a link once rendered, and it calls nobody."""
    html = RENDERED.render(TEXT)
    assert "<script" not in html
    assert "<a " not in html
    assert "@everyone" not in html
    assert "everyone" in html


@pytest.mark.parametrize(
    "text", ["**bold**", "[link](https://a.b)", "![p](x)", "<img src=x>", "a | b", "`code`", "~~no~~"]
)
def test_markup_is_escaped(text: str) -> None:
    """Each kind of markup of a pull request comes out as it was written."""
    html = RENDERED.renderInline(markdown.escaped(text)).replace("\u2060", "")
    assert html == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@given(st.text(max_size=60))
def test_no_text_makes_an_element(text: str) -> None:
    """Whatever a title holds, a cell of a table stays one cell of text."""
    table = f"| a |\n|---|\n| {markdown.escaped(text)} |\n"
    tags = set(re.findall(r"<(/?\w+)", RENDERED.render(table)))
    assert tags <= {"table", "/table", "thead", "/thead", "tbody", "/tbody", "tr", "/tr", "th", "/th", "td", "/td"}


def test_the_command_is_a_block_that_it_cannot_leave() -> None:
    """Backticks in the command do not end the block."""
    html = RENDERED.render(TEXT)
    assert "bookmatch evaluate --home 'my `shop`' --out again" in html
    assert markdown.render({"reproduce": {"command": "a\n```\nb"}}).count("````") == 2
