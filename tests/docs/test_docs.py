"""Documents agree with the code, and point at things that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import typer.main

from recsys.bundle.manifest import Manifest
from recsys.cli.app import app
from recsys.data.events import EventKind
from recsys.data.signals import EventWeights
from recsys.models.relevance import Relevance
from tests.worlds import published, two_tastes
from training.fitting import TrainingConfig

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def options(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every command with its options and arguments as a user types them."""
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from options(child, (*path, name))
        return
    parameters = [each for each in command.params if each.param_type_name == "option"]  # type: ignore[attr-defined]
    names = [max(each.opts, key=len) for each in parameters if not getattr(each, "hidden", False)]
    yield path, [name for name in names if name != "--help"]


COMMANDS = list(options(typer.main.get_command(app)))


@pytest.mark.parametrize(("path", "names"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_every_command_and_option_is_in_the_manual(path: tuple[str, ...], names: list[str]) -> None:
    """docs/cli.md has a section for each command that names each of its options, and no option that is not there."""
    manual = (ROOT / "docs" / "cli.md").read_text()
    title = f"## bookmatch {' '.join(path)}\n"
    assert title in manual
    section = manual.split(title)[1].split("\n## ")[0]
    documented = set(re.findall(r"`(--[a-z-]+)", section))
    assert documented == set(names)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that exists."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Following links from the README leads to every page under docs."""
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page.resolve())
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            place = (page.parent / target).resolve()
            todo += [
                p
                for p in ([place] if place.suffix == ".md" else place.glob("*.md"))
                if p.resolve() not in seen and p.exists()
            ]
    assert {page.resolve() for page in PAGES} <= seen


def test_the_readme_s_targets_exist() -> None:
    """Every `make` target that a page names is one."""
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(
            r"`?make ([a-z-]+)`?(?=[`\s#])",
            "\n".join(re.findall(r"^make [a-z-]+|`make [a-z-]+`", page.read_text(), re.M)),
        ):
            assert re.search(rf"^{target}:", makefile, re.M), (page.name, target)


def test_the_bundle_page_names_every_manifest_field_and_array(tmp_path: Path) -> None:
    """docs/bundle-format.md has every field of the manifest, of the event weights, and every array of a real bundle."""
    page = (ROOT / "docs" / "bundle-format.md").read_text()
    names = [field.name for field in (*fields(Manifest), *fields(EventWeights)) if field.init]
    names += list(published(tmp_path, two_tastes()).manifest.arrays)
    names += list(Relevance.of_curves((), 1, (), ((np.zeros(0), np.zeros(0)),) * 3).arrays())
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_page_on_algorithms_has_the_shipped_weights() -> None:
    """Every kind that carries weight stands in docs/algorithms.md with its default weight and half-life."""
    page = (ROOT / "docs" / "algorithms.md").read_text()
    for kind, entry in TrainingConfig().event_weights.kinds.items():
        row = next(line for line in page.splitlines() if re.match(rf"\|[^|]*\b{kind}\b[^|]*\|", line))
        assert f" {entry.weight:g}" in row.replace("1.0", "1")
        assert (f"{entry.half_life_days:g}" if entry.half_life_days else "never") in row


def test_the_page_on_importing_names_every_kind() -> None:
    """docs/importing.md has every kind of event."""
    page = (ROOT / "docs" / "importing.md").read_text()
    assert [kind for kind in EventKind if f"`{kind}`" not in page] == []


def test_the_project_speaks_of_itself_alone() -> None:
    """No tracked file names a path of somebody's machine or a package registry's host."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    registry = "|".join(["py" + "pi.org", "python" + "hosted", "index" + "-url", "registry.npm" + "js"])
    machine = "|".join([r"/ho" + "me/", r"(?<![\w.])/wo" + "rk/", r"/ro" + "ot/", r"/Us" + "ers/"])
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file():
            text = path.read_bytes().decode(errors="replace")
            found += [(name, match.group()) for match in re.finditer(f"{registry}|{machine}", text)]
    assert found == []
