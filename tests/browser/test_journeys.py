"""The ways people go through the admin, in a browser, with real runs behind it and a strict policy in front."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import APP, Demo, await_status, confirm

pytestmark = pytest.mark.browser

REFUSED = "Flood draft without area"


def test_a_failure_is_seen_understood_mended_retried_and_succeeds(page: Page, demo: Demo) -> None:
    page.goto(APP)
    concern = page.locator(".ro-problems > li", has_text=f"{REFUSED} has an invalid definition: no event group")
    expect(concern).to_contain_text("Choose one in the project.")
    concern.get_by_role("link", name="View run").click()
    page.locator("#result_list tbody th a").first.click()
    run = page.url
    expect(page.locator(".field-signed_status")).to_contain_text("failed")
    expect(page.get_by_text("stopped")).to_be_visible()
    expect(page.locator(".ro-attempts")).to_contain_text("has no event group")

    page.get_by_role("link", name="Retry from “report data”").click()
    expect(page.locator(".ro-confirm")).to_contain_text("This will fail again. The cause remains: no event group.")
    page.get_by_role("link", name="No, go back").click()
    correct = page.get_by_role("link", name="Correct it in the project")
    expect(correct).to_have_class(re.compile("ro-main"))
    correct.click()
    page.wait_for_url(f"**/admin/api/report/{demo.reports[REFUSED]}/change/")
    page.locator(".field-event_group .select2-selection").click()
    page.locator(".select2-search__field").fill("Japan")
    page.get_by_role("option", name="Japan").first.click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    page.goto(run)
    page.get_by_role("link", name="Retry from “report data”").click()
    expect(page.locator(".ro-confirm")).not_to_contain_text("fail again")
    confirm(page, "It has its event group now")
    page.goto(run)
    await_status(page, "succeeded")
    expect(page.locator(".ro-step-stopped")).to_have_count(0)
    expect(page.locator(".ro-events")).to_contain_text("It has its event group now")
    page.get_by_role("link", name="Show the start of the result").click()
    expect(page.locator("pre.ro-code")).to_contain_text("{")

    page.goto(report(demo, REFUSED))
    page.get_by_role("link", name="History", exact=True).click()
    expect(page.get_by_role("row", name="retried")).to_contain_text("It has its event group now")
    expect(page.get_by_role("row", name="repaired")).to_contain_text("(user 1)")


def test_a_report_is_run_now(page: Page, demo: Demo) -> None:
    page.goto(report(demo, "Volcano ash Pacific Rim"))

    page.get_by_role("link", name="Run now").click()
    confirm(page, "The board meets today")

    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(f"{APP}reportrun/?q=Volcano+ash&trigger__exact=manual")
    page.locator("#result_list tbody th a").first.click()
    await_status(page, "succeeded")
    expect(page.locator(".field-told, .ro-events").last).to_contain_text("The board meets today")


def test_a_report_is_paused_and_resumed(page: Page, demo: Demo) -> None:
    page.goto(report(demo, "Tsunami ports Japan"))
    expect(page.locator(".ro-next-run")).to_contain_text("Next run at")

    page.get_by_role("link", name="Pause").click()
    confirm(page, "The portfolio is being loaded")
    page.goto(report(demo, "Tsunami ports Japan"))
    expect(page.locator(".ro-next-run")).to_contain_text("The portfolio is being loaded")

    page.get_by_role("link", name="Resume").click()
    confirm(page, "It is loaded")
    page.goto(report(demo, "Tsunami ports Japan"))
    expect(page.locator(".ro-next-run")).to_contain_text("Next run at")


def test_all_of_it_goes_by_keyboard_and_one_sees_where_one_is(page: Page, demo: Demo) -> None:
    page.goto(report(demo, "Volcano leap day scenario"))

    tab_to(page, "Pause")
    page.keyboard.press("Enter")
    page.wait_for_url("**/act/pause/**")
    tab_to(page, "Reason")
    page.keyboard.type("By keyboard alone")
    tab_to(page, "Pause 1 report")
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(report(demo, "Volcano leap day scenario"))
    expect(page.locator(".ro-next-run")).to_contain_text("By keyboard alone")
    tab_to(page, "as a table")
    page.keyboard.press("Enter")
    expect(page.locator("details.ro-values[open]")).to_have_count(1)


def report(demo: Demo, name: str) -> str:
    """The path of a report's page."""
    return f"{APP}reportschedule/{demo.schedules[name]}/change/"


FOCUSED = """() => {
    const at = document.activeElement, look = getComputedStyle(at);
    const named = (at.labels && at.labels[0] ? at.labels[0].innerText + " " : "") + at.innerText;
    return [named, look.outlineStyle !== "none" || look.boxShadow !== "none", at.className];
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this name has the focus; assert that the focus of our elements is visible."""
    for _press in range(120):
        page.keyboard.press("Tab")
        named, is_seen, look = page.evaluate(FOCUSED)
        assert is_seen or "ro-" not in look, f"the focus on {named!r} is not seen"
        if name in named:
            return
    raise AssertionError(f"Tab never comes to {name!r}")
