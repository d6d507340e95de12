"""The README's pictures of the seeded demo, taken into the project on request alone (`make screenshots`)."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, ViewportSize

from tests.demo.environment import ROOT

pytestmark = pytest.mark.browser

PICTURES = ROOT / "schematics" / "screenshots"
LARGEST = 200_000  # bytes of a picture
COLOURS = 256  # the rare ones too: red among green is what a picture is for
DESK = ViewportSize(width=1280, height=1120)
PHONE = ViewportSize(width=320, height=1120)
SHOTS = {
    "dashboard": ("dashboard", DESK, "light"),
    "dashboard-dark": ("dashboard", DESK, "dark"),
    "dashboard-narrow": ("dashboard", PHONE, "light"),
    "reports": ("reports", DESK, "light"),
    "report": ("report", DESK, "light"),
    "runs": ("runs", DESK, "light"),
    "run": ("run", DESK, "light"),
    "changes": ("changes", DESK, "light"),
    "retry": ("retry", DESK, "light"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the pictures."""
    chosen = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@pytest.mark.parametrize("name", SHOTS)
def test_a_page_has_its_picture(page: Page, pages: dict[str, str], folder: Path, name: str) -> None:
    kind, screen, scheme = SHOTS[name]
    page.set_viewport_size(screen)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of Playwright's words
    # Scheduled runs alone: the manual ones have just been run here, and show the folders of this machine.
    page.goto(pages[kind] + ("?trigger__exact=scheduled" if kind == "runs" else ""))
    whole = Image.open(io.BytesIO(page.screenshot(full_page=kind == "dashboard")))

    few = whole.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(folder / f"{name}.png", optimize=True)

    assert few.width == screen["width"]
    assert (folder / f"{name}.png").stat().st_size < LARGEST


def test_the_readme_shows_each_of_them_in_words_too() -> None:
    shown = {
        path: words for words, path in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", (ROOT / "README.md").read_text())
    }

    assert set(shown) == {f"schematics/screenshots/{name}.png" for name in SHOTS}
    assert {path for path in shown if not (ROOT / path).is_file()} == set()
    assert min(len(words) for words in shown.values()) > 30
