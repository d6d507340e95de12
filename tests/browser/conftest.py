"""The demo as `make serve` shows it, under a strict Content-Security-Policy, and a headless Chromium to look at it with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.demo.__main__ import prepare
from tests.demo.environment import ROOT, Environment
from tests.support.browser import APP, Demo, sign_in, watched
from tests.support.services import missing


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright."""
    executable = which("chromium") or which("chromium-browser")
    if executable is None:
        missing("Chromium", FileNotFoundError("install Debian's package chromium"))
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        except Error as error:
            missing("Chromium", error)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Months of history, a quick local Fireant and a real qcluster; it asks for the browser first, to skip early."""
    environment = Environment(folder=tmp_path_factory.mktemp("browser") / "demo", overrides={"Q_WORKERS": "2"})
    prepare(environment)
    with ExitStack() as stack:
        stack.enter_context(environment.fireant("--seconds-queued", "0.2", "--seconds-running", "0.5"))
        stack.enter_context(environment.running("qcluster", "qcluster"))
        filled = subprocess.run(
            [sys.executable, "-m", "tests.browser.filling"],
            cwd=ROOT,
            env=environment.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        yield Demo(environment=environment, **json.loads(filled.stdout))


@pytest.fixture(scope="package")
def address(demo: Demo) -> Iterator[str]:
    """The address of the demo's admin, under the strict policy."""
    with demo.served("tests.browser.strict_settings") as served:
        yield served


@pytest.fixture(scope="package")
def signed_in(browser: Browser, demo: Demo, address: str) -> Any:
    """The cookies of a person who may do everything."""
    context = browser.new_context(base_url=address)
    page = context.new_page()
    sign_in(page, "/admin/", demo.password)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="package")
def pages(browser: Browser, demo: Demo, address: str, signed_in: Any) -> dict[str, str]:
    """The path of each kind of page that we add."""
    context = browser.new_context(base_url=address, storage_state=signed_in)
    page = context.new_page()
    failed = first_run(page, "failed")
    name = "Earthquake accumulation Japan"  # daily for months, and ever slower
    report = demo.schedules[name]
    context.close()
    return {
        "dashboard": APP,
        "reports": f"{APP}reportschedule/",
        "timeline": f"{APP}reportschedule/timeline/",
        "report": f"{APP}reportschedule/{report}/change/",
        "history": f"{APP}reportschedule/{report}/history/",
        "runs": f"{APP}reportrun/",
        "run": f"{APP}reportrun/{failed}/change/",
        "compare": f"{APP}reportrun/{failed}/compare/",
        "changes": f"{APP}reportchange/",
        "retry": f"{APP}reportrun/act/retry/?ids={failed}",
        "backfill": f"{APP}reportschedule/act/backfill/?ids={report}",
        "check-cron": f"{APP}reportschedule/check-cron/?ids={report}",
        "removals": f"{APP}reportchange/removals/",
        "pause-all": f"{APP}reportschedule/pause-all/",
        "host-report": f"/admin/api/report/{demo.reports[name]}/change/",
    }


@pytest.fixture
def complaints() -> list[str]:
    """Everything that the browser refused or could not run."""
    return []


@pytest.fixture
def page(browser: Browser, address: str, signed_in: Any, complaints: list[str]) -> Iterator[Page]:
    """A desk's screen, signed in; at the end, the browser must have had nothing to complain of."""
    context = browser.new_context(base_url=address, storage_state=signed_in, viewport={"width": 1280, "height": 900})
    yield watched(context, complaints)
    context.close()
    assert complaints == []


def first_run(page: Page, status: str) -> str:
    """The newest scheduled run of the list with this status; its row."""
    page.goto(f"{APP}reportrun/?status__exact={status}&trigger__exact=scheduled")
    link = page.locator("#result_list tbody tr th a").first.get_attribute("href") or ""
    return link.split("/reportrun/")[1].split("/")[0]
