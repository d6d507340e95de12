"""Commands that show the status, act on runs and start a cluster."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import get_commands
from django.db import connections
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers
from report_orchestrator.cluster.main import Cluster, ClusterLostError
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.sandbox.fireant import FireantSandbox
from report_orchestrator.testing import START, FakeClock
from tests.support.commands import cells, manage
from tests.support.seeded_host import WINDSTORM, Start, a_worker_works, change, id_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestOrchestratorStatus:
    KEYS = (
        "approach",
        "reports",
        "live_runs",
        "ended_last_day",
        "next_due",
        "oldest_live_run",
        "most_overdue_seconds",
        "workers_alive",
        "last_tick",
        "evaluations",
        "last_discovery",
    )

    def test_a_new_installation_is_told_what_to_do(self) -> None:
        answer = manage("orchestrator_status")
        assert (answer.status, answer.err) == (0, "")
        assert "none: start one with python manage.py qcluster" in answer.out
        assert "never: run python manage.py discover_reports" in answer.out

    def test_json_of_a_new_installation(self) -> None:
        result = manage("orchestrator_status", "--format", "json").json
        assert set(self.KEYS) <= result.keys()
        assert (result["approach"], result["reports"], result["next_due"]) == ("sensor", {}, [])
        assert (result["workers_alive"], result["last_tick"], result["last_discovery"]) == (0, None, None)

    def test_a_broker_that_is_away_hides_no_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Conf, "ORM", None)
        monkeypatch.setattr(Conf, "REDIS", "redis://127.0.0.1:1/0")
        brokers._ticking_class.cache_clear()
        answer = manage("orchestrator_status", "--format", "json")
        result = manage("orchestrator_status").out
        brokers._ticking_class.cache_clear()
        assert (answer.status, answer.json["workers_alive"]) == (0, 0)
        assert "unknown" not in result

    def test_reports_and_runs_are_counted(self, clock: FakeClock) -> None:
        manage("discover_reports")
        manage("run_report", id_of(WINDSTORM), "--now")
        manage("run_report", id_of("Earthquake Istanbul"), "--now")
        manage("run_report", id_of(WINDSTORM))
        clock.advance(seconds=90)
        result = manage("orchestrator_status", "--format", "json").json
        assert result["reports"] == {"active": 31, "disabled": 1, "quarantined": 6, "unscheduled": 2}
        assert result["live_runs"] == {"queued": 1}
        assert result["ended_last_day"] == {"failed": 1, "succeeded": 1}
        assert result["most_overdue_seconds"] == 90
        assert (result["workers"]["well"], result["last_tick"]) == (False, None)
        waiting = ReportRun.objects.get(status=Status.QUEUED)
        assert result["oldest_live_run"] == waiting.created_at.isoformat()
        assert result["last_discovery"] == START.isoformat()

    def test_what_is_paused_is_named_with_who_when_and_why(self, clock: FakeClock, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        manage("discover_reports")
        keys = list(ReportSchedule.objects.order_by("pk").values_list("report_key", flat=True)[:7])
        for key in keys:
            manage("pause_reports", key, "--reason", f"reason of {key}")
            clock.advance(minutes=1)
        result = manage("orchestrator_status", "--format", "json").json
        assert (result["paused"], result["all_paused"]) == (7, False)
        newest = ReportSchedule.objects.get(report_key=keys[6])
        assert result["pauses"][0] == {
            "report": str(newest),
            "since": (START + timedelta(minutes=6)).isoformat(),
            "by": newest.paused_by,
            "reason": f"reason of {keys[6]}",
        }
        assert len(result["pauses"]) == 5
        manage("pause_reports", "--all", "--reason", "the move")
        reported = [cells(line) for line in manage("orchestrator_status").out.splitlines()]
        paused = reported[reported.index(["paused", "since", "by", "reason"]) + 1 :][:7]
        assert paused[0] == ["all reports", "2026-07-01 14:07:00 CEST", newest.paused_by, "the move"]
        assert paused[1] == [str(newest), "2026-07-01 14:06:00 CEST", newest.paused_by, f"reason of {keys[6]}"]
        assert paused[6] == ["and 2 more", "-", "-", "-"]

    def test_resuming_all_ends_only_the_pause_that_was_seen(self, clock: FakeClock, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        manage("discover_reports")
        manage("pause_reports", "--all", "--reason", "short maintenance")
        seen = manage("orchestrator_status", "--format", "json").json["pauses"][0]["since"]
        clock.advance(minutes=1, seconds=0.5)
        manage("pause_reports", "--all", "--reason", "legal hold")

        refused = manage("resume_reports", "--reason", "tests", "--all", "--paused-at", seen)
        assert refused.status == 1
        assert refused.err.startswith(
            "No pause of all reports that began at 2026-07-01 14:00:00 CEST is in effect. Nothing was changed."
        )
        assert manage("orchestrator_status", "--format", "json").json["pauses"][0]["reason"] == "legal hold"
        assert manage("resume_reports", "--reason", "tests", "1", "--paused-at", seen).status == 2
        assert manage("resume_reports", "--reason", "tests", "--all", "--paused-at", "2026-07-01 14:01:00").status == 0
        assert manage("orchestrator_status", "--format", "json").json["pauses"] == []

    def test_resuming_all_shows_how_many_resume_and_how_many_stay_paused(self) -> None:
        manage("discover_reports")
        active = list(ReportSchedule.objects.filter(state="active").values_list("report_key", flat=True))
        manage("pause_reports", "--reason", "tests", active[0])
        together = f"{len(active) - 1} active reports."
        alone = "1 report stays paused individually. Resume by ID."

        assert manage("resume_reports", "--reason", "tests", "--all").out.strip() == (
            f"There was no pause of all reports. Nothing changed. {alone}"
        )
        assert together in manage("pause_reports", "--reason", "tests", "--all").out
        assert (
            manage("resume_reports", "--reason", "tests", "--all").out.strip()
            == f"Scheduling resumed for {together} {alone}"
        )
        assert manage("resume_reports", "--reason", "tests", active[0]).status == 0
        assert (
            manage("resume_reports", "--reason", "tests", "--all").out.strip()
            == "There was no pause of all reports. Nothing changed."
        )

    @pytest.mark.parametrize("use_tz", [True, False])
    def test_times_for_people_are_in_the_projects_zone(self, settings: DjangoSettings, use_tz: bool) -> None:
        settings.USE_TZ, settings.TIME_ZONE = use_tz, "America/New_York"
        manage("discover_reports")
        result = manage("orchestrator_status", "--format", "json").json
        reported = [cells(line) for line in manage("orchestrator_status").out.splitlines()]
        [entry, *_] = result["next_due"]
        at = datetime.fromisoformat(entry["at"])
        assert at.utcoffset() is not None
        local = f"{at.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M:%S} EDT"
        assert [entry["report"], local] in reported
        planned = manage(
            "backfill_reports", id_of(WINDSTORM), "--from", "2026-06-30", "--to", "2026-06-30", "--dry-run"
        )
        assert planned.out.count(" EDT\n") == int(planned.out.splitlines()[-1].split()[0].replace(",", "")) > 0
        assert "UTC" not in planned.out

    def test_what_is_due_next_comes_in_order(self) -> None:
        manage("discover_reports")
        due = manage("orchestrator_status", "--format", "json").json["next_due"]
        first = ReportSchedule.objects.filter(next_run_at__isnull=False).order_by("next_run_at")[:5]
        assert [entry["at"] for entry in due] == [row.next_run_at.isoformat() for row in first if row.next_run_at]
        answer = manage("orchestrator_status")
        for entry in due:
            assert entry["report"] in answer.out
        assert "31 active, 1 disabled, 6 quarantined, 2 unscheduled" in answer.out


class TestInterventions:
    def test_a_failed_run_is_retried_from_where_it_failed(self, fireant: FireantSandbox) -> None:
        fireant.faults.add(endpoint="results", kind="status_code", status=400)
        manage("run_report", id_of(WINDSTORM), "--now")
        run = ReportRun.objects.get()
        assert (run.status, run.step) == (Status.FAILED, Step.RESULTS_STORAGE)
        answer = manage("retry_run", run.pk, "--reason", "it was repaired")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out == f"{run}: queued again, continues at results_storage\n"
        a_worker_works()(0)
        run.refresh_from_db()
        assert (run.status, len(fireant.jobs)) == (Status.SUCCEEDED, 1)

    def test_a_run_that_cannot_be_retried_is_refused_and_stops_no_other(self) -> None:
        manage("run_report", id_of("Earthquake Istanbul"), id_of(WINDSTORM), "--now")
        failed = ReportRun.objects.get(status=Status.FAILED)
        done = ReportRun.objects.get(status=Status.SUCCEEDED)
        answer = manage("retry_run", "--reason", "tests", done.pk, failed.pk, 4711, "--format", "json")
        assert answer.status == 1
        retried, *refused = answer.json
        assert (retried["run_id"], retried["status"]) == (failed.pk, "queued")
        assert [(reported["run_id"], reported["status"]) for reported in refused] == [
            (done.pk, "refused"),
            (4711, "refused"),
        ]
        assert "cannot be retried" in refused[0]["error"]

    def test_a_queued_run_is_canceled_and_never_done(self, fireant: FireantSandbox) -> None:
        manage("run_report", id_of(WINDSTORM))
        run = ReportRun.objects.get()
        answer = manage("cancel_run", "--reason", "tests", run.pk)
        assert (answer.status, answer.out) == (0, f"{run}: canceled\n")
        a_worker_works()(0)
        assert fireant.jobs == ()
        again = manage("cancel_run", "--reason", "tests", run.pk)
        assert (again.status, again.out) == (1, "")
        assert again.err

    def test_health_is_red_without_workers(self) -> None:
        answer = manage("orchestrator_health", "--format", "json")
        assert answer.status == 1
        assert answer.json["healthy"] is False
        worker = answer.json["findings"][0]
        assert (worker["name"], worker["well"], worker["hint"]) == ("worker", False, "Start qcluster.")
        text = manage("orchestrator_health")
        assert text.status == 1
        assert "RED" in text.out


class TestQcluster:
    @pytest.fixture(autouse=True)
    def starts(self, monkeypatch: pytest.MonkeyPatch) -> list[Start]:
        """The starts of clusters, none of which really happens."""
        starts: list[Start] = []

        def run(cluster: Cluster) -> None:
            lines = set(Schedule.objects.values_list("name", flat=True))
            starts.append(Start(name=os.environ.get("Q_CLUSTER_NAME"), lines=lines, once=cluster.once))

        monkeypatch.setattr(Cluster, "run", run)
        monkeypatch.setenv("Q_CLUSTER_NAME", "")  # which the command may set
        return starts

    def test_ours_takes_the_place_of_the_stock_command(self) -> None:
        assert get_commands()["qcluster"] == "report_orchestrator"

    def test_the_schedules_are_in_step_before_it_starts(self, settings: DjangoSettings, starts: list[Start]) -> None:
        ours = "report orchestrator: cron sensor"
        Schedule.objects.create(name=ours, func="report_orchestrator.tasks.cron_sensor")
        Schedule.objects.create(name="nightly", func="host.tasks.nightly")
        change(settings, SCHEDULING_APPROACH="schedule")
        assert manage("qcluster").status == 0
        [start] = starts
        assert start.lines == {
            "nightly",
            *(f"report orchestrator: {name}" for name in ("discovery", "tick", "schedule")),
        }
        assert start.once is False

    @pytest.mark.parametrize("command", ["qcluster", "sync_schedules"])
    def test_next_times_are_those_of_todays_rules_before_it_starts(self, clock: FakeClock, command: str) -> None:
        manage("discover_reports")
        computed = dict(ReportSchedule.objects.values_list("pk", "next_run_at"))
        ReportSchedule.objects.filter(next_run_at__isnull=False).update(next_run_at=clock() + timedelta(minutes=7))
        assert manage(command).status == 0
        assert dict(ReportSchedule.objects.values_list("pk", "next_run_at")) == computed

    def test_the_stock_options_are_obeyed(self, starts: list[Start]) -> None:
        manage("qcluster", "--run-once", "--name", "reports")
        [start] = starts
        assert (start.once, start.name) == (True, "reports")

    def test_a_cluster_that_cannot_be_kept_ends_with_1_and_a_sentence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(_cluster: Cluster) -> None:
            raise ClusterLostError("The cluster is lost.")

        monkeypatch.setattr(Cluster, "run", run)
        answer = manage("qcluster")
        assert (answer.status, answer.err) == (1, "The cluster is lost.")

    def test_a_mistake_in_the_settings_is_a_sentence(self, settings: DjangoSettings, starts: list[Start]) -> None:
        change(settings, MAX_RETRIES="many")
        try:
            answer = manage("qcluster")
        finally:
            change(settings, MAX_RETRIES=0)
        assert answer.status == 1
        assert answer.err.startswith("MAX_RETRIES is invalid")
        assert starts == []


@pytest.mark.django_db(transaction=True, databases=["default", "reports"])
def test_a_queued_run_has_its_message_in_the_queue() -> None:
    manage("run_report", id_of(WINDSTORM))
    tasks = [message.task for message in OrmQ.objects.all()]
    assert [(task["func"], task["args"]) for task in tasks] == [
        ("report_orchestrator.tasks.work", (ReportRun.objects.get().pk,))
    ]


@pytest.mark.django_db(transaction=True, databases=["default", "reports"])
def test_what_is_done_here_and_now_is_no_message_for_a_cluster(clock: FakeClock) -> None:
    clock.advance(minutes=1)
    assert manage("run_due_reports", "--now").status == 0
    assert manage("run_report", id_of(WINDSTORM), "--now").status == 0
    assert not OrmQ.objects.exists()
    assert connections["default"].in_atomic_block is False


def test_schedules_synced_from_now_drop_the_undecided_times(clock: FakeClock) -> None:
    manage("discover_reports")
    clock.advance(minutes=30)
    answer = manage("sync_schedules", "--from-now")
    assert (answer.status, answer.err) == (0, "")
    assert "Scheduling starts at 2026-07-01 12:30:00 UTC.\n" in answer.out
    assert manage("run_due_reports").out == "0 runs created, 0 times skipped.\n"
    assert manage("sync_schedules", "--from-now", "--remove").status == 2


def test_a_pause_ended_from_now_drops_its_times(clock: FakeClock) -> None:
    manage("discover_reports")
    manage("pause_reports", "--reason", "tests", "--all")
    clock.advance(minutes=30)
    assert manage("resume_reports", "--reason", "tests", "--all", "--from-now").status == 0
    assert manage("run_due_reports").out == "0 runs created, 0 times skipped.\n"
