"""Reads of the host that replace writes in shadow: the jobs of another system, and modifiers that are not created."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from report_orchestrator.adapters.host.jobs import HostJobs, NoJobs
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.domain.reports import Modifier
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import RecordedJob
from tests.host.api import models as api
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

DAY = date(2026, 7, 5)


class TestRecordedJobs:
    """Rows of the host's jobs, of this app and of other systems."""

    def test_rows_are_read_with_their_dates_in_the_order_of_their_creation(self) -> None:
        group = api.EventGroup.objects.create(name="Florida")
        report = api.Report.objects.create(name="Wind", peril="WS", event_group=group)
        modifier = api.ReportModifier.objects.create(as_at_date=DAY, fx_date=DAY)
        for number, linked in ((8, modifier), (7, None)):
            api.Job.objects.create(report=report, report_modifier=linked, fireant_jobid=number)
        rows = dict(api.Job.objects.values_list("fireant_jobid", "created"))
        jobs = HostJobs(
            SettingsFactory.make(JOB_MODEL="api.Job", MODIFIER_MODEL="api.ReportModifier", REPORT_MODEL="api.Report")
        )
        key = str(report.pk)
        assert list(jobs.recorded(rows[8] - timedelta(seconds=1))) == [
            RecordedJob(report_key=key, fireant_job_id="8", created_at=rows[8], as_at_date=DAY, fx_date=DAY),
            RecordedJob(report_key=key, fireant_job_id="7", created_at=rows[7]),
        ]
        assert [job.fireant_job_id for job in jobs.recorded(rows[8])] == ["7"]

    def test_a_host_without_jobs_is_told_the_setting(self) -> None:
        with pytest.raises(ConfigurationError, match="JOB_MODEL is not set"):
            NoJobs().recorded(datetime.now(UTC))


class TestPreviewedModifiers:
    def test_a_missing_modifier_is_previewed_and_not_created(self) -> None:
        report = api.Report.objects.create(name="Wind", peril="WS")
        reports = HostReports(SettingsFactory.make(REPORT_MODEL="api.Report", MODIFIER_MODEL="api.ReportModifier"))
        key = str(report.pk)
        assert reports.modifier_for(key, DAY, create=False) == Modifier(id=None, as_at_date=DAY, fx_date=DAY)
        assert not api.ReportModifier.objects.exists()
        shared = api.ReportModifier.objects.create(as_at_date=DAY, fx_date=date(2026, 7, 4))
        known = Modifier(id=shared.pk, as_at_date=DAY, fx_date=date(2026, 7, 4))
        assert reports.modifier_for(key, DAY, create=False) == known
        assert not shared.reports.exists()
        assert reports.modifier_for(key, DAY) == known
        assert reports.modifier_for(key, DAY, create=False) == known
