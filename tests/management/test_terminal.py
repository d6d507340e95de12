"""A report's name cannot steer the terminal of the person who runs a command, or forge its lines."""

from __future__ import annotations

import contextlib
import os
import pkgutil
import re
import subprocess
import sys
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class

from report_orchestrator.management import commands
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.wiring import get_runtime
from tests.host.api import models as host
from tests.support.commands import ROOT

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "reports"])

NAME = "M\x1b[31mRED\x1b[0m\x1b]0;owned\x07\r\nFAKE LINE\u202e\u200b"

STYLE = re.compile(r"\x1b\[(?:[013]?m|32m|\?25[lh]|2K|1A)|\r")
"""The styles of a table's head, and the doctor's moving sign, on a terminal."""


class Terminal(StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("command", [("explain_cron", "* * * * *"), ("explain_cron", "* * * * *", "--format", "json")])
def test_a_reader_that_has_enough_ends_a_command_without_a_traceback(command: tuple[str, ...], tmp_path: Path) -> None:
    databases = {name: f"sqlite:///{tmp_path / name}" for name in ("DATABASE_URL", "REPORTS_DATABASE_URL")}
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=os.environ | databases,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert process.returncode != 0
    assert process.stderr == ""


COMMANDS: dict[str, tuple[str, ...]] = {
    "backfill_reports": ("{key}", "--from", "2026-06-01", "--to", "2026-06-01", "--dry-run"),
    "cancel_run": ("{run}", "--reason", NAME),
    "discover_reports": (),
    "explain_cron": (f"0 6 * * {NAME}",),
    "list_changes": (),
    "list_reports": (),
    "list_runs": (),
    "orchestrator_doctor": (),
    "orchestrator_health": (),
    "orchestrator_status": (),
    "pause_reports": ("{key}", "--reason", NAME),
    "resume_reports": ("{key}", "--reason", NAME),
    "retry_run": ("{run}", "--reason", NAME),
    "run_due_reports": (),
    "run_report": ("{key}", "--reason", NAME),
    "shadow_report": ("--folder", "/no/such/folder"),
    "switch_reports": ("live", "{key}", "--reason", NAME),
    "sync_schedules": (),
    "verify_results": ("{run}",),
}


def hostile_run() -> tuple[host.Report, ReportRun]:
    """Return a report with such a name, one whose cron and zone are such, and a failed run with such texts."""
    ring = host.RingEvent.objects.create(name=NAME, latitude=51.5, longitude=0, radius=1)
    group = host.EventGroup.objects.create(name=NAME)
    group.events.add(ring)
    report = host.Report.objects.create(name=NAME, peril="WS", cron="0 6 * * *", event_group=group)
    host.Report.objects.create(name=NAME, peril="WS", cron=f"{NAME[:40]} * * * *", event_group=group)
    call_command("discover_reports", stdout=StringIO(), stderr=StringIO())
    schedule = ReportSchedule.objects.get(report_key=str(report.pk))
    run = open_manual_run(schedule, run_date=None, requested_by=NAME, runtime=get_runtime(), reason=NAME)
    run.write(
        status="failed",
        wake_at=None,
        error=NAME,
        error_code="unexpected",
        fireant_status=NAME[:50],
        ended_at=get_runtime().clock(),
    )
    return report, run


def written_by(command: str, *arguments: str) -> str:
    """Run a command as `manage.py` does, its errors included."""
    with contextlib.suppress(SystemExit):
        load_command_class("report_orchestrator", command).run_from_argv(
            ["manage.py", command, *arguments, "--no-color"]
        )
    return "".join(stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, StringIO))


def test_all_commands_are_tried() -> None:
    assert set(COMMANDS) == {
        module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if isinstance(load_command_class("report_orchestrator", module.name), OrchestratorCommand)
    }


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("output", "form"), [(StringIO, "text"), (Terminal, "text"), (StringIO, "json")])
def test_no_control_or_format_character_leaves_a_command(
    command: str, output: type[StringIO], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, run = hostile_run()
    monkeypatch.setattr(sys, "stdout", output())
    monkeypatch.setattr(sys, "stderr", output())
    arguments = [part.format(key=report.pk, run=run.pk) for part in COMMANDS[command]]
    written = written_by(command, *arguments, "--format", form)
    assert written
    ours = STYLE.sub("", written) if output is Terminal else written
    assert {letter for letter in ours if unicodedata.category(letter) in {"Cc", "Cf"}} - {"\n", "\t"} == set()
    assert "\x1b[31m" not in written
    assert not [line for line in written.splitlines() if line.startswith("FAKE LINE")]


@pytest.mark.parametrize("command", ["list_changes", "list_reports", "list_runs"])
def test_no_control_or_format_character_is_in_a_list_for_spreadsheets(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile_run()
    monkeypatch.setattr(sys, "stdout", Terminal())
    written = written_by(command, "--format", "csv")
    assert {letter for letter in written if unicodedata.category(letter) in {"Cc", "Cf"}} - {"\n", "\r"} == set()
