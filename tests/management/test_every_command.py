"""Each command has help, a readable error and exit statuses; reports are discovered and schedules synced."""

from __future__ import annotations

import pkgutil

import pytest
from django.core.management import load_command_class
from django_q.models import OrmQ, Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator.management import commands
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.models import (
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    RunStep,
    ScheduleState,
    SharedState,
)
from report_orchestrator.wiring import get_ports
from tests.host.api.models import Job, Report, ReportModifier
from tests.host.api.seed import REPORTS
from tests.support.commands import as_process, cells, manage
from tests.support.seeded_host import SAYS, WINDSTORM, change, id_of, rows, sleep_is

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

COMMANDS = [
    module.name
    for module in pkgutil.iter_modules(commands.__path__)
    if isinstance(load_command_class("report_orchestrator", module.name), OrchestratorCommand)
]
OUR_TABLES = (SharedState, ReportChange, ReportRun, ReportSchedule, RunPayload, RunStep, Schedule, OrmQ)
HOST_TABLES = (Report, ReportModifier, Job, ReportModifier.reports.through)


class TestEveryCommand:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_help_shows_examples_and_exit_statuses(self, command: str) -> None:
        loaded = load_command_class("report_orchestrator", command)
        shown = loaded.create_parser("manage.py", command).format_help()
        examples = loaded.examples  # type: ignore[attr-defined]  # each of ours has them
        assert examples in shown
        assert f"manage.py {command}" in examples
        assert "exit status: 0 " in examples
        assert "--format {text,json" in shown

    @pytest.mark.parametrize(
        "arguments",
        [
            ("pause_reports", "--all"),
            ("resume_reports", "--all"),
            ("switch_reports", "live", "--all"),
            ("retry_run", "1"),
            ("cancel_run", "1"),
            ("backfill_reports", "1", "--from", "2026-06-30", "--to", "2026-06-30"),
            ("discover_reports", "--accept-removals"),
        ],
        ids=lambda given: given[0],
    )
    def test_a_decision_without_a_reason_is_refused(self, arguments: tuple[str, ...]) -> None:
        manage("discover_reports")
        before = rows(OUR_TABLES)
        answer = manage(*arguments)
        assert answer.status != 0
        assert "--reason" in answer.err
        assert rows(OUR_TABLES) == before

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("run_report",), "the following arguments are required: ID"),
            (("run_report", "1", "--now", "--wait"), "argument --wait: not allowed with argument --now"),
            (
                ("run_report", "1", "--date", "2026-13-01"),
                "argument --date: '2026-13-01' is not a date such as 2026-07-01",
            ),
            (
                ("switch_reports", "live", "1", "--at", "noon"),
                "argument --at: 'noon' is not a date and time such as '2026-07-01 14:30'",
            ),
            (
                ("switch_reports", "live", "1", "--at", "2026-07-01"),
                "argument --at: '2026-07-01' is not a date and time such as '2026-07-01 14:30'",
            ),
            (("shadow_report", "--days", "0"), "argument --days: '0' is not a number of days between 0 and 366"),
            (("discover_reports", "--format", "xml"), "argument --format: invalid choice: 'xml'"),
            (("discover_reports", "--seen", "xyz"), "argument --seen: 'xyz' is not a digest"),
            (("pause_reports", "1", "--reason", " "), "argument --reason: it must not be empty"),
        ],
        ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
    )
    def test_a_command_used_wrongly_ends_with_2(self, arguments: tuple[str, ...], says: str) -> None:
        answer = as_process(*arguments)
        assert (answer.status, answer.out) == (2, "")
        assert answer.err.startswith("usage: manage.py ")
        assert says in answer.err

    def test_a_setting_that_cannot_be_read_ends_with_1_and_a_sentence(self) -> None:
        answer = as_process("orchestrator_status", "--skip-checks", MAX_RETRIES="many")
        assert (answer.status, answer.out) == (1, "")
        assert answer.err.startswith("CommandError: MAX_RETRIES is invalid: it must be a number.")
        assert "Traceback" not in answer.err

    def test_a_cron_that_is_not_valid_ends_with_1_and_says_why_in_json_too(self) -> None:
        as_text = manage("explain_cron", "99 * * * *")
        as_json = manage("explain_cron", "99 * * * *", "--format", "json")
        assert (as_text.status, as_text.out) == (1, "")
        assert (as_json.status, as_json.err) == (1, "")
        assert as_json.json == {"expression": "99 * * * *", "error": as_text.err}

    def test_help_ends_with_0(self) -> None:
        answer = as_process("run_report", "--help")
        assert (answer.status, answer.err) == (0, "")
        assert "manage.py run_report 42 --now" in answer.out

    def test_a_person_who_stops_watching_is_told_that_the_work_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(_seconds: float) -> None:
            raise KeyboardInterrupt

        sleep_is(interrupted, monkeypatch)
        answer = manage("run_report", id_of(WINDSTORM), "--wait")
        assert answer.status == 1
        run = ReportRun.objects.get()
        goes_on = f"What was queued goes on: 1 run. 'cancel_run {run.pk} --reason TEXT' ends it."
        assert answer.err.endswith(f"Stopped watching. {goes_on}\n")

    def test_a_name_is_shown_letter_by_letter(self) -> None:
        Report.objects.filter(name=WINDSTORM).update(name="Layer :100: of [red]Ocean[/red] :smile:")
        assert "Layer :100: of [red]Ocean[/red] :smile:" in manage("discover_reports").out


class TestDiscoverReports:
    def test_each_report_is_reported_with_its_state_or_its_problem(self) -> None:
        answer = manage("discover_reports")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.endswith("40 reports: 31 active, 1 disabled, 6 quarantined, 2 unscheduled. 46 changes.\n")
        for seed in REPORTS:
            reported = [line for line in answer.out.splitlines() if f"({seed.name})" in line]
            assert len(reported) == (2 if seed.problem else 1)
            if seed.problem in SAYS:
                assert f"({seed.name}) {SAYS[seed.problem]}" in reported[1]
        for name, says in (
            ("Flood with impossible times", "The cron '99 99 99 99 99' is not valid: its minute, 99,"),
            (
                "Flood on the 31st of February",
                "The cron '0 0 31 2 *' is not valid: no month of '2' has a day of month '31',",
            ),
        ):
            assert f"report {id_of(name)} ({name}): {says}" in answer.out

    def test_a_second_time_nothing_changed(self) -> None:
        manage("discover_reports")
        before = rows((ReportSchedule, ReportChange, Schedule))
        answer = manage("discover_reports")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.endswith(
            "40 reports: 31 active, 1 disabled, 6 quarantined, 2 unscheduled. Nothing changed.\n"
        )
        assert "has no event group. Choose one in the project." in answer.out  # told as long as it lasts
        assert rows((ReportSchedule, ReportChange, Schedule)) == before

    def test_a_dry_run_shows_the_same_and_writes_nothing(self) -> None:
        before = rows(OUR_TABLES + HOST_TABLES)
        answer = manage("discover_reports", "--dry-run")
        assert answer.out.endswith("46 changes. Nothing was written (--dry-run).\n")
        assert rows(OUR_TABLES + HOST_TABLES) == before
        really = manage("discover_reports")
        assert really.out == answer.out.replace(" Nothing was written (--dry-run).", "")

    def test_a_dry_run_over_known_reports_writes_nothing_either(self) -> None:
        manage("discover_reports")
        Report.objects.filter(name=WINDSTORM).update(cron="5 * * * *")
        Report.objects.filter(name="Tsunami ports Japan").delete()
        before = rows(OUR_TABLES)
        answer = manage("discover_reports", "--dry-run")
        assert "retimed" in answer.out
        assert "removed" in answer.out
        assert rows(OUR_TABLES) == before

    def test_what_changed_is_reported_from_what_to_what(self) -> None:
        manage("discover_reports")
        Report.objects.filter(name=WINDSTORM).update(cron="5 * * * *")
        answer = manage("discover_reports")
        [line] = [line for line in answer.out.splitlines() if "retimed" in line]
        assert cells(line) == [
            "retimed",
            f"report {id_of(WINDSTORM)} ({WINDSTORM})",
            "cron '* * * * *'",
            "cron '5 * * * *'",
        ]
        assert answer.out.endswith("1 change.\n")

    def test_json_shows_all_of_it_and_nothing_else(self) -> None:
        answer = manage("discover_reports", "--format", "json")
        assert (answer.status, answer.err) == (0, "")
        found = answer.json
        assert list(found) == [
            "examined",
            "states",
            "changes",
            "quarantined",
            "held_removals",
            "held_digest",
            "dry_run",
        ]
        assert found["examined"] == 40
        assert found["states"] == {"active": 31, "disabled": 1, "quarantined": 6, "unscheduled": 2}
        assert (found["held_removals"], found["dry_run"]) == ([], False)
        problems = {
            change["report"]: change["after"]["problem_code"]
            for change in found["changes"]
            if change["kind"] == "quarantined"
        }
        assert problems == {
            f"report {id_of(seed.name)} ({seed.name})": seed.problem for seed in REPORTS if seed.problem
        }
        assert found["changes"][0] == {
            "kind": "new",
            "report": f"report {id_of(REPORTS[0].name)} ({REPORTS[0].name})",
            "before": {},
            "after": {"name": REPORTS[0].name, "cron": REPORTS[0].cron, "state": "active"},
        }

    def test_many_removals_are_held_for_a_person(self) -> None:
        manage("discover_reports")
        for report in Report.objects.order_by("pk")[:9]:
            report.delete()
        held = manage("discover_reports")
        assert held.status == 1
        assert "Nothing changed." in held.out
        assert held.err.startswith("9 reports missing from the project, more than a fifth of all.")
        assert "discover_reports --accept-removals" in held.err
        as_json = manage("discover_reports", "--format", "json")
        assert as_json.status == 1
        assert len(as_json.json["held_removals"]) == 9
        seen = as_json.json["held_digest"][:12]
        assert manage("discover_reports", "--seen", seen).status == 2
        assert f"--accept-removals --seen {seen} --reason" in held.err
        last = Report.objects.order_by("pk").first()
        assert last is not None
        last.delete()
        refused = manage("discover_reports", "--accept-removals", "--seen", seen, "--reason", "tests")
        assert (refused.status, ReportSchedule.objects.filter(state=ScheduleState.REMOVED).count()) == (1, 0)
        assert "have changed since you confirmed" in refused.err
        seen = manage("discover_reports", "--format", "json").json["held_digest"]
        accepted = manage("discover_reports", "--accept-removals", "--seen", seen, "--reason", "tests")
        assert accepted.status == 0
        assert accepted.out.endswith("10 changes.\n")
        assert ReportSchedule.objects.filter(state=ScheduleState.REMOVED).count() == 10

    def test_the_queues_lines_are_brought_in_step(self, settings: DjangoSettings) -> None:
        change(settings, SCHEDULING_APPROACH="pipeline")
        manage("discover_reports")
        assert Schedule.objects.count() == 31 + 2


class TestSyncSchedules:
    def test_the_lines_of_the_approach_are_made_and_reported(self) -> None:
        answer = manage("sync_schedules")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.splitlines()[-1] == "3 schedules changed, 0 unchanged (approach: sensor)."
        names = {"discovery", "tick", "cron sensor"}
        assert set(Schedule.objects.values_list("name", flat=True)) == {
            f"report orchestrator: {name}" for name in names
        }
        for name in names:
            assert f"report orchestrator: {name}" in answer.out

    def test_a_removal_warns_of_a_running_cluster(self) -> None:
        manage("sync_schedules")
        now = get_ports().clock()
        SharedState.objects.record("cluster: one", now=now, detail={"workers": 1})
        SharedState.objects.record("worker", now=now)
        warned = manage("sync_schedules", "--remove")
        assert (warned.status, warned.err) == (
            0,
            "A qcluster is running and creates the schedules again. Stop every qcluster, then run this command again.\n",
        )
        SharedState.objects.record("cluster: one", now=now, detail={"workers": 0, "ended": True})
        assert manage("sync_schedules", "--remove").err == ""

    def test_a_second_time_nothing_changed(self) -> None:
        manage("sync_schedules")
        before = rows((Schedule,))
        answer = manage("sync_schedules")
        assert answer.out == "0 schedules changed, 3 unchanged (approach: sensor).\n"
        assert rows((Schedule,)) == before

    def test_a_switch_shows_what_went_and_what_came(self, settings: DjangoSettings) -> None:
        manage("sync_schedules")
        change(settings, SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="*/15 * * * *")
        assert manage("sync_schedules", "--format", "json").json == {
            "approach": "schedule",
            "created": ["report orchestrator: schedule"],
            "updated": {},
            "removed": ["report orchestrator: cron sensor"],
            "unchanged": 2,
        }

    def test_what_differed_is_reported(self, settings: DjangoSettings) -> None:
        manage("sync_schedules")
        change(settings, CRON_SENSOR_INTERVAL_SECONDS=300)
        answer = manage("sync_schedules")
        [line] = [line for line in answer.out.splitlines() if "cron sensor" in line]
        assert "updated: minutes: 1 -> 5" in line
        assert answer.out.endswith("1 schedule changed, 2 unchanged (approach: sensor).\n")
