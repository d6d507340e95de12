"""The demo in a browser, and the actions of a user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.demo.environment import Environment, await_answer, free_port

APP = "/admin/report_orchestrator/"


PATIENCE = 30  # seconds for a run of the local Fireant to end


WATCH = """
addEventListener("securitypolicyviolation", event =>
    console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The demo's databases, workers and users."""

    environment: Environment
    password: str
    schedules: dict[str, int]
    """Our rows of the reports, by name."""
    reports: dict[str, str]
    """The project's own keys of the reports, by name: not those of our rows."""

    def environment_with(self, settings: str, **variables: str) -> Environment:
        """Return the demo's environment with other settings."""
        return replace(
            self.environment, overrides={**self.environment.overrides, "DJANGO_SETTINGS_MODULE": settings, **variables}
        )

    @contextmanager
    def served(self, settings: str, root: str = "/admin/", **variables: str) -> Iterator[str]:
        """Serve the admin with these settings under `root`; yield the server's address without a trailing slash."""
        port = free_port()
        environment = self.environment_with(settings, **variables)
        name = settings.rsplit(".", 1)[-1]
        with environment.running(name, "runserver", "--noreload", f"127.0.0.1:{port}") as server:
            await_answer(f"http://127.0.0.1:{port}{root}", server)
            yield f"http://127.0.0.1:{port}"


def watched(context: BrowserContext, complaints: list[str]) -> Page:
    """Yield a page that collects its console errors and violations of the content security policy."""
    context.add_init_script(WATCH)
    page = context.new_page()
    page.on("console", lambda line: complaints.append(described(line)) if is_complaint(line) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def is_complaint(line: ConsoleMessage) -> bool:
    """Return True for an error; False for the icon that browsers request from every server."""
    return line.type == "error" and not str(line.location["url"]).endswith("/favicon.ico")


def described(line: ConsoleMessage) -> str:
    """Return a console error and its location."""
    return f"{line.text} {line.location['url']}"


def sign_in(page: Page, path: str, password: str) -> None:
    """Sign in to the admin."""
    page.goto(path)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Report orchestrator").first).to_be_visible()


def await_status(page: Page, status: str) -> None:
    """Reload a run's page until it shows this status."""
    sign = page.locator(".field-signed_status .ro-sign")
    for _look in range(PATIENCE * 2):
        if status in sign.inner_text():
            return
        page.wait_for_timeout(500)
        page.reload()
    raise AssertionError(f"after {PATIENCE} s the run is still {sign.inner_text()}: {page.url}")


def confirm(page: Page, reason: str) -> None:
    """Give the reason and confirm."""
    page.get_by_label("Reason").fill(reason)
    page.locator(".ro-confirm button[type=submit]").click()


def serious(page: Page, part: str | None) -> dict[str, list[str]]:
    """Return axe-core's serious and critical findings with their places."""
    answer = Axe().run(page, part).response
    assert answer["testEngine"]["name"] == "axe-core"
    return {
        f"{found['id']}: {found['help']}": [node["html"][:200] for node in found["nodes"]][:3]
        for found in answer["violations"]
        if found["impact"] in {"serious", "critical"}
    }
