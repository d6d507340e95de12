"""The documents agree with the code: links and paths resolve, and the reference is complete."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

from report_orchestrator.conf import SPECS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "report_orchestrator"
REFERENCE = ROOT / "schematics" / "reference"
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "schematics").rglob("*.md"), ROOT / "tests" / "README.md"]
COMMANDS = sorted(path.stem for path in (PACKAGE / "management" / "commands").glob("[a-z]*.py"))

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"`((?:report_orchestrator|schematics|tests|\.ci|domain|models|services|adapters|admin|management|cluster|sandbox)/[\w./]*)`"
)


def prose_of(document: Path) -> str:
    """Return a document's text without its code blocks."""
    return _FENCE.sub("", document.read_text())


def anchors_of(document: Path) -> set[str]:
    """Return the anchors that GitHub gives a document's headings; repeated ones are numbered."""
    anchors: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.+)$", prose_of(document), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(document: Path) -> None:
    broken = []
    for link in _LINK.findall(prose_of(document)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_path_exists(document: Path) -> None:
    paths = _PATH.findall(prose_of(document))
    roots = (ROOT, PACKAGE, PACKAGE / "templates")
    missing = [path for path in paths if not any((root / path).exists() for root in roots)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_named_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", document.read_text())) <= targets


def test_the_readme_has_at_most_200_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_every_page_stands_in_the_index_of_schematics() -> None:
    folder = ROOT / "schematics"
    pages = {str(path.relative_to(folder)) for path in folder.rglob("*.md")} - {"README.md"}
    assert set(_LINK.findall((folder / "README.md").read_text())) == pages


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    text = (REFERENCE / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)` \|", text, re.MULTILINE))
    defaults = {name: str(spec.default) if spec.default != "" else '""' for name, spec in SPECS.items()}
    assert rows == defaults


def test_every_system_check_stands_in_the_reference() -> None:
    checks = set(
        re.findall(r"\b[EW][01]\d\d\b", "".join(file.read_text() for file in (PACKAGE / "checks").glob("*.py")))
    )
    assert set(re.findall(r"^\| `([EW]\d{3})` \|", (REFERENCE / "settings.md").read_text(), re.MULTILINE)) == checks


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_reference_with_its_options(name: str) -> None:
    text = (REFERENCE / "commands.md").read_text()
    assert re.search(rf"^\| `{name}\b", text, re.MULTILINE)
    assert [option for option in _own_options(name) if option not in text] == []


def _own_options(name: str) -> set[str]:
    """Return the long options that a command adds to Django's; Django-Q's own of `qcluster` are left out."""
    if name == "qcluster":
        return set()
    command = load_command_class("report_orchestrator", name)
    options = {
        option for action in command.create_parser("manage.py", name)._actions for option in action.option_strings
    }
    common = {
        option for action in BaseCommand().create_parser("manage.py", name)._actions for option in action.option_strings
    }
    return {option for option in options - common if option.startswith("--")}
