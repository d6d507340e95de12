"""Modifiers and jobs of foreign hosts: relations to other columns, and tables that refuse rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from report_orchestrator.adapters.host.jobs import HostJobs
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.domain.reports import Modifier
from report_orchestrator.exceptions import ConfigurationError, LedgerError, ReportNotFoundError
from tests.hosts import base, keys, writes
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]

DAY = date(2026, 7, 5)


def modifier_for(report: base.Host, model: str, **fields: str) -> Modifier:
    settings = SettingsFactory.make(
        REPORT_MODEL=report._meta.label, MODIFIER_MODEL=f"hosts.{model}", MODIFIER_FIELDS=fields
    )
    return HostReports(settings).modifier_for(str(report.pk), DAY)


class Jobs:
    """The jobs of one report in a table of the host's."""

    def __init__(self, report: base.Host, model: str, **given: object) -> None:
        label = report._meta.label
        self.jobs = HostJobs(SettingsFactory.make(REPORT_MODEL=label, JOB_MODEL=f"hosts.{model}", **given))
        self.key = str(report.pk)

    def record(self, modifier_key: str = "") -> str:
        return self.jobs.record(report_key=self.key, modifier_key=modifier_key, fireant_job_id="101")

    def end(self, status: str = "Finished", results_url: str = "") -> None:
        self.jobs.note_end(report_key=self.key, fireant_job_id="101", status=status, results_url=results_url)


class TestModifiers:
    def test_the_other_end_of_a_many_to_many_is_named_as_in_queries(self) -> None:
        report = writes.BagReport.objects.create(name="Wind")
        found = modifier_for(report, "Dates", reports="bagreport")
        made = writes.Dates.objects.get()
        assert found == Modifier(id=made.pk, as_at_date=DAY, fx_date=DAY)
        assert list(report.dates.all()) == [made]
        assert modifier_for(report, "Dates", reports="bagreport") == found

    def test_the_name_of_the_attribute_is_refused(self) -> None:
        report = writes.BagReport.objects.create(name="Wind")
        with pytest.raises(ConfigurationError, match="Did you mean 'bagreport'"):
            modifier_for(report, "Dates", reports="bagreport_set")

    def test_a_link_may_refer_to_another_column_of_the_report(self) -> None:
        report, other = (writes.CodeReport.objects.create(name=code, code=code) for code in ("NL", "DE"))
        shared = writes.CodeModifier.objects.create(as_at_date=DAY, fx_date=DAY)
        shared.reports.add(other)
        assert modifier_for(report, "CodeModifier").id == shared.pk
        assert set(shared.reports.all()) == {report, other}
        assert modifier_for(report, "CodeModifier").id == shared.pk

    def test_a_report_without_a_value_in_that_column_is_refused_once(self) -> None:
        with pytest.raises(LedgerError) as refusal:
            modifier_for(writes.CodeReport.objects.create(name="None"), "CodeModifier")
        assert refusal.value.code == "modifier_record"

    def test_a_table_that_refuses_the_row_is_named_with_the_remedy(self) -> None:
        report = base.Report.objects.create(name="Wind")
        with pytest.raises(LedgerError) as refusal:
            modifier_for(report, "NeedyModifier")
        assert refusal.value.code == "modifier_record"
        message = refusal.value.message
        assert message.startswith(f"hosts.NeedyModifier rejected a modifier of 2026-07-05 for report {report.pk}: ")
        assert "owner_id" in message
        assert "Give its other columns defaults, correct MODIFIER_FIELDS" in message

    @pytest.mark.parametrize("key", ["4711", "abc", "9" * 30])
    def test_a_report_that_is_gone_is_told(self, key: str) -> None:
        fields = {"reports": "bagreport"}
        settings = SettingsFactory.make(
            REPORT_MODEL="hosts.BagReport", MODIFIER_MODEL="hosts.Dates", MODIFIER_FIELDS=fields
        )
        with pytest.raises(ReportNotFoundError, match=f"Report {key} does not exist"):
            HostReports(settings).modifier_for(key, DAY)


class TestJobs:
    def test_references_hold_the_columns_that_they_refer_to(self) -> None:
        report = writes.CodeReport.objects.create(name="Wind", code="NL")
        modifier = writes.CodeModifier.objects.create(as_at_date=DAY, fx_date=DAY, number="N-1")
        jobs = Jobs(report, "CodeJob", MODIFIER_MODEL="hosts.CodeModifier")
        keys_of_jobs = {jobs.record(str(modifier.pk)) for _ in range(2)}
        job = writes.CodeJob.objects.get()
        assert keys_of_jobs == {str(job.pk)}
        assert (job.report_id, job.report_modifier_id, job.report) == ("NL", "N-1", report)
        jobs.end()
        job.refresh_from_db()
        assert job.status == "Finished"

    def test_a_report_without_a_value_in_that_column_is_refused(self) -> None:
        report = writes.CodeReport.objects.create(name="Wind")
        with pytest.raises(LedgerError, match=r"hosts\.CodeJob\.report cannot refer to"):
            Jobs(report, "CodeJob").record()

    def test_a_job_of_a_child_model_refers_to_its_parent(self) -> None:
        child = keys.ChildReport.objects.create(name="Wind")
        Jobs(child, "Job").record()
        assert writes.Job.objects.get().report == child.report_ptr

    def test_a_key_may_be_kept_without_a_relation(self) -> None:
        report = base.Report.objects.create(name="Wind")
        assert len({Jobs(report, "KeyJob").record() for _ in range(2)}) == 1
        assert writes.KeyJob.objects.get().report == str(report.pk)

    @pytest.mark.django_db(transaction=True)
    def test_a_report_that_is_gone_from_our_own_database_is_told(self) -> None:
        """There the violation shows only when our own transaction commits."""
        report = base.Report.objects.create(name="Wind")
        jobs = Jobs(report, "Job")
        report.delete()
        with pytest.raises(LedgerError):
            jobs.record()
        assert not writes.Job.objects.exists()

    def test_an_end_is_written_to_the_fields_that_the_host_has(self) -> None:
        report = base.Report.objects.create(name="Wind")
        jobs = Jobs(report, "Job")
        jobs.record()
        before = writes.Job.objects.get()
        url = f"https://fireant.example/{'x' * 200}"
        for _ in range(2):
            jobs.end(results_url=url)
        job = writes.Job.objects.get()
        assert (job.status, job.results_url, job.note) == ("Finished", url[:50], "kept")
        assert job.updated > before.updated

    def test_a_status_that_the_table_refuses_is_logged_and_changes_nothing(self) -> None:
        jobs = Jobs(base.Report.objects.create(name="Wind"), "StrictJob")
        jobs.record()
        with pytest.raises(LedgerError) as refusal:
            jobs.end()
        assert refusal.value.message.startswith("hosts.StrictJob rejected the end of a job: ")
        assert writes.StrictJob.objects.get().status == "done"

    @pytest.mark.parametrize(
        ("fields", "left"),
        [
            ({"status": ""}, {"status": "", "results_url": "https://x.example"}),
            ({"results_url": ""}, {"status": "Finished"}),
        ],
    )
    def test_an_optional_field_is_left_out_with_an_empty_name(
        self, fields: dict[str, str], left: Mapping[str, Any]
    ) -> None:
        jobs = Jobs(base.Report.objects.create(name="Wind"), "Job", JOB_FIELDS=fields)
        jobs.record()
        jobs.end(results_url="https://x.example")
        assert writes.Job.objects.filter(**left).exists()

    def test_a_table_without_the_time_of_creation_cannot_be_compared(self) -> None:
        jobs = Jobs(base.Report.objects.create(name="Wind"), "Job").jobs
        with pytest.raises(
            ConfigurationError, match=r"Job has no field 'created' for 'created'\..* Correct JOB_FIELDS"
        ):
            list(jobs.recorded(datetime.now(UTC)))
