"""The timeline by keyboard and pointer, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_keyboards_reach_the_filters_the_chart_the_names_and_the_table(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["timeline"])
    page.get_by_role("searchbox", name="Report name, key or cron").last.focus()
    page.keyboard.type("Earthquake accumulation")
    page.keyboard.press("Enter")
    expect(page.locator(".ro-names li")).to_have_count(1)

    page.get_by_role("link", name="Skip the chart: the same as a table").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="Timeline", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".ro-names a")).to_be_focused()
    page.keyboard.press("Tab")  # over the marks of the chart, which are in the table
    expect(page.locator("#timeline-table summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#timeline-table table")).to_be_visible()
    page.locator("#timeline-table tbody a").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/reportschedule/\d+/change/"))


def test_a_click_on_a_bar_opens_its_run(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["timeline"])
    bar = page.locator('.ro-timeline a[href*="/reportrun/"]').first

    bar.locator("rect").last.click(force=True)

    expect(page).to_have_url(re.compile(r"/reportrun/\d+/change/"))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_chart_scrolls_inside_and_names_stay_in_view(page: Page, pages: dict[str, str], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(pages["timeline"])
    frame = page.locator(".ro-timeline")

    frame.evaluate("frame => frame.scrollTo(9999, 60)")

    assert page.evaluate("document.documentElement.scrollWidth") == width
    box, names, axis = (
        part.bounding_box() for part in (frame, page.locator(".ro-names"), page.locator(".ro-axis-hours"))
    )
    assert box is not None
    assert names is not None
    assert axis is not None
    assert names["x"] == pytest.approx(box["x"], abs=2)
    assert axis["y"] == pytest.approx(box["y"], abs=2)
    assert frame.evaluate("frame => frame.scrollWidth > frame.clientWidth") is (width == 390)


def test_rows_of_names_and_chart_are_level(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["timeline"])

    names, chart = page.locator(".ro-names").bounding_box(), page.locator(".ro-timeline .ro-chart").last.bounding_box()

    assert names is not None
    assert chart is not None
    assert names["y"] == pytest.approx(chart["y"], abs=1)
    assert names["height"] == pytest.approx(chart["height"], abs=1)
