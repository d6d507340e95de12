"""Jobs are recorded in the host once, with their report and modifier."""

from __future__ import annotations

from datetime import date

import pytest

from report_orchestrator.adapters.host.jobs import HostJobs, NoJobs
from report_orchestrator.exceptions import LedgerError
from tests.host.api import models as host
from tests.support.host_rows import jobs_of, make_report
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

DAY = date(2026, 7, 5)


class TestJobs:
    def record(self, report: host.Report, jobs: HostJobs | None = None, **given: str) -> str:
        fields = {"modifier_key": "", "fireant_job_id": "101", **given}
        return (jobs or jobs_of()).record(report_key=str(report.pk), **fields)

    def test_a_job_is_written_with_its_report_and_its_modifier(self) -> None:
        report = make_report()
        modifier = host.ReportModifier.objects.create(as_at_date=DAY)
        key = self.record(report, modifier_key=str(modifier.pk))
        job = host.Job.objects.get()
        assert (key, job.report, job.report_modifier, job.fireant_jobid) == (str(job.pk), report, modifier, 101)

    def test_a_job_is_written_once_however_often(self) -> None:
        report = make_report()
        keys = {self.record(report) for _ in range(3)}
        assert keys == {str(host.Job.objects.get().pk)}

    def test_jobs_of_other_reports_and_other_ids_are_apart(self) -> None:
        one, two = make_report("One"), make_report("Two")
        keys = {self.record(one), self.record(two), self.record(one, fireant_job_id="102")}
        assert len(keys) == host.Job.objects.count() == 3

    def test_a_job_without_a_modifier_is_written_without_one(self) -> None:
        self.record(make_report())
        assert host.Job.objects.get().report_modifier is None

    @pytest.mark.parametrize("job_id", ["job-000101", "", "1.5", str(10**30)])
    def test_an_id_that_the_hosts_field_cannot_hold_is_an_error_that_names_the_field(self, job_id: str) -> None:
        with pytest.raises(LedgerError) as refusal:
            self.record(make_report(), fireant_job_id=job_id)
        assert f"api.Job.fireant_jobid cannot store the Fireant job ID '{job_id}'" in refusal.value.message
        assert "JOB_FIELDS" in refusal.value.message
        assert not host.Job.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    @pytest.mark.parametrize("gone", ["modifier", "report"])
    def test_a_job_whose_report_or_modifier_was_deleted_meanwhile_cannot_be_taken(self, gone: str) -> None:
        report = make_report()
        modifier = host.ReportModifier.objects.create(as_at_date=DAY)
        key, modifier_key = str(report.pk), str(modifier.pk)
        (modifier if gone == "modifier" else report).delete()
        with pytest.raises(LedgerError):
            jobs_of().record(report_key=key, modifier_key=modifier_key, fireant_job_id="101")

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_racing_workers_write_one_row_between_them(self) -> None:
        report = make_report()
        found = at_once(*[lambda: self.record(report)] * 6)
        assert found == [str(host.Job.objects.get().pk)] * 6

    def test_an_end_changes_nothing_where_the_host_keeps_no_ends(self) -> None:
        report = make_report()
        self.record(report)
        before = host.Job.objects.values().get()
        jobs_of().note_end(report_key=str(report.pk), fireant_job_id="101", status="Finished", results_url="https://x")
        assert host.Job.objects.values().get() == before

    def test_a_host_without_jobs_keeps_none(self) -> None:
        jobs = NoJobs()
        assert jobs.record(report_key="1", modifier_key="", fireant_job_id="101") == ""
        jobs.note_end(report_key="1", fireant_job_id="101", status="Finished", results_url="")
        assert not host.Job.objects.exists()
