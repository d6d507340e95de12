"""The demo as `make serve` shows it, under a strict Content-Security-Policy, and a headless Chromium to look at it with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from shutil import which
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.conftest import missing
from tests.demo.__main__ import prepare
from tests.demo.place import ROOT, Place, await_answer, free_port

APP = "/admin/report_orchestrator/"
PATIENCE = 30  # seconds for a run of the local Fireant to end
WATCH = """
addEventListener("securitypolicyviolation", event =>
    console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The demo's databases and workers, and who may sign in."""

    place: Place
    password: str
    schedules: dict[str, int]
    """Our rows of the reports, by name."""
    reports: dict[str, str]
    """The project's own keys of the reports, by name: not those of our rows."""

    @contextmanager
    def served(self, settings: str, root: str = "/admin/") -> Iterator[str]:
        """The admin with these settings, under `root`; the server's address, without a slash at the end."""
        port = free_port()
        place = Place(
            folder=self.place.folder,
            fireant_port=self.place.fireant_port,
            key=self.place.key,
            queue=self.place.queue,
            overrides={**self.place.overrides, "DJANGO_SETTINGS_MODULE": settings},
        )
        name = settings.rsplit(".", 1)[-1]
        with place.running(name, "runserver", "--noreload", f"127.0.0.1:{port}") as server:
            await_answer(f"http://127.0.0.1:{port}{root}", server)
            yield f"http://127.0.0.1:{port}"


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
    place = Place(folder=tmp_path_factory.mktemp("browser") / "demo", overrides={"Q_WORKERS": "2"})
    prepare(place)
    with ExitStack() as stack:
        stack.enter_context(place.fireant("--seconds-queued", "0.2", "--seconds-running", "0.5"))
        stack.enter_context(place.running("qcluster", "qcluster"))
        filled = subprocess.run(
            [sys.executable, "-m", "tests.browser.filling"],
            cwd=ROOT,
            env=place.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        yield Demo(place=place, **json.loads(filled.stdout))


@pytest.fixture(scope="package")
def address(demo: Demo) -> Iterator[str]:
    """Where the demo's admin is, under the strict policy."""
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
        "report": f"{APP}reportschedule/{report}/change/",
        "runs": f"{APP}reportrun/",
        "run": f"{APP}reportrun/{failed}/change/",
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
    """What the browser refused or could not run."""
    return []


@pytest.fixture
def page(browser: Browser, address: str, signed_in: Any, complaints: list[str]) -> Iterator[Page]:
    """A desk's screen, signed in; at the end, the browser must have had nothing to complain of."""
    context = browser.new_context(
        base_url=address, storage_state=signed_in, viewport={"width": 1280, "height": 900}
    )
    yield watched(context, complaints)
    context.close()
    assert complaints == []


def watched(context: BrowserContext, complaints: list[str]) -> Page:
    """A page whose errors and violations of the policy are gathered."""
    context.add_init_script(WATCH)
    page = context.new_page()
    page.on("console", lambda line: complaints.append(told(line)) if is_complaint(line) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def is_complaint(line: ConsoleMessage) -> bool:
    """Whether it is an error; the picture that a browser asks every server for by itself is none."""
    return line.type == "error" and not str(line.location["url"]).endswith("/favicon.ico")


def told(line: ConsoleMessage) -> str:
    """An error of the console, and where it was."""
    return f"{line.text} {line.location['url']}"


def sign_in(page: Page, path: str, password: str) -> None:
    """Signs in where the admin is."""
    page.goto(path)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Report orchestrator").first).to_be_visible()


def first_run(page: Page, status: str) -> str:
    """The newest scheduled run of the list with this status; its row."""
    page.goto(f"{APP}reportrun/?status__exact={status}&trigger__exact=scheduled")
    link = page.locator("#result_list tbody tr th a").first.get_attribute("href") or ""
    return link.split("/reportrun/")[1].split("/")[0]


def await_status(page: Page, status: str) -> None:
    """Looks again at a run's page until it tells this status."""
    sign = page.locator(".field-signed_status .ro-sign")
    for _look in range(PATIENCE * 2):
        if status in sign.inner_text():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(f"after {PATIENCE} s the run is still {sign.inner_text()}: {page.url}")


def confirm(page: Page, reason: str) -> None:
    """Gives the reason and says yes."""
    page.get_by_label("Why").fill(reason)
    page.get_by_role("button", name="Yes").click()
