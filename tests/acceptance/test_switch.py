"""The way from another system and back, over a day: each scheduled time is submitted exactly once, to one Fireant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator import tasks, wiring
from report_orchestrator.models import ReportRun
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.testing import FakeClock
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, GeoEvent, Job, Report
from tests.support.commands import manage
from tests.support.old_system import OldSystem, due_times
from tests.support.seeded_host import change

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]

MIDNIGHT = datetime(2026, 7, 1, tzinfo=UTC)
CRONS = ("*/30 * * * *", "0 * * * *", "15,45 */2 * * *", "10 9 * * *", "20 11,12,17 * * *", "59 23 * * *")
STEP = timedelta(minutes=5)


def at(clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return MIDNIGHT + timedelta(hours=hour, minutes=minute)


@pytest.fixture
def reports(db: None) -> list[Report]:
    group = EventGroup.objects.create(name="Florida")
    group.events.add(GeoEvent.objects.create(name="Miami", country="US", area="FL"))
    return [Report.objects.create(name=f"Wind {cron}", peril="WS", cron=cron, event_group=group) for cron in CRONS]


@pytest.fixture
def fireant() -> Iterator[FireantSandbox]:
    with FireantSandbox(SandboxOptions(api_key="k3y")) as sandbox:
        yield sandbox


class Day:
    """Both systems under one clock. `ours` is False while no cluster of this app runs."""

    def __init__(self, clock: FakeClock, old: OldSystem) -> None:
        self.clock, self.old, self.ours = clock, old, False

    def until(self, moment: str) -> None:
        """Let both tick up to a time of the day, and at that time."""
        while self.clock.now < at(moment):
            self.clock.now = min(self.clock.now + STEP, at(moment))
            if self.ours:
                tasks.cron_sensor()
                tasks.work()
                tasks.tick()
            self.old.tick(self.clock.now)


@pytest.fixture
def day(
    fireant: FireantSandbox, settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Day]:
    """A day that begins at midnight, with this app in shadow."""
    clock = FakeClock(now=MIDNIGHT)
    monkeypatch.setattr(wiring, "database_clock", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    change(
        settings,
        SHADOW=True,
        JOB_MODEL="api.Job",
        FIREANT_API_URL=fireant.url,
        FIREANT_API_KEY="k3y",
        RESULT_ROOT=tmp_path / "lake",
        POLL_INTERVAL_SECONDS=0.1,
    )
    kept = tmp_path / "old"
    kept.mkdir()
    yield Day(clock, OldSystem(url=fireant.url, key="k3y", folder=kept, ticked_at=MIDNIGHT))
    get_ports().fireant.close()  # type: ignore[attr-defined]  # the real client has connections


def submitted(fireant: FireantSandbox, old: OldSystem) -> Counter[tuple[int, datetime]]:
    """Return the submissions by report and scheduled time, and prove that Fireant has no others."""
    runs = ReportRun.objects.exclude(fireant_job_id="")
    ours = [(int(run.report_key), run.scheduled_for) for run in runs]
    assert len(fireant.jobs) == len(ours) + len(old.served)
    return Counter([*ours, *old.served])


def test_a_switch_within_an_hour_and_back_loses_and_doubles_no_time(
    day: Day, reports: list[Report], fireant: FireantSandbox
) -> None:
    half_hourly, *_others = reports
    manage("discover_reports")
    day.until("2:10")
    day.ours = True  # two hours after the discovery
    day.until("6:25")
    assert not ReportRun.objects.exclude(fireant_job_id="").exists()
    compared = manage("shadow_report", "--days", "1", "--folder", day.old.folder)
    assert (compared.status, compared.err) == (0, ""), compared.out
    assert ", 0 expected here only, 0 run there only" in compared.out

    day.old.stop([half_hourly])  # one report first, and the command comes late
    day.until("7:10")
    moved = manage("switch_reports", "--reason", "tests", "live", half_hourly.pk, "--at", at("6:25").isoformat())
    assert "2 runs of passed times start now." in moved.out

    day.until("11:20")  # a report is due at this very minute
    day.old.stop(reports)
    day.until("11:25")
    assert manage("switch_reports", "--reason", "tests", "live", "--all", "--at", at("11:20").isoformat()).status == 0

    day.until("16:50")
    assert manage("switch_reports", "--reason", "tests", "shadow", "--all", "--at", at("17:10").isoformat()).status == 0
    day.until("17:10")
    day.old.start(reports)
    day.until("24:00")

    expected = [(report.pk, due) for report in reports for due in due_times(report, after=MIDNIGHT, until=at("24:00"))]
    assert submitted(fireant, day.old) == Counter(expected)
    ours = ReportRun.objects.exclude(fireant_job_id="")
    assert {run.status for run in ours} == {"succeeded"}
    assert min(run.scheduled_for for run in ours) == at("6:30")
    assert max(run.scheduled_for for run in ours) == at("17:00")
    assert Job.objects.count() == len(expected), "both write one row of the project's table for each job"
    day.clock.advance(minutes=20)
    compared = manage("shadow_report", "--days", "1", "--folder", day.old.folder)
    assert (compared.status, compared.err) == (0, ""), compared.out
