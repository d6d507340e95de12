"""The doctor calls Fireant, and tells a wrong key, address or clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.ports import ProbeResult
from report_orchestrator.sandbox.fireant import FireantSandbox
from report_orchestrator.services.monitoring import doctor
from tests.support.doctor import KEY, change, examined
from tests.support.raw_server import Connection, answer, raw_server, says
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_fireant_refuses_is_reported(fireant: FireantSandbox, status: int) -> None:
    fireant.faults.add("status", "status_code", status=status, text=f"{KEY} is unknown")
    finding = examined()["Fireant"]
    fireant.faults.assert_all_fired()
    assert finding["level"] == "fail"
    assert "FIREANT_API_KEY" in finding["hint"]


def test_a_fireant_that_is_away_busy_or_silent_is_reported(fireant: FireantSandbox) -> None:
    fireant.faults.add("status", "status_code", status=503)
    assert "503" in examined()["Fireant"]["hint"]
    fireant.faults.add("status", "reset")
    assert "did not respond" in examined()["Fireant"]["hint"]
    fireant.faults.assert_all_fired()
    fireant.stop()
    finding = examined()["Fireant"]
    assert (finding["level"], "cannot be reached" in finding["hint"]) == ("fail", True)


def test_a_fireant_on_this_machine_needs_no_key(settings: DjangoSettings) -> None:
    with FireantSandbox() as open_to_all:
        change(settings, FIREANT_API_URL=open_to_all.url, FIREANT_API_KEY="")
        finding = examined()["Fireant"]
    assert (finding["level"], finding["hint"]) == ("ok", "")


def test_a_fireant_elsewhere_without_a_key_is_worth_a_look() -> None:
    elsewhere = SettingsFactory.make(FIREANT_API_URL="https://fireant.example", FIREANT_API_KEY="")
    [finding] = doctor._fireant(elsewhere, lambda: ProbeResult(detail="answered 404"))
    assert (finding.level, finding.hint) == ("warn", "Set FIREANT_API_KEY.")


def test_a_web_server_that_is_no_fireant_is_worth_a_look(settings: DjangoSettings) -> None:
    with raw_server(says(answer("404 Not Found", b"<html>nothing here</html>"))) as server:
        change(settings, FIREANT_API_URL=server.url)
        finding = examined()["Fireant"]
    assert (finding["level"], "FIREANT_API_URL" in finding["hint"]) == ("warn", True)


@pytest.mark.parametrize(
    "body",
    [
        '{"detail": "Not Found"}',
        '{"status": 404, "timestamp": "2026-07-01T02:30:00.%d", "path": "%s"}',
        '{"message": "no Route matched with those values", "request_id": "%d%s"}',
    ],
)
def test_a_wrong_base_path_whose_router_answers_before_it_looks_at_a_key_is_worth_a_look(
    settings: DjangoSettings, body: str
) -> None:
    requested: list[str] = []

    def talk(connection: Connection) -> None:
        requested.append(connection.head.split()[1].partition("?")[0])
        said = body.replace("%s", requested[-1]).replace("%d", str(len(requested)))
        connection.send(answer("404 Not Found", said.encode()))

    with raw_server(talk) as server:
        change(settings, FIREANT_API_URL=f"{server.url}/api/v0")
        finding = examined()["Fireant"]
    assert (finding["level"], "key is accepted" in finding["detail"]) == ("warn", False)
    assert "FIREANT_API_URL" in finding["hint"]
    assert len(requested) == 2


@pytest.mark.parametrize(("ahead", "level"), [(30, "warn"), (-600, "fail")])
def test_a_fireant_whose_clock_differs_is_reported(settings: DjangoSettings, ahead: int, level: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

    def talk(connection: Connection) -> None:
        body = b'{"detail": "no such job"}' if "/get_job_status/" in connection.head else b"{}"
        connection.send(answer("404 Not Found", body, {"Date": date}))

    with raw_server(talk) as server:
        change(settings, FIREANT_API_URL=server.url)
        findings = examined()
    assert (findings["Fireant"]["level"], findings["Fireant's clock"]["level"]) == ("ok", level)
