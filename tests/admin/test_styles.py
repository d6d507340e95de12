"""Every class that Python and the templates write has a rule in a stylesheet."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import get_args

import report_orchestrator
from report_orchestrator.admin.runs import step_bars
from report_orchestrator.admin.runs.log_lines import LogLine
from report_orchestrator.admin.ui import charts
from report_orchestrator.admin.ui import format as formats
from tests.support.admin_pages import NOW

PACKAGE = Path(report_orchestrator.__file__).parent
TONES = [tone for tone in get_args(formats.Tone) if tone != "busy"]  # "busy" is a status, and no state of health
FAMILIES = {
    "ro-fill-": get_args(charts.Look),
    "ro-piece-": get_args(step_bars.Look),
    "ro-edge-": {*get_args(step_bars.Look), *TONES},
    "ro-step-": get_args(step_bars.State),
    "ro-line-": [LogLine(at=NOW, event=event, keys={}).tone for event in ("run_failed", "run_rescued", "run_started")],
    "ro-next-run-": ["good", "warn", "bad"],
    "ro-verdict-": ["good", "warn", "bad"],
    "ro-": get_args(formats.Tone),
}
"""The ends of classes that are put together."""
IN_MARKUP = re.compile(r'class="([^"]*)"')
IN_PYTHON = re.compile(r'class="([^"]*)"|"(ro-[\w {}.-]+)"')
PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{[\w.]*\}")
IDS_OF_CHARTS = {"ro-day", "ro-ahead", "ro-durations", "ro-calendar"}


def written() -> set[str]:
    """Return the classes in the markup, those put together with each of their ends."""
    templates = (IN_MARKUP.finditer(file.read_text()) for file in PACKAGE.rglob("templates/**/*.html"))
    modules = (IN_PYTHON.finditer(file.read_text()) for file in PACKAGE.rglob("admin/**/*.py"))
    found: set[str] = set()
    for match in chain.from_iterable((*templates, *modules)):
        words = PLACEHOLDER.sub("*", match[match.lastindex or 0])
        for word in re.findall(r"ro-[a-z-]*\*?", words):
            found |= {f"{word[:-1]}{end}" for end in FAMILIES[word[:-1]]} if word.endswith("-*") else {word.rstrip("*")}
    return found - IDS_OF_CHARTS


def ruled() -> set[str]:
    sheets = "\n".join(file.read_text() for file in PACKAGE.rglob("*.css"))
    return set(re.findall(r"\.(ro-[\w-]+)", sheets))


def test_every_class_has_a_rule() -> None:
    classes = written()

    assert {"ro-whole", "ro-fill-due", "ro-piece-wait", "ro-level", "ro-button"} <= classes
    assert classes - ruled() == set()


def test_every_shape_of_a_chart_has_a_colour_in_both_themes() -> None:
    """The dark theme names the same colours as the light one."""
    sheet = (PACKAGE / "static/report_orchestrator/dashboard.css").read_text()
    themes = re.findall(r"\{((?:\s*--ro-[\w-]+:[^;]*;)+)", sheet)

    assert len(themes) == 3
    assert len({frozenset(re.findall(r"(--ro-[\w-]+):", theme)) for theme in themes}) == 1
    for shape in ("ro-whole", *(f"ro-fill-{look}" for look in get_args(charts.Look))):
        assert re.search(rf"^\.{shape} {{ fill: var\(--ro-\w+\)", sheet, re.MULTILINE), shape


def test_the_legend_shows_what_the_chart_draws() -> None:
    assert '<rect class="ro-whole"' in charts.swatch("whole")
    assert '<line class="ro-level"' in charts.swatch("whole")
