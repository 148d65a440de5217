"""The page of an evaluation: what it says, and that everybody can read it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any

import pytest

from tests.training.evaluation.report.markup import Element, read
from tests.training.evaluation.report.recorded_report import EVIL, KS, MODELS, recorded
from training.evaluation.report import page, plots, words

METRICS = recorded()


@cache
def html() -> str:
    """The page. Drawn by the first test that asks: whoever only collects tests has no use for it."""
    return page.render(METRICS)


@cache
def opened() -> Element:
    """The page, read."""
    return read(html())


def all_of(*tags: str) -> list[Element]:
    """These elements of the page."""
    return list(opened().all(*tags))


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Between two colours, by WCAG 2."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, style sheet, picture or font is fetched: references lead only to places of the page itself."""
    assert all_of("script", "link", "img", "iframe", "object", "base", "form") == []
    for element in all_of():
        for name, value in element.attributes.items():
            if name in {"href", "src", "xlink:href", "srcset", "action", "data"}:
                assert value.startswith("#"), (element.tag, name, value)
            assert not name.startswith("on"), (element.tag, name)
            assert "url(" not in value.replace("url(#", ""), value
    (style,) = [element.text for element in all_of("style")]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [each.attributes["content"] for each in all_of("meta") if "http-equiv" in each.attributes]
    assert policy.startswith("default-src 'none'")


def test_what_a_shop_wrote_is_text() -> None:
    """Markup in ids, titles, categories, notes and settings is shown as it is written and does nothing."""
    assert EVIL in opened().text
    assert "<script" not in html()
    assert "\u0007" not in html()
    assert not re.search(r"<[^>]*alert\(", html())


def test_ids_are_unique_and_what_is_referred_to_is_there() -> None:
    """Every id stands once, figures included; every label, description and link finds its element."""
    ids = [element.attributes["id"] for element in all_of() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in all_of():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(element.attributes.get(name, "").split()) <= set(ids)
        for name in ("href", "xlink:href"):
            assert element.attributes.get(name, "#" + ids[0])[1:] in ids
        for value in element.attributes.values():
            assert set(re.findall(r"url\(#([^)]+)\)", value)) <= set(ids)


def test_headings_lead_through_the_page() -> None:
    """One first heading; none is deeper than the one before it by more than one."""
    levels = [int(element.tag[1]) for element in all_of("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_page_has_landmarks_and_a_language() -> None:
    """Whoever hears the page can go to its parts: header, main, navigation and footer, and a link past the rest."""
    assert {"header", "main", "nav", "footer"} <= {element.tag for element in all_of()}
    (root,) = all_of("html")
    assert root.attributes["lang"] == "en"
    first = next(element for element in all_of("a"))
    assert first.attributes["href"] == "#" + next(each.attributes["id"] for each in all_of("main"))


def test_every_table_can_be_heard() -> None:
    """A caption, a head for each column and row, and as many cells in every row; wide ones scroll with the keyboard."""
    tables = all_of("table")
    assert len(tables) >= 10
    for table in tables:
        (caption,) = table.all("caption")
        assert caption.text.strip()
        (head,) = table.all("thead")
        (body,) = table.all("tbody")
        columns = len(list(head.all("th")))
        assert all(cell.attributes["scope"] == "col" for cell in head.all("th"))
        for row in body.all("tr"):
            cells = list(row.all("th", "td"))
            assert len(cells) == columns
            assert (cells[0].tag, cells[0].attributes["scope"]) == ("th", "row")
    scrolling = [element for element in all_of("div") if element.attributes.get("class") == "scroll"]
    assert len(scrolling) == len(tables)
    assert all(each.attributes["tabindex"] == "0" and each.attributes["role"] == "region" for each in scrolling)


def test_every_figure_can_be_heard() -> None:
    """An image with a name and a description that holds its numbers, and text that is text."""
    figures = all_of("figure")
    assert len(figures) >= 14
    for figure in figures:
        (svg,) = figure.all("svg")
        assert svg.attributes["role"] == "img"
        title, described = svg.children[:2]
        assert (title.tag, described.tag) == ("title", "desc")
        assert svg.attributes["aria-labelledby"] == title.attributes["id"]
        assert svg.attributes["aria-describedby"] == described.attributes["id"]
        assert title.text.strip()
        assert re.search(r"\d", described.text)
        assert len(list(svg.all("text"))) > 4
    drawn = " ".join(text.text for svg in all_of("svg") for text in svg.all("text"))
    assert all(words.model(name) in drawn for name in MODELS)
    assert "$x$" in drawn


def test_verdicts_are_words() -> None:
    """No verdict is told by colour alone: every cell that has one says it."""
    said = [cell.text for cell in all_of("td") if cell.attributes.get("class", "").startswith("verdict")]
    assert {"▲ better", "○ no clear difference"} <= set(said)
    assert all(any(verdict in each for verdict in words.MARKS) for each in said)


@pytest.mark.parametrize("ground", ["ground", "tint"])
def test_text_stands_out_from_its_ground(ground: str) -> None:
    """Every colour of text has the contrast that WCAG's level AA asks for, 4.5 to 1."""
    (style,) = [element.text for element in all_of("style")][:1]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", style))
    for name in ("ink", "soft", "link", "good", "bad"):
        assert contrast(colours[name], colours[ground]) >= 4.5, name


def test_marks_stand_out_from_their_ground() -> None:
    """Every model is drawn in a colour of contrast 3 to 1 or more, and differs from the others by its marker."""
    look = plots.Look(MODELS, "production")
    found = [look.of(name) for name in MODELS]
    assert all(contrast(colour, "#ffffff") >= 3 for colour, *_ in found)
    assert len({marker for _, marker, _ in found}) == len(MODELS)


def test_the_answer_comes_first() -> None:
    """Each track's answer, in words, stands before the first table; the first table has every model's numbers."""
    order = all_of("section", "table")
    assert [each.attributes.get("class", "") for each in order[:2]] == ["answer better", "answer better"]
    assert order[2].tag == "table"
    assert "Yes: the blend is better than what is in production now." in order[0].text
    metrics = METRICS["tracks"]["discovery"]["models"]
    for name in MODELS:
        (row,) = [row for row in order[2].all("tr") if row.text.strip().startswith(words.model(name) + "\n")]
        for metric in ("recall", "ndcg", "hit_rate", "coverage"):
            assert f"{metrics[name][f'{metric}@{KS[-1]}']:.4f}" in row.text


def test_a_failed_check_is_told_before_the_answer() -> None:
    """A reader cannot miss that numbers are not to be trusted."""
    assert opened().text.index("Not to be trusted: 1 of 2 checks") < opened().text.rindex("Yes: the blend is better")
    (header,) = all_of("header")
    assert "Not to be trusted" in header.text


def test_a_model_that_is_missing_says_why() -> None:
    """Causes stand under the table."""
    assert "long_gone is not compared: its bundle does not load." in opened().text


def test_hits_are_marked_with_words() -> None:
    """Each item that the customer went on to want says so in both lists."""
    hits = [each["hit"] for example in METRICS["examples"] for shown in example["lists"].values() for each in shown]
    assert opened().text.count("✓ wanted") == sum(hits)


def test_everything_to_run_it_again_is_there() -> None:
    """The command as it was typed, versions, the fingerprint of the data, the seed."""
    for text in (METRICS["reproduce"]["command"], "2.4.6", "0f" * 32, "numpy", "0.1.0"):
        assert text in opened().text


def test_the_same_numbers_are_the_same_page() -> None:
    """Bytes and all: a report can be compared with another by its files."""
    assert page.render(recorded()) == html()


def changed(*path: str, value: Any) -> dict[str, Any]:
    """The report with something else at one place."""
    metrics = copy.deepcopy(METRICS)
    # Figures take their time: one track is enough where the other is not asked about.
    for curves in metrics["tracks"]["repeat"], metrics["tracks"]["discovery"]:
        curves["slices"] = {"customer": curves["slices"]["seen"]}
    if path[1:2] == ("discovery",):
        del metrics["tracks"]["repeat"]
    place = metrics
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return metrics


@pytest.mark.parametrize(
    "metrics",
    [
        dict,
        lambda: {"models": {"blend": {"recall@10": 0.1, "ndcg@10": float("nan")}}, "config": {"repeats": "allow"}},
        partial(changed, "tracks", "repeat", value={"repeats": "only", "customers": 0, "cause": f"nobody {EVIL}"}),
        partial(changed, "tracks", "discovery", "slices", value={}),
        partial(
            changed, "tracks", "discovery", "curves", value={"popularity": {"blend": []}, "coverage": {"blend": {}}}
        ),
        partial(changed, "tracks", "discovery", "models", value={"blend": {"recall@1": None}}),
        partial(changed, "cost", value={"blend": {"fit_seconds": None, "list_microseconds": 0.0}}),
        partial(changed, "windows", value=[]),
        partial(changed, "movers", value=None),
        partial(changed, "examples", value=[]),
    ],
)
def test_a_report_of_few_facts_is_a_page(metrics: Callable[[], dict[str, Any]]) -> None:
    """Whatever part is missing or could not be computed: the rest is there, well formed, and nothing else."""
    found = read(page.render(metrics()))
    assert list(found.all("main"))
    assert not list(found.all("script"))


def test_repeats_that_are_no_track_have_their_part() -> None:
    """With `--repeats allow` the track that was asked for comes first, and the other two after it."""
    metrics = changed("config", "repeats", value="allow")
    found = read(page.render(metrics))
    titles = [each.text for each in found.all("h2")][:3]
    assert [title.partition(":")[0] for title in titles] == ["New and again", "Discovery", "Buying again"]
