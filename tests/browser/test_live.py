"""Pages keep themselves up to date under a strict policy, and say so when they cannot."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import APP, Demo, confirm, serious

pytestmark = pytest.mark.browser

LIVE = "**/live/"
ASKED_WITHIN = 20_000  # milliseconds; on a busy machine too
SEEN_WITHIN = 3  # seconds from an outcome to the page
RUNS = f"{APP}reportrun/"

WAITING = """
from datetime import datetime, timedelta, UTC
from report_orchestrator.models import ReportRun, ReportSchedule
now = datetime.now(UTC)
schedule = ReportSchedule.objects.get(pk={schedule})
run = ReportRun.objects.create(
    schedule=schedule, report_key=schedule.report_key, report_name=schedule.name, trigger="manual", scheduled_for=now,
    run_date=now.date(), status="up_for_retry", step="external_job_submission", wake_at=now + timedelta(minutes=9),
    created_at=now, started_at=now)
print(run.pk)
"""
"""A run that waits for its retry for longer than any test."""
FIND = """
from datetime import datetime, UTC
from report_orchestrator.models import ReportRun, RunPayload
now = datetime.now(UTC)
run = ReportRun.objects.get(pk={run})
"""


@pytest.fixture
def waiting(demo: Demo) -> Iterator[str]:
    """The key of a run that stays as it is until a test changes it, and that goes after the page that shows it."""
    run = in_demo(demo, WAITING.format(schedule=demo.schedules["Volcano leap day scenario"])).split()[-1]
    yield run
    in_demo(demo, f"from report_orchestrator.models import ReportRun; ReportRun.objects.filter(pk={run}).delete()")


def in_demo(demo: Demo, code: str) -> str:
    """Run code in a process of the demo."""
    return demo.environment.manage("shell", "-v0", "-c", code)


def change(demo: Demo, run: str, **columns: object) -> None:
    """Write a run as a worker would."""
    in_demo(demo, f"{FIND.format(run=run)}run.write(**{columns!r})")


def end(demo: Demo, run: str) -> None:
    in_demo(demo, FIND.format(run=run) + "run.write(status='succeeded', wake_at=None, ended_at=now)")


def test_the_outcome_of_a_retry_is_seen_within_three_seconds(waiting: str, page: Page, demo: Demo) -> None:
    in_demo(
        demo, FIND.format(run=waiting) + "run.write(status='failed', step='report_data', wake_at=None, ended_at=now)"
    )
    page.goto(f"{RUNS}{waiting}/change/")
    page.get_by_role("link", name="Retry from “report data”").click()
    confirm(page, "To see its outcome")
    expect(page.locator(".ro-live-text")).to_contain_text("refreshes itself")
    page.evaluate(WATCH_STATUS)

    expect(page.locator(".field-signed_status")).to_contain_text("succeeded", timeout=60_000)

    ended = in_demo(demo, FIND.format(run=waiting) + "print(run.ended_at.timestamp())").split()[-1]
    seen = page.evaluate("window.seen")
    assert seen["status"] == "succeeded"
    assert 0 <= seen["at"] / 1000 - float(ended) < SEEN_WITHIN
    expect(page.locator(".ro-live-text")).to_have_text(re.compile(r"^As of \d\d:\d\d:\d\d$"))
    expect(page.locator("[data-live-announcement]")).to_have_text(f"Run {waiting}: succeeded", timeout=15_000)


WATCH_STATUS = """() => {
    const region = document.querySelector(".field-signed_status").closest("[data-live-region]");
    const look = () => {
        const status = region.querySelector(".field-signed_status .ro-sign").innerText;
        const found = status.match(/succeeded|failed|timed out/);
        if (found) window.seen ??= {at: Date.now(), status: found[0]};
    };
    new MutationObserver(look).observe(region, {subtree: true, childList: true, characterData: true, attributes: true});
    look();
}"""


def test_a_run_that_ends_changes_its_page_and_keeps_focus_and_what_is_open(
    waiting: str, page: Page, demo: Demo
) -> None:
    in_demo(
        demo,
        f"from report_orchestrator.models import RunPayload; RunPayload.objects.create(run_id={waiting}, body=[1])",
    )
    page.goto(f"{RUNS}{waiting}/change/")
    expect(page.locator(".ro-live-text")).to_contain_text("refreshes itself")
    page.locator("details summary").last.click()
    page.locator("details summary").last.focus()
    page.locator("details").last.evaluate("one => { one.marked = true; scrollTo(0, 200); }")

    end(demo, waiting)

    expect(page.locator(".field-signed_status")).to_contain_text("succeeded", timeout=ASKED_WITHIN)
    expect(page.get_by_role("link", name="Cancel the run")).to_have_count(0)
    details = page.locator("details").last
    assert (
        details.evaluate("one => [one.open, one.marked, document.activeElement === one.firstElementChild]")
        == [True] * 3
    )
    assert page.evaluate("scrollY") == 200
    expect(page.locator(".ro-live-text")).not_to_contain_text("refreshes itself")


def test_the_dashboard_and_lists_follow_their_runs(waiting: str, page: Page, demo: Demo) -> None:
    other = page.context.new_page()
    other.goto(f"{RUNS}?status=unfinished")
    page.goto(APP)
    row = page.locator(".ro-lines tr", has_text="waiting for retry: external job submission")
    expect(row).to_be_visible()
    expect(other.locator(f"#result_list input[value='{waiting}']")).to_have_count(1)
    # Playwright's pages are all visible, as two windows beside each other are.

    end(demo, waiting)

    expect(row).to_have_count(0, timeout=ASKED_WITHIN)
    expect(other.locator(f"#result_list input[value='{waiting}']")).to_have_count(0, timeout=ASKED_WITHIN)


def test_checked_rows_stay_and_new_ones_can_be_checked(waiting: str, page: Page, demo: Demo) -> None:
    page.goto(f"{RUNS}?status=unfinished")
    box = page.locator(f"#result_list input[value='{waiting}']")
    box.check()
    second = in_demo(demo, WAITING.format(schedule=demo.schedules["Volcano leap day scenario"])).split()[-1]
    new = page.locator(f"#result_list input[value='{second}']")
    try:
        expect(page.locator(".ro-live-text")).to_contain_text("waits while something is selected", timeout=ASKED_WITHIN)
        expect(new).to_have_count(0)
        expect(box).to_be_checked()
        box.uncheck()
        expect(new).to_have_count(1, timeout=ASKED_WITHIN)
        page.locator("#action-toggle").check()
        expect(new).to_be_checked()
        expect(box).to_be_checked()
        expect(page.locator(".action-counter").first).to_contain_text(re.compile("^2 of 2 selected"))
    finally:
        end(demo, second)


def test_a_hidden_page_asks_nothing_and_looks_as_soon_as_it_is_seen(waiting: str, page: Page, demo: Demo) -> None:
    asked = counted(page)
    page.goto(f"{RUNS}{waiting}/change/")
    page.wait_for_timeout(2500)
    assert len(asked) > 0
    page.evaluate(HIDE, True)
    page.wait_for_timeout(100)
    asked.clear()
    page.wait_for_timeout(4500)
    assert asked == []
    end(demo, waiting)

    page.evaluate(HIDE, False)

    expect(page.locator(".field-signed_status")).to_contain_text("succeeded", timeout=1500)


HIDE = """hides => {
    Object.defineProperty(document, "hidden", {value: hides, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def counted(page: Page) -> list[str]:
    """Return the live addresses that the page asks from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/live/") else None)
    return asked


def test_a_failure_is_said_with_its_time_asked_less_and_recovered_from(
    waiting: str, page: Page, demo: Demo, complaints: list[str]
) -> None:
    page.goto(f"{RUNS}{waiting}/change/")
    text = page.locator(".ro-live-text")
    expect(text).to_contain_text("refreshes itself")
    at = re.findall(r"\d\d:\d\d:\d\d", text.inner_text())[0]
    times: list[float] = []

    def refuse(route: Route) -> None:
        times.append(time.monotonic())
        route.fulfill(status=502, body="Bad gateway")

    page.route(LIVE, refuse)
    expect(text).to_contain_text("Cannot refresh since", timeout=ASKED_WITHIN)
    assert re.findall(r"\d\d:\d\d:\d\d", text.inner_text())[0] >= at
    expect(page.locator("[data-live-announcement]")).to_contain_text("Cannot refresh since")
    page.wait_for_timeout(13_000)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(gaps) >= 2
    assert gaps[1] > 1.5 * gaps[0]

    page.unroute(LIVE)
    page.evaluate(HIDE, False)
    expect(text).to_contain_text("refreshes itself", timeout=ASKED_WITHIN)
    complaints[:] = [line for line in complaints if "502" not in line]


def test_a_session_that_ended_is_said_and_no_login_comes_into_the_page(waiting: str, page: Page) -> None:
    page.goto(f"{RUNS}{waiting}/change/")
    asked = counted(page)

    page.context.clear_cookies()

    expect(page.locator(".ro-live-text")).to_contain_text("Signed out", timeout=ASKED_WITHIN)
    expect(page.locator(".field-signed_status")).to_contain_text("waiting for retry")
    expect(page.locator("input[type=password]")).to_have_count(0)
    asked.clear()
    page.wait_for_timeout(3000)
    assert asked == []
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("input[type=password]")).to_be_visible()


def test_a_page_that_one_may_no_longer_see_is_said(waiting: str, page: Page, demo: Demo, complaints: list[str]) -> None:
    page.goto(f"{RUNS}{waiting}/change/")

    in_demo(demo, FIND.format(run=waiting) + "run.delete()")

    expect(page.locator(".ro-live-text")).to_contain_text("can no longer see this page", timeout=ASKED_WITHIN)
    complaints[:] = [line for line in complaints if "404" not in line]


def test_without_a_script_there_is_a_link(browser: Browser, address: str, signed_in: Any, waiting: str) -> None:
    context = browser.new_context(base_url=address, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    for path in (APP, f"{RUNS}?status=unfinished", f"{RUNS}{waiting}/change/"):
        page.goto(path)
        expect(page.locator(".ro-live-text")).to_have_text(re.compile(r"^As of \d\d:\d\d:\d\d$"))
        page.get_by_role("link", name="Look again").click()
        assert page.url == f"{address}{path}"
    context.close()


def test_axe_finds_nothing_in_a_page_that_was_refreshed(
    browser: Browser, address: str, signed_in: Any, demo: Demo, waiting: str
) -> None:
    context = browser.new_context(base_url=address, storage_state=signed_in, bypass_csp=True)
    page = context.new_page()
    found: dict[str, list[str]] = {}
    for path in (APP, f"{RUNS}?status=unfinished", f"{RUNS}{waiting}/change/"):
        page.goto(path)
        with page.expect_response(f"{address}{path}", timeout=ASKED_WITHIN):
            change(demo, waiting, polls=len(found) + 7)
        page.wait_for_timeout(200)
        found |= {f"{path}: {what}": where for what, where in serious(page, None).items()}
    context.close()

    assert found == {}, json.dumps(found, indent=1)
