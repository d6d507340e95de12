"""What is old goes, and nothing else does."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import Intervention, Mark, ReportChange, ReportRun, RunPayload, RunStep
from report_orchestrator.services.execution import advance
from report_orchestrator.services.intervention import retry_run
from report_orchestrator.services.pruning import EVERY, prune, prune_if_due
from report_orchestrator.testing import FakePorts
from tests.conftest import SettingsFactory
from tests.integration.conftest import NewRun

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_PAYLOADS_DAYS=7)


def go(fakes: FakePorts, settings: Settings = SETTINGS) -> dict[str, int]:
    return prune(ports=fakes.ports, settings=settings, until=fakes.clock() + timedelta(minutes=1))


def ended(new_run: NewRun, fakes: FakePorts) -> ReportRun:
    run = new_run()
    advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED
    return run


def keys() -> list[int]:
    return list(ReportRun.objects.order_by("pk").values_list("pk", flat=True))


def test_an_old_run_goes_with_its_steps_and_the_last_of_its_report_stays(
    new_run: NewRun, fakes: FakePorts
) -> None:
    for _ in range(3):
        ended(new_run, fakes)
    last = keys()[-1]
    fakes.clock.advance(days=31)
    assert go(fakes) == {"runs": 2, "payloads": 1, "changes": 1}
    assert keys() == [last]
    assert set(RunStep.objects.values_list("run", flat=True)) == {last}
    assert not RunPayload.objects.exists()
    assert not ReportChange.objects.exists()


def test_nothing_goes_before_its_time_and_nothing_that_has_not_ended(
    new_run: NewRun, fakes: FakePorts
) -> None:
    waiting = new_run()
    recent = ended(new_run, fakes)
    newest = ended(new_run, fakes)
    fakes.clock.advance(days=6)
    assert go(fakes) == {}
    fakes.clock.advance(days=300)
    assert go(fakes) == {"runs": 1, "payloads": 1, "changes": 1}
    assert keys() == [waiting.pk, newest.pk]
    assert recent.pk not in keys()


def test_zero_keeps_all_for_ever(new_run: NewRun, fakes: FakePorts) -> None:
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(days=4000)
    assert go(fakes, SettingsFactory.make(KEEP_RUNS_DAYS=0, KEEP_PAYLOADS_DAYS=0)) == {}
    assert RunPayload.objects.count() == 2


def test_what_a_person_did_goes_with_the_run(new_run: NewRun, fakes: FakePorts) -> None:
    run = ended(new_run, fakes)
    Intervention.objects.create(run=run, kind="retried", actor="eva", made_at=fakes.clock())
    ended(new_run, fakes)
    fakes.clock.advance(days=31)
    go(fakes)
    assert not Intervention.objects.filter(run=run).exists()


def test_a_report_without_its_last_run_keeps_the_occurrence_decided(
    new_run: NewRun, fakes: FakePorts
) -> None:
    """A prune takes rows away, never a decision: the time until which all is decided stands in the report's own row."""
    run = ended(new_run, fakes)
    before = run.schedule.decided_until
    ended(new_run, fakes)
    fakes.clock.advance(days=31)
    go(fakes)
    run.schedule.refresh_from_db()
    assert run.schedule.decided_until == before


def test_it_happens_once_an_hour_and_stops_when_its_time_is_up(new_run: NewRun, fakes: FakePorts) -> None:
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(days=31)
    out_of_time = prune_if_due(ports=fakes.ports, settings=SETTINGS, until=fakes.clock())
    assert (out_of_time, Mark.objects.filter(name="prune").count()) == ({}, 0)
    later = fakes.clock() + timedelta(minutes=1)
    assert prune_if_due(ports=fakes.ports, settings=SETTINGS, until=later)["runs"] == 1
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(seconds=EVERY.total_seconds() - 1)
    later = fakes.clock() + timedelta(days=1)
    assert prune_if_due(ports=fakes.ports, settings=SETTINGS, until=later) == {}
    fakes.clock.advance(days=31)
    later = fakes.clock() + timedelta(minutes=1)
    assert prune_if_due(ports=fakes.ports, settings=SETTINGS, until=later)["runs"] == 2
    assert Mark.objects.get(name="prune").due_at == fakes.clock() + EVERY


def test_a_prune_and_a_persons_retry_of_the_same_run_have_one_winner(
    new_run: NewRun, fakes: FakePorts
) -> None:
    """On PostgreSQL the retry holds the row, and the prune passes it by; SQLite lets them go one after the other."""
    failed = new_run()
    failed.write(status=Status.FAILED.value, wake_at=None, ended_at=fakes.clock())
    ended(new_run, fakes)
    fakes.clock.advance(days=31)
    retried, pruned = threading.Event(), threading.Event()
    found: list[dict[str, int]] = []

    def prune_meanwhile() -> None:
        retried.wait(10)
        try:
            found.append(go(fakes))
        finally:
            pruned.set()
            connection.close()

    pruner = threading.Thread(target=prune_meanwhile)
    pruner.start()
    with transaction.atomic():
        retry_run(failed.pk, actor="eva", ports=fakes.ports)
        retried.set()
        if connection.vendor == "postgresql":
            assert pruned.wait(10)
    pruner.join(10)
    failed.refresh_from_db()
    assert failed.status == Status.QUEUED
    assert found[0].get("runs", 0) == 0
