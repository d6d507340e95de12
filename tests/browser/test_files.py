"""A result and a list are saved as files, and a path is copied, with a strict policy in front."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import APP, Demo, await_status, confirm

pytestmark = pytest.mark.browser


def test_a_result_is_downloaded_and_its_path_copied(page: Page, demo: Demo, tmp_path: Path) -> None:
    page.goto(f"{APP}reportschedule/act/run/?ids={demo.schedules['Volcano ash Pacific Rim']}")
    confirm(page, "A file is needed")
    page.goto(f"{APP}reportrun/?trigger__exact=manual")
    page.locator("#result_list tbody th a").first.click()
    await_status(page, "succeeded")
    page.reload()

    with page.expect_download() as started:
        page.get_by_role("link", name="Download (").click()
    started.value.save_as(tmp_path / "result.json")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the path").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert started.value.suggested_filename.startswith("volcano-ash-pacific-rim-")
    assert json.loads((tmp_path / "result.json").read_text())
    path = page.evaluate("navigator.clipboard.readText()")
    assert Path(path).read_bytes() == (tmp_path / "result.json").read_bytes()
    page.reload()
    expect(page.locator(".ro-events")).to_contain_text("run_downloaded")


def test_a_list_is_downloaded(page: Page, tmp_path: Path) -> None:
    page.goto(f"{APP}reportrun/?status=failed")

    with page.expect_download() as started:
        page.get_by_role("link", name="Download as CSV").click()

    started.value.save_as(tmp_path / "runs.csv")
    assert "run_id,report_key,report," in (tmp_path / "runs.csv").read_text("utf-8-sig")
