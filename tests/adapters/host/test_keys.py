"""Primary keys of every kind are found again by their text, and those that cannot be are refused with a reason."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings as DjangoSettings

from report_orchestrator import wiring
from report_orchestrator.adapters.host.keys import Keys
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.models import ReportSchedule, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.changed import refresh
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.testing import FakePorts, make_runtime
from tests.hosts import base, keys

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]

HUGE = "999999999999999999999999999999"


@pytest.fixture
def runtime_of(settings: DjangoSettings) -> Callable[[str], Runtime]:
    """Return the runtime of a project with this report model."""

    def make(report: str) -> Runtime:
        setattr(settings, SETTING, {"REPORT_MODEL": report})
        return make_runtime(wiring.get_ports(), get_settings())

    return make


def output_of(command: str, *args: str) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


class TestConversion:
    @pytest.mark.parametrize("key", ["K 7", "a/b", "Ä", "A", " ", ".", "-1", "y" * 250])
    def test_a_key_that_form_validators_refuse_is_a_key(self, key: str) -> None:
        assert Keys(model=keys.SlugReport).value(key) == key
        assert Keys(model=keys.SlugReport).problem(key) == ""

    @pytest.mark.parametrize("model", [base.Report, keys.ChildReport])
    @pytest.mark.parametrize("text", [HUGE, f"-{HUGE}", "abc", "1.5", "", "None"])
    def test_a_text_that_no_number_can_have_is_none(self, model: type[base.Host], text: str) -> None:
        assert Keys(model=model).value(text) is None

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    def test_a_text_that_no_database_takes_is_none(self, text: str) -> None:
        assert Keys(model=keys.SlugReport).value(text) is None

    def test_a_uuid_is_found_by_its_text_and_by_nothing_else(self) -> None:
        key = uuid.UUID(int=7)
        assert Keys(model=keys.UuidReport).value(str(key)) == key
        assert Keys(model=keys.UuidReport).value("7-7") is None

    def test_a_key_without_a_text_is_reported(self) -> None:
        problem = Keys(model=keys.BytesReport).problem(b"\x89P")
        assert problem.startswith("The key \"b'\\\\x89P'\" of the BinaryField hosts.BytesReport.id cannot be converted")


class TestDiscovery:
    def test_a_report_with_a_key_that_forms_refuse_runs_and_is_never_retired(
        self, runtime_of: Callable[[str], Runtime], fakes: FakePorts
    ) -> None:
        runtime = runtime_of("hosts.SlugReport")
        keys.SlugReport.objects.create(code="K 7", name="Wind", cron="0 6 * * *", event_group=base.make_group())
        assert discover(runtime=runtime).states == {"active": 1}
        refresh(["K 7"], runtime=runtime)
        assert ReportSchedule.objects.get().state == ScheduleState.ACTIVE
        assert discover(runtime=runtime).changes == []
        with_fakes = make_runtime(replace(fakes.ports, reports=runtime.reports))
        run = open_manual_run(ReportSchedule.objects.get(), run_date=None, requested_by="test", runtime=with_fakes)
        advance(run.pk, runtime=with_fakes)
        run.refresh_from_db()
        assert (run.status, run.report_key, run.error) == ("succeeded", "K 7", "")

    def test_a_child_models_key_is_its_parents(self, runtime_of: Callable[[str], Runtime]) -> None:
        runtime = runtime_of("hosts.ChildReport")
        child = keys.ChildReport.objects.create(name="Wind", cron="0 6 * * *", event_group=base.make_group())
        assert discover(runtime=runtime).states == {"active": 1}
        assert runtime.reports.load(str(child.pk)).id == child.pk
        assert list(runtime.reports.summaries([HUGE])) == []

    def test_a_key_that_cannot_be_read_back_is_refused_with_a_reason_and_gets_no_row(
        self, runtime_of: Callable[[str], Runtime]
    ) -> None:
        if connection.vendor == "mysql":
            pytest.skip("MySQL has no keys of bytes")
        runtime_of("hosts.BytesReport")
        keys.BytesReport.objects.create(id=b"\x89P", name="Wind", cron="0 6 * * *")
        found = json.loads(output_of("discover_reports", "--format", "json"))
        assert found["states"] == {"refused": 1}
        [refused] = found["quarantined"]
        assert refused["code"] == "unusable_key"
        assert "BinaryField hosts.BytesReport.id cannot be converted" in refused["problem"]
        assert not ReportSchedule.objects.exists()

    def test_an_empty_key_is_refused_and_the_other_reports_are_known(
        self, runtime_of: Callable[[str], Runtime]
    ) -> None:
        runtime_of("hosts.SlugReport")
        for code in ("", "w"):
            keys.SlugReport.objects.create(code=code, name="Wind", cron="0 6 * * *", event_group=base.make_group())
        found = json.loads(output_of("discover_reports", "--format", "json"))
        assert found["states"] == {"active": 1, "refused": 1}
        assert found["quarantined"][0]["problem"].startswith("The key is empty")
        assert ReportSchedule.objects.get().report_key == "w"
        assert "does not exist" in failing_output_of("run_report", "", "--format", "json")

    def test_a_key_that_is_too_long_is_named_by_the_commands(self, runtime_of: Callable[[str], Runtime]) -> None:
        runtime_of("hosts.SlugReport")
        keys.SlugReport.objects.create(code="y" * 250, name="Wind", event_group=base.make_group())
        text = output_of("discover_reports")
        assert "(Wind)" in text
        assert "The key is too long: it has 250 characters, and at most 200 are possible." in text
        assert "1 refused" in text
        [line] = json.loads(failing_output_of("run_report", "y" * 250, "--format", "json"))
        assert line["error"].startswith("The key is too long: it has 250 characters")

    @pytest.mark.parametrize("report", ["hosts.Report", "hosts.ChildReport", "hosts.UuidReport", "hosts.SlugReport"])
    @pytest.mark.parametrize("command", ["run_report", "pause_reports", "resume_reports", "backfill_reports"])
    def test_a_number_beyond_the_databases_range_is_no_report(
        self, runtime_of: Callable[[str], Runtime], report: str, command: str
    ) -> None:
        runtime_of(report)
        dates = ["--from", "2026-07-01", "--to", "2026-07-01"] if command == "backfill_reports" else []
        assert HUGE in failing_output_of(command, HUGE, *dates, "--reason", "tests")


def failing_output_of(command: str, *args: str) -> str:
    """Return the output and the message of a command that must fail."""
    out: Any = StringIO()
    with pytest.raises((CommandError, SystemExit)) as failure:
        call_command(command, *args, stdout=out, stderr=out)
    return f"{out.getvalue()}{failure.value if isinstance(failure.value, CommandError) else ''}"
