"""Our pages in other themes of the admin and from right to left: nothing is cut, too wide, black or turned round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser, Page

from report_orchestrator.admin.ui.charts import Look
from tests.support.browser import Demo

pytestmark = pytest.mark.browser

SETTINGS = "tests.browser.theme_settings"
HOSTS_OWN = "/admin/auth/user/"
SHOWN = ["dashboard", "reports", "report", "run", "pause-all", "retry"]
FILLED = ["ro-whole", *(f"ro-fill-{look}" for look in get_args(Look))]


@pytest.mark.parametrize("theme", ["grappelli", "jazzmin", "admin-interface", "unfold", "arabic"])
def test_everything_can_be_read_in_any_theme(
    browser: Browser, demo: Demo, pages: dict[str, str], signed_in: Any, theme: str
) -> None:
    if theme == "admin-interface":
        demo.environment_with(SETTINGS, ADMIN_THEME=theme).manage("migrate", "-v0", "admin_interface")
    with demo.served(SETTINGS, ADMIN_THEME=theme) as address:
        context = browser.new_context(
            base_url=address, storage_state=signed_in, viewport={"width": 1280, "height": 900}
        )
        page = context.new_page()
        page.goto(HOSTS_OWN)
        width = page.evaluate("document.documentElement.scrollWidth")
        found: dict[str, list[str]] = {}
        buttons = 0
        for name in SHOWN:
            page.goto(pages[name])
            buttons += page.locator(".ro-button").count()
            if name == "dashboard":
                assert [page.evaluate(BLACK, FILLED) for _scheme in schemes(page)] == [[], []]
            page.evaluate(LENGTHEN_NAMES)
            if findings := page.evaluate(FINDINGS, width):
                found[name] = findings
        context.close()

    assert found == {}
    assert buttons > len(SHOWN)


def schemes(page: Page) -> Iterator[None]:
    """Show the page in the dark, then in the light."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        yield


BLACK = """classes => {
    const chart = document.querySelector(".ro-chart");
    const shapes = classes.map(name => {
        const shape = document.createElementNS(chart.namespaceURI, "rect");
        shape.setAttribute("class", name);
        return shape;
    });
    chart.append(...shapes);
    const black = shapes.filter(shape => getComputedStyle(shape).fill === "rgb(0, 0, 0)").map(shape => shape.className.baseVal);
    shapes.forEach(shape => shape.remove());
    return black;
}"""
LENGTHEN_NAMES = """() => {
    const names = "#result_list .field-report_name bdi, .field-report bdi, .ro-rows bdi";
    document.querySelectorAll(names).forEach(name => name.textContent = "W".repeat(200));
}"""
FINDINGS = """hosts => {
    const found = [], all = where => [...document.querySelectorAll(where)], look = one => getComputedStyle(one);
    for (const button of all(".ro-button").filter(one => one.offsetParent)) {
        const text = button.innerText;
        if (button.scrollWidth > button.clientWidth + 1 || button.scrollHeight > button.clientHeight + 1)
            found.push(`cut: ${text}`);
        if (look(button).borderTopStyle !== "solid" || button.closest(".object-tools"))
            found.push(`no button: ${text}`);
    }
    for (const shape of all("svg :is(rect, path)[class^='ro-']"))
        if (look(shape).fill === "rgb(0, 0, 0)") found.push(`black: ${shape.className.baseVal}`);
    for (const label of all(".ro-recorded .ro-label")) {
        const [first, next] = [label, label.nextElementSibling].map(one => one.getClientRects()[0]);
        if (first && next && next.left < first.right + 2 && next.right > first.left - 2)
            found.push(`no blank: ${label.innerText}`);
    }
    for (const text of all("code, time, pre, svg text, [lang=en][dir]"))
        if (look(text).direction !== "ltr") found.push(`turned: ${text.textContent}`);
    if (document.documentElement.scrollWidth > hosts)
        found.push(`too wide: ${document.documentElement.scrollWidth} in ${hosts}`);
    return found;
}"""
