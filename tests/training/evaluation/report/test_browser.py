"""The page in a real browser: by axe's rules, on a phone, on paper, and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.training.evaluation.report.recorded_report import recorded
from training.evaluation.report import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without these a browser asks its maker's hosts for news at every start.
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
DESKTOP, PHONE = (1280, 800), (390, 844)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the PATH")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        # As root, as in a container, its sandbox does not start.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as a file."""
    place = tmp_path_factory.mktemp("report") / "report.html"
    place.write_text(page.render(recorded()))
    return place


def shown(browser: Browser, file: Path, size: tuple[int, int]) -> tuple[Page, list[str], list[str]]:
    """The page at this size, what it asked for, and what it complained of."""
    opened = browser.new_page(viewport={"width": size[0], "height": size[1]})
    asked: list[str] = []
    told: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.goto(file.as_uri())
    return opened, asked, told


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_axe_finds_nothing(browser: Browser, file: Path, size: tuple[int, int]) -> None:
    """No rule of axe-core is broken, contrast included, wide or narrow."""
    opened, _, _ = shown(browser, file, size)
    found = Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()
    opened.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_fits_and_asks_for_nothing(browser: Browser, file: Path, size: tuple[int, int]) -> None:
    """It is as wide as the screen, tables scroll by themselves, figures shrink; nothing is fetched or fails."""
    opened, asked, told = shown(browser, file, size)
    assert opened.evaluate("document.documentElement.scrollWidth") == size[0]
    wide = (
        "[...document.querySelectorAll('figure svg')].filter(e => e.getBoundingClientRect().right > innerWidth).length"
    )
    assert opened.evaluate(wide) == 0
    assert asked == [file.as_uri()]
    assert told == []
    opened.close()


def test_the_answer_is_in_the_first_screen(browser: Browser, file: Path) -> None:
    """Without scrolling: both answers and the first model's line on a desktop, the first answer on a phone."""
    for size, what in ((DESKTOP, "tbody tr"), (PHONE, ".answer .headline")):
        opened, _, _ = shown(browser, file, size)
        bottom = opened.evaluate(f"document.querySelector('{what}').getBoundingClientRect().bottom")
        assert bottom < size[1], what
        opened.close()


def test_print_shows_everything(browser: Browser, file: Path) -> None:
    """On paper nothing is cut off by scrolling, and what is folded on a screen is there."""
    opened, _, _ = shown(browser, file, DESKTOP)
    opened.emulate_media(media="print")
    assert opened.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert opened.evaluate("document.querySelector('details pre').checkVisibility({contentVisibilityAuto: true})")
    assert opened.pdf(format="A4").startswith(b"%PDF")
    opened.close()
