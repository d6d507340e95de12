"""Proof that work is being done."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from report_orchestrator.conf import Settings
from report_orchestrator.models import Mark, ReportRun, ReportSchedule, RunStep
from report_orchestrator.services.health import examine
from report_orchestrator.services.lateness import lateness
from report_orchestrator.services.maintenance import tick
from report_orchestrator.services.pausing import pause_all
from report_orchestrator.testing import FakePorts
from tests.conftest import SettingsFactory
from tests.integration.conftest import NewRun

pytestmark = pytest.mark.django_db
SETTINGS = SettingsFactory.make()


def red(fakes: FakePorts, settings: Settings = SETTINGS) -> set[str]:
    return {finding.name for finding in examine(ports=fakes.ports, settings=settings) if not finding.well}


def of_fireant(fakes: FakePorts) -> str:
    [found] = [one for one in examine(ports=fakes.ports, settings=SETTINGS) if one.name == "fireant"]
    return found.detail


def ticked(fakes: FakePorts) -> None:
    now = fakes.clock.now
    Mark.objects.win("bell: report_orchestrator.tasks.tick", now=now, until=now)
    tick(ports=fakes.ports, settings=SETTINGS, until=now)


def test_a_product_that_never_ran_is_not_healthy(fakes: FakePorts) -> None:
    assert red(fakes) == {"worker"}


def test_a_product_that_ticks_is_healthy(fakes: FakePorts) -> None:
    ticked(fakes)
    assert red(fakes) == set()


def test_silence_turns_it_red_within_a_minute(fakes: FakePorts) -> None:
    ticked(fakes)
    fakes.clock.advance(seconds=41)
    assert red(fakes) == {"worker", "scheduler"}


def test_a_scheduler_that_rings_while_no_worker_hears_it_is_told_apart(fakes: FakePorts) -> None:
    ticked(fakes)
    now = fakes.clock.advance(seconds=41)
    Mark.objects.win("bell: report_orchestrator.tasks.tick", now=now, until=now)
    assert red(fakes) == {"worker"}


def test_runs_that_nobody_takes_are_told(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"runs"}


def test_runs_that_wait_for_a_place_are_not_overdue(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    Mark.objects.create(name="circuit: fireant", due_at=fakes.clock.now.replace(year=2099))
    ReportRun.objects.update(step="external_job_submission")
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == set()
    assert lateness(fakes.clock(), SETTINGS) is None


def test_an_expired_lease_that_nobody_rescues_is_told(new_run: NewRun, fakes: FakePorts) -> None:
    new_run().write(status="running", worker="gone", wake_at=fakes.clock.now)
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"leases"}
    assert lateness(fakes.clock(), SETTINGS) == timedelta(seconds=61)


def test_due_reports_that_nobody_opens_are_told(new_run: NewRun, fakes: FakePorts) -> None:
    ReportSchedule.objects.filter(report_key="1").update(next_run_at=fakes.clock.now)
    new_run().write(status="canceled", wake_at=None, ended_at=fakes.clock.now)
    now = fakes.clock.advance(minutes=3)
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        Mark.objects.note(name, now=now)
    assert red(fakes) == {"schedules"}
    pause_all(actor="ann", reason="maintenance", ports=fakes.ports)
    assert red(fakes) == set()


def test_the_view_says_the_same_to_a_probe(client: Client) -> None:
    response = client.get(reverse("report_orchestrator:health"))
    assert response.status_code == 503
    assert json.loads(response.content)["healthy"] is False
    assert client.post(reverse("report_orchestrator:health")).status_code == 405


def test_a_clock_that_was_set_back_blinds_nobody_and_stops_no_bell(fakes: FakePorts) -> None:
    bell = "bell: report_orchestrator.tasks.tick"
    assert Mark.objects.win(bell, now=fakes.clock.now, until=fakes.clock.now + timedelta(seconds=5))
    ticked(fakes)
    now = fakes.clock.advance(hours=-1)
    assert red(fakes) == {"worker", "scheduler"}
    assert Mark.objects.win(bell, now=now, until=now + timedelta(seconds=5))
    assert not Mark.objects.win(bell, now=now, until=now + timedelta(seconds=5))
    ticked(fakes)
    assert red(fakes) == set()


def test_a_run_in_line_is_overdue_once_nobody_stands_before_it(new_run: NewRun, fakes: FakePorts) -> None:
    first, second = new_run(), new_run()
    for minute, run in enumerate((first, second)):
        run.write(in_line=True, trigger="scheduled", scheduled_for=fakes.clock() + timedelta(minutes=minute))
    first.write(status="running", worker="busy", wake_at=fakes.clock() + timedelta(hours=1))
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes) == set()
    assert lateness(fakes.clock(), SETTINGS) is None
    first.write(status="succeeded", worker="", wake_at=None, ended_at=fakes.clock())
    assert red(fakes) == {"runs"}
    assert lateness(fakes.clock(), SETTINGS) == timedelta(minutes=5)


def test_runs_that_wait_although_places_are_free_are_told(new_run: NewRun, fakes: FakePorts) -> None:
    limited = SettingsFactory.make(FIREANT_MAX_JOBS_IN_FLIGHT=1)
    submitted, waiting = new_run(), new_run()
    submitted.write(
        status="deferred", step="job_completion_status", wake_at=fakes.clock() + timedelta(hours=1)
    )
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes, limited) == set()
    assert lateness(fakes.clock(), limited) is None
    submitted.write(status="succeeded", wake_at=None, ended_at=fakes.clock())
    assert red(fakes, limited) == {"runs"}
    RunStep.objects.create(
        run=waiting,
        step="external_job_submission",
        attempt=1,
        started_at=fakes.clock() - timedelta(seconds=50),
    )
    assert red(fakes, limited) == set()  # they go one by one


def test_a_probe_of_fireant_that_nobody_makes_is_told(new_run: NewRun, fakes: FakePorts) -> None:
    new_run().write(step="external_job_submission")
    Mark.objects.create(name="circuit: fireant", due_at=fakes.clock() + timedelta(minutes=5))
    fakes.clock.advance(minutes=5)
    ticked(fakes)
    assert red(fakes) == set()
    assert of_fireant(fakes).endswith("tried again by the next run that needs it, from now on")
    fakes.clock.advance(seconds=61)
    ticked(fakes)
    assert red(fakes) == {"runs"}
    Mark.objects.update(due_at=fakes.clock() + timedelta(seconds=9))
    assert of_fireant(fakes).endswith("tried again in 9 s")
