"""Every page of ours, for everybody: no barrier, narrow screens, dark screens, no script, a strict policy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import APP, Demo, confirm, serious, sign_in, watched

pytestmark = pytest.mark.browser

SCREENS = {"desk": (1280, "light"), "desk at night": (1280, "dark"), "phone": (320, "light")}
FOR_PHONES = {"dashboard", "timeline", "report", "run", "retry"}  # one of each layout: axe takes half a second for each
DARKEST = 0.2  # of the way from black to white


@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing_serious(
    browser: Browser, address: str, signed_in: Any, pages: dict[str, str], screen: str
) -> None:
    width, scheme = SCREENS[screen]
    context = browser.new_context(
        base_url=address,
        storage_state=signed_in,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]  # one of Playwright's words
        bypass_csp=True,  # axe's own script is injected
    )
    page = context.new_page()
    found: dict[str, list[str]] = {}
    for name in FOR_PHONES if screen == "phone" else pages:
        page.goto(pages[name])
        part = ".ro-host-panel" if name == "host-report" else None  # the rest of that page is the host's
        found |= {f"{name}: {what}": where for what, where in serious(page, part).items()}
    context.close()

    assert found == {}, json.dumps(found, indent=1)


def test_nothing_is_wider_than_a_narrow_screen(page: Page, pages: dict[str, str]) -> None:
    page.set_viewport_size({"width": 320, "height": 700})
    widths = {}
    for name, path in pages.items():
        page.goto(path)
        widths[name] = page.evaluate("document.documentElement.scrollWidth")

    assert widths == dict.fromkeys(pages, 320)


@pytest.mark.parametrize("name", ["reports", "runs", "changes"])
def test_a_desk_of_usual_width_shows_every_column_of_a_list(page: Page, pages: dict[str, str], name: str) -> None:
    page.goto(pages[name])

    expect(page.locator("#main")).to_have_class(re.compile("shifted"))  # the navigation sidebar is open
    beyond = page.locator("#result_list :is(th, td)").evaluate_all(BEYOND_THE_LIST)
    assert beyond == []
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


BEYOND_THE_LIST = """cells => {
    const right = document.querySelector("#changelist .results").getBoundingClientRect().right;
    return cells.filter(cell => cell.getBoundingClientRect().right > right + 0.5 || cell.scrollWidth > cell.clientWidth + 1)
        .map(cell => cell.className);
}"""


def test_dark_screens_get_dark_pages(page: Page, pages: dict[str, str]) -> None:
    page.emulate_media(color_scheme="dark")
    light = {}
    for name, path in pages.items():
        page.goto(path)
        grounds = page.locator("body, .ro-panel, .ro-card, .ro-next-run, .ro-verdict, .ro-button:not(.ro-main)")
        brightest = max(grounds.evaluate_all(BRIGHTNESS))
        if brightest > DARKEST:
            light[name] = brightest

    assert light == {}


BRIGHTNESS = """all => all.map(one => {
    const [red, green, blue, alpha = 1] = getComputedStyle(one).backgroundColor.match(/[\\d.]+/g).map(Number);
    return alpha * (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
})"""


def test_every_page_keeps_to_a_strict_policy(page: Page, pages: dict[str, str]) -> None:
    for path in pages.values():
        answer = page.goto(path)
        assert answer is not None
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    # The fixture fails the test if the browser refused anything.


def test_what_the_policy_refuses_is_noticed(
    browser: Browser, address: str, signed_in: Any, complaints: list[str]
) -> None:
    context = browser.new_context(base_url=address, storage_state=signed_in)
    page = watched(context, complaints)
    page.goto(APP)

    page.evaluate("document.body.setAttribute('style', 'color: red')")

    page.wait_for_function("getComputedStyle(document.body).color !== 'rgb(255, 0, 0)'")
    context.close()
    assert [line for line in complaints if line.startswith("refused by the policy: style-src")] != []


def test_everything_is_read_and_done_without_scripts(
    browser: Browser, address: str, signed_in: Any, pages: dict[str, str], demo: Demo
) -> None:
    context = browser.new_context(base_url=address, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    for path in pages.values():
        page.goto(path)
        expect(page.locator("h1, h2").first).to_be_visible()
    page.goto(APP)
    expect(page.locator(".ro-verdict")).to_be_visible()
    page.locator("details.ro-values summary").first.click()
    expect(page.locator("details.ro-values table").first).to_be_visible()
    page.goto(f"{APP}reportschedule/act/pause/?ids={demo.schedules['Wildfire weekend California']}")
    confirm(page, "Without a script")
    expect(page.locator(".messagelist .success")).to_be_visible()
    context.close()


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        pytest.param("tests.browser.elsewhere_settings", "/back/office/", id="another site, address and base"),
        pytest.param("tests.host.unfold_settings", "/admin/", id="django-unfold"),
    ],
)
def test_it_works_elsewhere(
    browser: Browser, demo: Demo, pages: dict[str, str], complaints: list[str], settings: str, root: str
) -> None:
    with demo.served(settings, root) as address:
        context = browser.new_context(base_url=address, viewport={"width": 320, "height": 700})
        page = watched(context, complaints)
        sign_in(page, root, demo.password)
        for path in pages.values():
            if path.startswith(APP):
                answer = page.goto(path.replace("/admin/", root))
                assert answer is not None
                assert (answer.status, path) == (200, path)
        page.goto(f"{root}report_orchestrator/")
        expect(page.locator(".ro-verdict")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        for label in ("Pause", "Resume"):
            page.goto(f"{root}report_orchestrator/reportschedule/{demo.schedules['Flood month end North Sea']}/change/")
            page.get_by_role("link", name=label).click()
            confirm(page, "Elsewhere")
            expect(page.get_by_role("button", name=f"{label} 1 report")).to_have_count(0)
            assert page.url.startswith(f"{address}{root}report_orchestrator/")
        context.close()
    assert complaints == []
