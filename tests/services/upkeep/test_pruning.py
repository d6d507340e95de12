"""Old rows are removed, and no others."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.db.models import QuerySet

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import (
    Intervention,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    RunStep,
    SharedState,
)
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.pausing import pause_all
from report_orchestrator.services.upkeep import pruning
from report_orchestrator.services.upkeep.pruning import EVERY, prune, prune_if_due
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_PAYLOADS_DAYS=7, KEEP_AUDIT_DAYS=30)


def go(fakes: FakePorts, settings: Settings = SETTINGS) -> dict[str, int]:
    return prune(runtime=fakes.runtime(settings), until=fakes.clock() + timedelta(minutes=1))


def ended(new_run: NewRun, fakes: FakePorts) -> ReportRun:
    run = new_run()
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    assert run.status == Status.SUCCEEDED
    return run


def keys() -> list[int]:
    return list(ReportRun.objects.order_by("pk").values_list("pk", flat=True))


def test_an_old_run_goes_with_its_steps_and_the_last_of_its_report_stays(new_run: NewRun, fakes: FakePorts) -> None:
    for _ in range(3):
        ended(new_run, fakes)
    last = keys()[-1]
    fakes.clock.advance(days=31)
    assert go(fakes) == {"runs": 2, "payloads": 1, "changes": 1}
    assert keys() == [last]
    assert set(RunStep.objects.values_list("run", flat=True)) == {last}
    assert not RunPayload.objects.exists()
    assert not ReportChange.objects.exists()


def test_nothing_goes_before_its_time_and_nothing_that_has_not_ended(new_run: NewRun, fakes: FakePorts) -> None:
    waiting = new_run()
    recent = ended(new_run, fakes)
    newest = ended(new_run, fakes)
    fakes.clock.advance(days=6)
    assert go(fakes) == {}
    fakes.clock.advance(days=300)
    assert go(fakes) == {"runs": 1, "payloads": 1, "changes": 1}
    assert keys() == [waiting.pk, newest.pk]
    assert recent.pk not in keys()


@pytest.mark.parametrize("broken", ["runs", "changes"])
def test_an_error_with_one_kind_keeps_no_other_from_being_deleted(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(days=31)
    model = ReportRun if broken == "runs" else ReportChange
    delete = pruning._delete

    def fails(rows: QuerySet[Any]) -> int:
        if rows.model is model:
            raise DataError("out of range")
        return delete(rows)

    monkeypatch.setattr(pruning, "_delete", fails)
    with caplog.at_level("WARNING"):
        assert go(fakes) == {"payloads": 2 if broken == "runs" else 1} | (
            {"changes": 1} if broken == "runs" else {"runs": 1}
        )
    [line] = [record for record in caplog.records if record.message == "pruning failed"]
    assert (vars(line)["kind"], vars(line)["error"]) == (broken, "out of range")


def test_many_rows_of_one_kind_leave_time_for_the_others(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        ended(new_run, fakes)
    fakes.clock.advance(days=31)
    monkeypatch.setattr(pruning, "BATCH", 1)
    delete = pruning._delete

    def slowly(rows: QuerySet[Any]) -> int:
        fakes.clock.advance(seconds=20)
        return delete(rows)

    monkeypatch.setattr(pruning, "_delete", slowly)
    assert go(fakes) == {"runs": 1, "changes": 1, "payloads": 1}


def test_zero_keeps_all(new_run: NewRun, fakes: FakePorts) -> None:
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(days=4000)
    assert go(fakes, SettingsFactory.make(KEEP_RUNS_DAYS=0, KEEP_PAYLOADS_DAYS=0)) == {}
    assert RunPayload.objects.count() == 2


AUDITED = SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_PAYLOADS_DAYS=7, KEEP_AUDIT_DAYS=90)


@pytest.mark.parametrize(
    ("settings", "days", "stays"),
    [
        (AUDITED, 89, True),
        (AUDITED, 91, False),
        (SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_AUDIT_DAYS=0), 4000, True),
        (SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_AUDIT_DAYS=1), 29, True),
        (SettingsFactory.make(KEEP_RUNS_DAYS=30, KEEP_AUDIT_DAYS=1), 31, False),
    ],
)
def test_what_a_person_did_stays_with_its_run_for_a_time_of_its_own(
    new_run: NewRun, fakes: FakePorts, settings: Settings, days: int, stays: bool
) -> None:
    run, other, _last = (ended(new_run, fakes) for _ in range(3))
    other.interventions.all().delete()
    Intervention.objects.create(run=run, kind="retried", actor="eva", made_at=fakes.clock())
    pause_all(actor="eva", reason="maintenance", runtime=fakes.runtime(settings))
    fakes.clock.advance(days=days)
    go(fakes, settings)
    assert Intervention.objects.filter(run=run).exists() is stays
    assert ReportRun.objects.filter(pk=other.pk).exists() is (days < 30)
    assert ReportChange.objects.filter(source="person").exists() is stays


def test_a_report_without_its_last_run_keeps_the_occurrence_decided(new_run: NewRun, fakes: FakePorts) -> None:
    """A prune deletes rows, never a decision: the report's own row holds the time until which all is decided."""
    run = ended(new_run, fakes)
    before = run.schedule.decided_until
    ended(new_run, fakes)
    fakes.clock.advance(days=31)
    go(fakes)
    run.schedule.refresh_from_db()
    assert run.schedule.decided_until == before


def test_a_removed_report_goes_with_its_last_run_and_the_others_stay(new_run: NewRun, fakes: FakePorts) -> None:
    ended(new_run, fakes)
    fakes.reports.add(geo_report("2"))
    refresh(["2"], runtime=fakes.runtime(SETTINGS))
    fakes.clock.advance(days=20)
    fakes.reports.remove("1")
    refresh(["1"], runtime=fakes.runtime(SETTINGS))
    fakes.clock.advance(days=20)
    assert go(fakes) == {"runs": 1, "changes": 2}  # removed 20 days ago
    fakes.clock.advance(days=11)
    assert go(fakes) == {"changes": 1, "reports": 1}
    assert list(ReportSchedule.objects.values_list("report_key", flat=True)) == ["2"]


def test_a_removed_report_stays_while_one_of_its_runs_is_live(new_run: NewRun, fakes: FakePorts) -> None:
    new_run()
    fakes.reports.remove("1")
    refresh(["1"], runtime=fakes.runtime(SETTINGS))
    fakes.clock.advance(days=31)
    assert "reports" not in go(fakes)


def test_it_happens_once_an_hour_and_stops_when_its_time_is_up(new_run: NewRun, fakes: FakePorts) -> None:
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(days=31)
    out_of_time = prune_if_due(runtime=fakes.runtime(SETTINGS), until=fakes.clock())
    assert (out_of_time, SharedState.objects.filter(name="prune").count()) == ({}, 0)
    later = fakes.clock() + timedelta(minutes=1)
    assert prune_if_due(runtime=fakes.runtime(SETTINGS), until=later)["runs"] == 1
    ended(new_run, fakes), ended(new_run, fakes)
    fakes.clock.advance(seconds=EVERY.total_seconds() - 1)
    later = fakes.clock() + timedelta(days=1)
    assert prune_if_due(runtime=fakes.runtime(SETTINGS), until=later) == {}
    fakes.clock.advance(days=31)
    later = fakes.clock() + timedelta(minutes=1)
    assert prune_if_due(runtime=fakes.runtime(SETTINGS), until=later)["runs"] == 2
    assert SharedState.objects.get(name="prune").due_at == fakes.clock() + EVERY


def test_a_prune_and_a_persons_retry_of_the_same_run_have_one_winner(new_run: NewRun, fakes: FakePorts) -> None:
    """On a server the retry holds the row, and the prune passes it by; SQLite lets them go one after the other."""
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
        retry_run(failed.pk, actor="eva", runtime=fakes.runtime())
        retried.set()
        if connection.vendor != "sqlite":
            assert pruned.wait(10)
    pruner.join(10)
    failed.refresh_from_db()
    assert failed.status == Status.QUEUED
    assert found[0].get("runs", 0) == 0
