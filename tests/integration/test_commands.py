"""The commands, over the example host and a local Fireant: what they answer, in both formats, and how they end."""

from __future__ import annotations

import io
import json
import logging
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.db import connections
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers, wiring
from report_orchestrator.cluster.main import Cluster, ClusterLostError
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.management import commands, following
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.models import (
    Mark,
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    RunStep,
    ScheduleState,
)
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.services import execution, maintenance
from report_orchestrator.testing import START, FakeClock
from report_orchestrator.wiring import get_ports
from tests.host.api.models import EventGroup, Job, Report, ReportModifier
from tests.host.api.seed import REPORTS

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

ROOT = Path(__file__).resolve().parents[2]
WINDSTORM = "Windstorm accumulation"
EVERY_MINUTE = [WINDSTORM, "Terrorism live watch Manhattan"]
COMMANDS = [
    module.name
    for module in pkgutil.iter_modules(commands.__path__)
    if isinstance(load_command_class("report_orchestrator", module.name), OrchestratorCommand)
]
SAYS = {
    "no_event_group": "has no event group. Choose one on the report's page.",
    "empty_event_group": "has an event group without events. Add events to the group, or choose another group.",
    "mixed_event_types": "has boxes and rings in one event group; Fireant takes one type for a report. "
    "Split the group, and make a report for each type.",
    "unknown_event_type": "has an event that is neither a ring, a box nor a geographic area. "
    "Replace that event in its event group.",
}
OUR_TABLES = (Mark, ReportChange, ReportRun, ReportSchedule, RunPayload, RunStep, Schedule, OrmQ)
HOST_TABLES = (Report, ReportModifier, Job, ReportModifier.reports.through)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a command ended: its exit status, and what went to standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def manage(command: str, *arguments: object) -> Answer:
    """Runs a command as `manage.py` would, in this process."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(command, *map(str, arguments), stdout=out, stderr=err, no_color=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except CommandError as error:
        status = error.returncode
        err.write(str(error))
    return Answer(status=status, out=out.getvalue(), err=err.getvalue())


def as_process(*arguments: str, **environment: str) -> Answer:
    """Runs `manage.py` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.host.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Answer(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture(autouse=True)
def _same_log_afterwards() -> Iterator[None]:
    """A command quietens the console for the rest of its process."""
    loggers = [logging.getLogger(name) for name in ("report_orchestrator", "django-q")]
    handlers = [handler for logger in loggers for handler in logger.handlers]
    levels = [logger.level for logger in loggers], [handler.level for handler in handlers]
    yield
    for logger, level in zip(loggers, levels[0], strict=True):
        logger.setLevel(level)
    for handler, level in zip(handlers, levels[1], strict=True):
        handler.setLevel(level)


@pytest.fixture
def fireant() -> Iterator[FireantSandbox]:
    """A local Fireant whose jobs are finished at once, except for one report's, which fails."""
    options = SandboxOptions(api_key="k3y", fail_names=("Winter storm Central Europe",))
    with FireantSandbox(options) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def clock(
    fireant: FireantSandbox, settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeClock]:
    """The seeded example host, with that Fireant, at a noon that lasts until the clock is moved."""
    clock = FakeClock()
    monkeypatch.setattr(wiring, "database_clock", clock)
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    change(
        settings,
        FIREANT_API_URL=fireant.url,
        FIREANT_API_KEY="k3y",
        RESULT_ROOT=tmp_path / "lake",
        MAX_RETRIES=0,
        POLL_INTERVAL_SECONDS=0.1,
    )
    call_command("seed_reports", stdout=io.StringIO())
    yield clock
    get_ports().fireant.close()  # type: ignore[attr-defined]  # the real client has connections


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def id_of(name: str) -> int:
    return Report.objects.get(name=name).pk


def cells(line: str) -> list[str]:
    """The columns of one line of a table."""
    return [cell.strip() for cell in line.split(" | ")]


def rows(models: tuple[Any, ...]) -> list[list[tuple[object, ...]]]:
    return [list(model.objects.order_by("pk").values_list()) for model in models]


class TestEveryCommand:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_help_shows_examples_and_exit_statuses(self, command: str) -> None:
        loaded = load_command_class("report_orchestrator", command)
        shown = loaded.create_parser("manage.py", command).format_help()
        examples = loaded.examples  # type: ignore[attr-defined]  # each of ours has them
        assert examples in shown
        assert f"manage.py {command}" in examples
        assert "exit status: 0 " in examples
        assert "--format {text,json}" in shown

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("run_report",), "the following arguments are required: ID"),
            (("run_report", "1", "--now", "--wait"), "argument --wait: not allowed with argument --now"),
            (
                ("run_report", "1", "--date", "2026-13-01"),
                "argument --date: '2026-13-01' is not a date such as 2026-07-01",
            ),
            (("discover_reports", "--format", "xml"), "argument --format: invalid choice: 'xml'"),
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
        assert answer.err.startswith("CommandError: MAX_RETRIES cannot be read: it must be a number.")
        assert "Traceback" not in answer.err

    def test_help_ends_with_0(self) -> None:
        answer = as_process("run_report", "--help")
        assert (answer.status, answer.err) == (0, "")
        assert "manage.py run_report 42 --now" in answer.out

    def test_a_person_who_stops_watching_is_told_that_the_work_goes_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(_seconds: float) -> None:
            raise KeyboardInterrupt

        sleep_is(interrupted, monkeypatch)
        answer = manage("run_report", id_of(WINDSTORM), "--wait")
        assert answer.status == 1
        assert answer.err.endswith("Stopped watching. What was queued goes on.\n")

    def test_a_name_is_shown_letter_by_letter(self) -> None:
        Report.objects.filter(name=WINDSTORM).update(name="Layer :100: of [red]Ocean[/red] :smile:")
        assert "Layer :100: of [red]Ocean[/red] :smile:" in manage("discover_reports").out


class TestDiscoverReports:
    def test_each_report_is_told_with_its_state_or_its_problem(self) -> None:
        answer = manage("discover_reports")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.endswith(
            "40 reports: 31 active, 1 disabled, 6 quarantined, 2 unscheduled. 46 changes.\n"
        )
        for seed in REPORTS:
            told = [line for line in answer.out.splitlines() if f"({seed.name})" in line]
            assert len(told) == (2 if seed.problem else 1)
            if seed.problem in SAYS:
                assert f"({seed.name}) {SAYS[seed.problem]}" in told[1]
        never = "comes in no month of '2', so the cron can never fire."
        for name, says in (
            ("Flood with impossible times", "The cron '99 99 99 99 99' is not valid: its minute, '99',"),
            (
                "Flood on the 31st of February",
                f"The cron '0 0 31 2 *' is not valid: its day of month, '31', {never}",
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
        assert (
            "has no event group. Choose one on the report's page." in answer.out
        )  # told as long as it lasts
        assert rows((ReportSchedule, ReportChange, Schedule)) == before

    def test_a_dry_run_tells_the_same_and_writes_nothing(self) -> None:
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

    def test_what_changed_is_told_from_what_to_what(self) -> None:
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

    def test_json_tells_all_of_it_and_nothing_else(self) -> None:
        answer = manage("discover_reports", "--format", "json")
        assert (answer.status, answer.err) == (0, "")
        found = answer.json
        assert list(found) == ["examined", "states", "changes", "quarantined", "held_removals", "dry_run"]
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
        assert held.err.startswith("9 reports are gone from the project, more than a fifth of all.")
        assert "discover_reports --accept-removals" in held.err
        as_json = manage("discover_reports", "--format", "json")
        assert as_json.status == 1
        assert len(as_json.json["held_removals"]) == 9
        accepted = manage("discover_reports", "--accept-removals")
        assert accepted.status == 0
        assert accepted.out.endswith("9 changes.\n")
        assert ReportSchedule.objects.filter(state=ScheduleState.REMOVED).count() == 9

    def test_the_queues_lines_are_brought_in_step(self, settings: DjangoSettings) -> None:
        change(settings, SCHEDULING_APPROACH="pipeline")
        manage("discover_reports")
        assert Schedule.objects.count() == 31 + 2


class TestRunReport:
    def test_a_queued_run_is_left_to_the_cluster(self) -> None:
        answer = manage("run_report", id_of(WINDSTORM))
        run = ReportRun.objects.get()
        assert answer.status == 0
        assert (run.status, run.report_key) == (Status.QUEUED, str(id_of(WINDSTORM)))
        assert run.triggered_by.endswith("(command line)")
        assert f"run {run.pk}  report {run.report_key} ({WINDSTORM}): queued at report_data" in answer.err
        header, told = map(cells, answer.out.splitlines())
        assert header[:5] == ["run", "report", "status", "step", "seconds"]
        assert told[:5] == [str(run.pk), run.report, "queued", "report_data", "-"]

    def test_now_takes_it_to_its_end_here(self, fireant: FireantSandbox, tmp_path: Path) -> None:
        answer = manage("run_report", id_of(WINDSTORM), "--now")
        run = ReportRun.objects.get()
        assert (answer.status, run.status) == (0, Status.SUCCEEDED)
        assert run.results_path in answer.out
        assert Path(run.results_path).is_relative_to(tmp_path / "lake")
        assert json.loads(Path(run.results_path).read_text())
        assert f"run {run.pk}  {run.report}: succeeded at results_storage" in answer.err
        [job] = fireant.jobs
        assert (job.kind, job.report_name) == ("geo", WINDSTORM)
        assert Job.objects.get().fireant_jobid == int(job.id)

    def test_json_has_exactly_these_keys_for_a_run(self) -> None:
        answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json")
        run = ReportRun.objects.get()
        assert (answer.status, answer.err) == (0, "")
        assert answer.json == [
            {
                "run_id": run.pk,
                "report_id": id_of(WINDSTORM),
                "scheduled_for": run.scheduled_for.isoformat(),
                "status": "succeeded",
                "step": "results_storage",
                "fireant_job_id": run.fireant_job_id,
                "results_path": run.results_path,
                "error": None,
            }
        ]
        assert list(answer.json[0]) == [
            "run_id",
            "report_id",
            "scheduled_for",
            "status",
            "step",
            "fireant_job_id",
            "results_path",
            "error",
        ]
        assert datetime.fromisoformat(answer.json[0]["scheduled_for"]).utcoffset() == timedelta(0)

    def test_what_has_not_happened_yet_is_null(self) -> None:
        [told] = manage("run_report", id_of(WINDSTORM), "--format", "json").json
        assert (told["status"], told["step"]) == ("queued", "report_data")
        assert (told["fireant_job_id"], told["results_path"], told["error"]) == (None, None, None)

    @pytest.mark.parametrize("problem", sorted(SAYS))
    def test_a_broken_report_gets_a_run_that_says_what_to_do(
        self, problem: str, fireant: FireantSandbox
    ) -> None:
        [name] = [seed.name for seed in REPORTS if seed.problem == problem]
        answer = manage("run_report", id_of(name), "--now", "--format", "json")
        assert answer.status == 1
        [told] = answer.json
        assert (told["status"], told["step"]) == ("failed", "report_data")
        assert told["error"] == f"report {id_of(name)} ({name}) {SAYS[problem]}"
        assert ReportRun.objects.get().error_code == problem
        assert fireant.jobs == ()

    @pytest.mark.parametrize("name", [seed.name for seed in REPORTS if seed.problem == "invalid_cron"])
    def test_a_report_whose_cron_is_broken_can_run_by_hand(self, name: str) -> None:
        assert manage("run_report", id_of(name), "--now").status == 0

    def test_a_report_whose_zone_is_broken_can_run_by_hand(self, settings: DjangoSettings) -> None:
        change(settings, REPORT_FIELDS={"timezone": "cob"})  # "Property" is no time zone
        manage("discover_reports")
        assert ReportSchedule.objects.get(name=WINDSTORM).problem_code == "invalid_timezone"
        for arguments in ((), ("--date", "2026-07-01")):
            answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json", *arguments)
            assert [told["status"] for told in answer.json] == ["succeeded"]

    def test_a_job_that_fails_ends_with_1_and_fireants_reason(self) -> None:
        name = "Winter storm Central Europe"
        answer = manage("run_report", id_of(name), "--now")
        assert answer.status == 1
        assert f"of report {id_of(name)} ({name}) failed: The sandbox was told to fail this job" in answer.out
        assert "then retry the run" in answer.out

    def test_a_fireant_that_is_away_ends_with_1(self, fireant: FireantSandbox) -> None:
        fireant.stop()
        answer = manage("run_report", id_of(WINDSTORM), "--now", "--format", "json")
        assert answer.status == 1
        [told] = answer.json
        assert told["status"] == "failed"
        assert told["error"].startswith("Fireant cannot be reached at FIREANT_API_URL")

    def test_several_reports_are_several_runs_and_a_doubled_id_is_one(self) -> None:
        one, two = id_of(WINDSTORM), id_of("Tsunami ports Japan")
        answer = manage("run_report", one, two, one, "--now", "--format", "json")
        assert [told["report_id"] for told in answer.json] == [one, two]
        assert {told["status"] for told in answer.json} == {"succeeded"}

    @pytest.mark.parametrize("key", ["4711", "abc", "1.5", "-1", str(10**30)])
    def test_an_unknown_id_is_refused_in_the_list(self, key: str) -> None:
        answer = manage("run_report", "--now", "--format", "json", "--", id_of(WINDSTORM), key)
        assert answer.status == 1
        done, refused = answer.json
        assert done["status"] == "succeeded"
        assert str(refused["report_id"]) == key
        assert refused == {
            "run_id": None,
            "report_id": refused["report_id"],
            "scheduled_for": None,
            "status": "refused",
            "step": None,
            "fireant_job_id": None,
            "results_path": None,
            "error": f"There is no report {key} in api.Report. Check the id.",
        }
        assert list(refused) == list(done)

    def test_a_disabled_report_is_refused_with_what_to_do(self) -> None:
        name = "Windstorm retired treaty"
        answer = manage("run_report", id_of(name))
        assert answer.status == 1
        assert (
            f"report {id_of(name)} ({name}) is disabled in the project. Enable it on its own page, then run it."
            in answer.out
        )
        assert "refused" in answer.out
        assert not ReportRun.objects.exists()

    def test_a_deleted_report_is_refused(self) -> None:
        manage("discover_reports")
        key = id_of(WINDSTORM)
        Report.objects.filter(pk=key).delete()
        answer = manage("run_report", key, "--format", "json")
        assert answer.status == 1
        [told] = answer.json
        assert told["error"] == f"report {key} ({WINDSTORM}) is no longer in the project. Check the id."

    def test_the_report_is_seen_as_it_is_now(self, fireant: FireantSandbox) -> None:
        manage("discover_reports")
        group = EventGroup.objects.get(name="New Zealand")
        Report.objects.filter(name="Flood draft without area").update(event_group=group, name="Flood final")
        assert manage("run_report", id_of("Flood final"), "--now").status == 0
        assert [job.report_name for job in fireant.jobs] == ["Flood final"]
        assert ReportSchedule.objects.get(name="Flood final").state == ScheduleState.ACTIVE

    def test_what_it_notices_reaches_the_pipelines_line_at_the_next_tick(
        self, settings: DjangoSettings
    ) -> None:
        change(settings, SCHEDULING_APPROACH="pipeline")
        manage("discover_reports")
        Report.objects.filter(name=WINDSTORM).update(cron="5 * * * *")
        manage("run_report", id_of(WINDSTORM))
        ports = get_ports()
        maintenance.tick(ports=ports, settings=get_settings(), until=ports.clock())
        assert Schedule.objects.get(name=f"report {id_of(WINDSTORM)}: {WINDSTORM}").cron == "5 * * * *"

    def test_a_date_has_its_modifier_made(self, fireant: FireantSandbox) -> None:
        assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-03-02").status == 0
        made = ReportModifier.objects.get(as_at_date=date(2026, 3, 2))
        assert made.fx_date == date(2026, 3, 2)
        assert [report.name for report in made.reports.all()] == [WINDSTORM]
        [job] = fireant.jobs
        assert (job.payload["as_at_date"], job.payload["fx_date"]) == ("2026-03-02", "2026-03-02")
        assert job.payload["meta"]["modifier_id"] == made.pk
        run = ReportRun.objects.get()
        midnight = datetime(2026, 3, 2, tzinfo=timezone.get_default_timezone())
        assert (run.run_date, run.scheduled_for) == (date(2026, 3, 2), midnight)
        assert "/2026-03-02/" in run.results_path
        assert Job.objects.get().report_modifier == made

    def test_a_date_picks_the_modifier_that_a_person_made(self, fireant: FireantSandbox) -> None:
        before = ReportModifier.objects.count()
        assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-07-05").status == 0
        assert fireant.jobs[0].payload["fx_date"] == "2026-07-03"
        assert ReportModifier.objects.count() == before

    def test_asking_twice_for_one_date_gives_two_runs_and_one_modifier(self) -> None:
        for _ in range(2):
            assert manage("run_report", id_of(WINDSTORM), "--now", "--date", "2026-03-02").status == 0
        assert ReportRun.objects.filter(status=Status.SUCCEEDED).count() == 2
        assert ReportModifier.objects.filter(as_at_date=date(2026, 3, 2)).count() == 1

    def test_wait_follows_what_a_worker_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sleep_is(a_worker_works(), monkeypatch)
        answer = manage("run_report", id_of(WINDSTORM), "--wait")
        assert answer.status == 0
        lines = answer.err.splitlines()
        assert lines[0] == "No qcluster answers yet. Start one with: python manage.py qcluster"
        assert [line.split("): ")[1] for line in lines[1:]] == [
            "queued at report_data",
            "succeeded at results_storage",
        ]
        assert "succeeded" in answer.out

    def test_wait_ends_with_1_where_the_run_failed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sleep_is(a_worker_works(), monkeypatch)
        answer = manage("run_report", id_of("Earthquake Istanbul"), "--wait", "--format", "json")
        assert answer.status == 1
        assert [told["status"] for told in answer.json] == ["failed"]

    def test_a_job_that_takes_its_time_is_waited_for(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
    ) -> None:
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            clock.advance(seconds=seconds)

        with FireantSandbox(SandboxOptions(seconds_running=3600)) as slow:
            change(settings, FIREANT_API_URL=slow.url, MAX_POLL_ATTEMPTS=3)
            sleep_is(nap, monkeypatch)
            answer = manage("run_report", id_of(WINDSTORM), "--now")
        assert answer.status == 1
        assert "Fireant had not finished after 3 polls" in answer.out
        assert "waiting for Fireant at job_completion_status, Fireant says Running" in answer.err
        assert len(naps) == 2
        assert all(0 <= nap <= 1 for nap in naps)


def sleep_is(sleep: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the commands that follow runs do this instead of sleeping."""
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime))


def a_worker_works() -> Callable[[float], None]:
    """Stands in for the command's sleep: meanwhile a cluster's worker does all there is to do."""

    def work(_seconds: float) -> None:
        ports = get_ports()
        until = ports.clock() + timedelta(seconds=30)
        execution.work(None, ports=ports, settings=get_settings(), until=until)

    return work


class TestRunDueReports:
    def test_nothing_due_is_no_failure(self) -> None:
        answer = manage("run_due_reports")
        assert (answer.status, answer.out, answer.err) == (0, "0 runs opened, 0 times skipped.\n", "")
        answer = manage("run_due_reports", "--format", "json")
        assert (answer.status, answer.json, answer.err) == (0, [], "")

    def test_what_is_due_is_opened_once_and_left_to_the_cluster(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1)
        first, second = manage("run_due_reports"), manage("run_due_reports")
        runs = {run.report_name: run for run in ReportRun.objects.all()}
        assert runs.keys() == set(EVERY_MINUTE)
        for run in runs.values():
            assert (run.scheduled_for, run.status) == (clock.now, Status.QUEUED)
            assert run.report in first.out
        assert first.status == second.status == 0
        assert first.out.startswith("2 runs opened, 0 times skipped.\n")
        assert second.out == "0 runs opened, 0 times skipped.\n"

    def test_now_does_all_of_it_here(self, fireant: FireantSandbox, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1, seconds=20)
        answer = manage("run_due_reports", "--now", "--format", "json")
        assert (answer.status, answer.err) == (0, "")
        assert {told["report_id"]: told["status"] for told in answer.json} == {
            id_of(name): "succeeded" for name in EVERY_MINUTE
        }
        assert {told["scheduled_for"] for told in answer.json} == {"2026-07-01T12:01:00+00:00"}
        assert sorted(job.report_name for job in fireant.jobs) == sorted(EVERY_MINUTE)

    def test_a_run_that_fails_ends_with_1(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=1)
        group = EventGroup.objects.get(name="Istanbul, imported twice")
        Report.objects.filter(name=WINDSTORM).update(event_group=group)
        answer = manage("run_due_reports", "--now")
        assert answer.status == 1
        assert answer.out.startswith("2 runs opened, 0 times skipped.\n")
        assert SAYS["mixed_event_types"] in answer.out

    def test_missed_times_are_told(self, clock: FakeClock) -> None:
        manage("discover_reports")
        clock.advance(minutes=30)
        answer = manage("run_due_reports")
        opened = ReportRun.objects.exclude(status=Status.SKIPPED)
        skipped = ReportRun.objects.filter(status=Status.SKIPPED)
        assert answer.status == 0
        assert answer.out.startswith(f"{opened.count()} runs opened, {skipped.count()} times skipped.\n")
        assert ReportRun.objects.filter(report_name=WINDSTORM).count() == 30
        assert skipped.filter(report_name=WINDSTORM).count() >= 28


class TestSyncSchedules:
    def test_the_lines_of_the_approach_are_made_and_told(self) -> None:
        answer = manage("sync_schedules")
        assert (answer.status, answer.err) == (0, "")
        assert answer.out.splitlines()[-1] == "3 lines changed, 0 as they were (approach: sensor)."
        names = {"discovery", "tick", "cron sensor"}
        assert set(Schedule.objects.values_list("name", flat=True)) == {
            f"report orchestrator: {name}" for name in names
        }
        for name in names:
            assert f"report orchestrator: {name}" in answer.out

    def test_a_second_time_nothing_changed(self) -> None:
        manage("sync_schedules")
        before = rows((Schedule,))
        answer = manage("sync_schedules")
        assert answer.out == "Nothing changed, 3 as they were (approach: sensor).\n"
        assert rows((Schedule,)) == before

    def test_a_switch_tells_what_went_and_what_came(self, settings: DjangoSettings) -> None:
        manage("sync_schedules")
        change(settings, SCHEDULING_APPROACH="schedule", SCHEDULE_CRON_EXPRESSION="*/15 * * * *")
        assert manage("sync_schedules", "--format", "json").json == {
            "approach": "schedule",
            "created": ["report orchestrator: schedule"],
            "updated": {},
            "removed": ["report orchestrator: cron sensor"],
            "unchanged": 2,
        }

    def test_what_differed_is_told(self, settings: DjangoSettings) -> None:
        manage("sync_schedules")
        change(settings, CRON_SENSOR_INTERVAL_SECONDS=300)
        answer = manage("sync_schedules")
        [line] = [line for line in answer.out.splitlines() if "cron sensor" in line]
        assert "updated: minutes: 1 -> 5" in line
        assert answer.out.endswith("1 lines changed, 2 as they were (approach: sensor).\n")


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
        "last_discovery",
    )

    def test_a_new_installation_is_told_what_to_do(self) -> None:
        answer = manage("orchestrator_status")
        assert (answer.status, answer.err) == (0, "")
        assert "none: start one with python manage.py qcluster" in answer.out
        assert "never: run python manage.py discover_reports" in answer.out

    def test_json_of_a_new_installation(self) -> None:
        found = manage("orchestrator_status", "--format", "json").json
        assert set(self.KEYS) <= found.keys()
        assert (found["approach"], found["reports"], found["next_due"]) == ("sensor", {}, [])
        assert (found["workers_alive"], found["last_tick"], found["last_discovery"]) == (0, None, None)

    def test_a_broker_that_is_away_leaves_the_workers_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Conf, "ORM", None)
        monkeypatch.setattr(Conf, "REDIS", "redis://127.0.0.1:1/0")
        brokers._ticking_class.cache_clear()
        answer = manage("orchestrator_status", "--format", "json")
        told = manage("orchestrator_status").out
        brokers._ticking_class.cache_clear()
        assert (answer.status, answer.json["workers_alive"]) == (0, None)
        assert "unknown: the broker or the cache does not answer" in told

    def test_reports_and_runs_are_counted(self, clock: FakeClock) -> None:
        manage("discover_reports")
        manage("run_report", id_of(WINDSTORM), "--now")
        manage("run_report", id_of("Earthquake Istanbul"), "--now")
        manage("run_report", id_of(WINDSTORM))
        clock.advance(seconds=90)
        found = manage("orchestrator_status", "--format", "json").json
        assert found["reports"] == {"active": 31, "disabled": 1, "quarantined": 6, "unscheduled": 2}
        assert found["live_runs"] == {"queued": 1}
        assert found["ended_last_day"] == {"failed": 1, "succeeded": 1}
        assert found["most_overdue_seconds"] == 90
        waiting = ReportRun.objects.get(status=Status.QUEUED)
        assert found["oldest_live_run"] == waiting.created_at.isoformat()
        assert found["last_discovery"] == START.isoformat()

    def test_what_is_paused_is_named_with_who_when_and_why(
        self, clock: FakeClock, settings: DjangoSettings
    ) -> None:
        settings.TIME_ZONE = "Europe/Amsterdam"
        manage("discover_reports")
        keys = list(ReportSchedule.objects.order_by("pk").values_list("report_key", flat=True)[:7])
        for key in keys:
            manage("pause_reports", key, "--reason", f"reason of {key}")
            clock.advance(minutes=1)
        found = manage("orchestrator_status", "--format", "json").json
        assert (found["paused"], found["all_paused"]) == (7, False)
        newest = ReportSchedule.objects.get(report_key=keys[6])
        assert found["pauses"][0] == {
            "report": str(newest),
            "since": (START + timedelta(minutes=6)).isoformat(),
            "by": newest.paused_by,
            "reason": f"reason of {keys[6]}",
        }
        assert len(found["pauses"]) == 5
        manage("pause_reports", "--all", "--reason", "the move")
        told = [cells(line) for line in manage("orchestrator_status").out.splitlines()]
        paused = told[told.index(["paused", "since", "by", "why"]) + 1 :][:7]
        assert paused[0] == ["all reports", "2026-07-01 14:07:00 CEST", newest.paused_by, "the move"]
        assert paused[1] == [
            str(newest),
            "2026-07-01 14:06:00 CEST",
            newest.paused_by,
            f"reason of {keys[6]}",
        ]
        assert paused[6] == ["and 2 more", "-", "-", "-"]

    @pytest.mark.parametrize("use_tz", [True, False])
    def test_times_for_people_are_in_the_projects_zone(self, settings: DjangoSettings, use_tz: bool) -> None:
        settings.USE_TZ, settings.TIME_ZONE = use_tz, "America/New_York"
        manage("discover_reports")
        found = manage("orchestrator_status", "--format", "json").json
        told = [cells(line) for line in manage("orchestrator_status").out.splitlines()]
        [entry, *_] = found["next_due"]
        at = datetime.fromisoformat(entry["at"])
        assert at.utcoffset() is not None
        local = f"{at.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M:%S} EDT"
        assert [entry["report"], local] in told
        planned = manage(
            "backfill_reports", id_of(WINDSTORM), "--from", "2026-06-30", "--to", "2026-06-30", "--dry-run"
        )
        assert planned.out.count(" EDT\n") == int(planned.out.splitlines()[-1].split()[0]) > 0
        assert "UTC" not in planned.out

    def test_what_is_due_next_comes_in_order(self) -> None:
        manage("discover_reports")
        due = manage("orchestrator_status", "--format", "json").json["next_due"]
        first = ReportSchedule.objects.filter(next_run_at__isnull=False).order_by("next_run_at")[:5]
        assert [entry["at"] for entry in due] == [
            row.next_run_at.isoformat() for row in first if row.next_run_at
        ]
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
        assert answer.out == f"{run}: queued again, goes on at results_storage\n"
        a_worker_works()(0)
        run.refresh_from_db()
        assert (run.status, len(fireant.jobs)) == (Status.SUCCEEDED, 1)

    def test_a_run_that_cannot_be_retried_is_refused_and_stops_no_other(self) -> None:
        manage("run_report", id_of("Earthquake Istanbul"), id_of(WINDSTORM), "--now")
        failed = ReportRun.objects.get(status=Status.FAILED)
        done = ReportRun.objects.get(status=Status.SUCCEEDED)
        answer = manage("retry_run", done.pk, failed.pk, 4711, "--format", "json")
        assert answer.status == 1
        retried, *refused = answer.json
        assert (retried["run_id"], retried["status"]) == (failed.pk, "queued")
        assert [(told["run_id"], told["status"]) for told in refused] == [
            (done.pk, "refused"),
            (4711, "refused"),
        ]
        assert "nothing to retry" in refused[0]["error"]

    def test_a_queued_run_is_canceled_and_never_done(self, fireant: FireantSandbox) -> None:
        manage("run_report", id_of(WINDSTORM))
        run = ReportRun.objects.get()
        answer = manage("cancel_run", run.pk)
        assert (answer.status, answer.out) == (0, f"{run}: canceled\n")
        a_worker_works()(0)
        assert fireant.jobs == ()
        again = manage("cancel_run", run.pk)
        assert (again.status, again.out) == (1, "")
        assert again.err

    def test_health_is_red_where_nobody_works(self) -> None:
        answer = manage("orchestrator_health", "--format", "json")
        assert answer.status == 1
        assert answer.json["healthy"] is False
        worker = answer.json["findings"][0]
        assert (worker["name"], worker["well"], worker["hint"]) == ("worker", False, "Start qcluster.")
        text = manage("orchestrator_health")
        assert text.status == 1
        assert "RED" in text.out


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a cluster found when it started: its own name, the lines of the schedule table, and whether to run once."""

    name: str | None
    lines: set[str]
    once: bool


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

    def test_the_schedules_are_in_step_before_it_starts(
        self, settings: DjangoSettings, starts: list[Start]
    ) -> None:
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

    def test_the_stock_options_are_obeyed(self, starts: list[Start]) -> None:
        manage("qcluster", "--run-once", "--name", "reports")
        [start] = starts
        assert (start.once, start.name) == (True, "reports")

    def test_a_cluster_that_cannot_be_kept_ends_with_1_and_a_sentence(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run(_cluster: Cluster) -> None:
            raise ClusterLostError("The cluster is lost.")

        monkeypatch.setattr(Cluster, "run", run)
        answer = manage("qcluster")
        assert (answer.status, answer.err) == (1, "The cluster is lost.")

    def test_a_mistake_in_the_settings_is_a_sentence(
        self, settings: DjangoSettings, starts: list[Start]
    ) -> None:
        change(settings, MAX_RETRIES="many")
        try:
            answer = manage("qcluster")
        finally:
            change(settings, MAX_RETRIES=0)
        assert answer.status == 1
        assert answer.err.startswith("MAX_RETRIES cannot be read")
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
