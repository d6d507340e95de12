"""A search finds what people have in hand, and opens the only match."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import EarlierJob, ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.testing import FakePorts
from tests.support.admin_pages import address, listed, make_change, make_run, make_schedule, make_step, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

REFERENCE = uuid.UUID("0f8e7a52-6d0c-4b0e-9a53-3f6c1c2f6b58")


@pytest.fixture
def run() -> ReportRun:
    """A run among others."""
    for number in range(3):
        make_run(fireant_job_id=f"90{number}", reference=uuid.UUID(int=number))
    return make_run(make_schedule(report_key="19", name="Flood Europe"), fireant_job_id="861164", reference=REFERENCE)


class TestRuns:
    @pytest.mark.parametrize(
        "term",
        [
            "0f8e7a",
            "0f8e7a52",
            "0F8E7A52-6d",
            "0f8e7a526d0c4b",
            str(REFERENCE),
            f"{REFERENCE}-2",
            "861164",
            "job 861164",
            "Job #861164",
            "report 19",
            "flood europe",
        ],
    )
    def test_it_is_found_by(self, viewer: Client, run: ReportRun, term: str) -> None:
        assert listed(viewer, ReportRun, q=term) == [run]

    @pytest.mark.parametrize("term", ["0f8e7", "0f8e-7a52", "job 861", "run 861164", "job 0f8e7a52", "report 20"])
    def test_it_is_not_found_by(self, viewer: Client, run: ReportRun, term: str) -> None:
        assert listed(viewer, ReportRun, q=term) == []

    def test_a_number_with_its_kind_is_that_run_alone(self, viewer: Client, run: ReportRun) -> None:
        other = make_run(fireant_job_id=str(run.pk))

        assert listed(viewer, ReportRun, q=f"run {run.pk}") == [run]
        assert listed(viewer, ReportRun, q=f"job {run.pk}") == [other]
        assert {run, other} <= set(listed(viewer, ReportRun, q=str(run.pk)))

    def test_the_kind_may_be_in_the_readers_language(self, viewer: Client, run: ReportRun, settings: Any) -> None:
        settings.LANGUAGE_CODE = "de"

        assert listed(viewer, ReportRun, q=f"Lauf {run.pk}") == [run]
        assert listed(viewer, ReportRun, q="Bericht 19") == [run]

    def test_it_is_found_by_the_job_of_an_earlier_submission(
        self, viewer: Client, run: ReportRun, fakes: FakePorts
    ) -> None:
        failed = make_run(
            status=Status.FAILED,
            step=Step.JOB_COMPLETION_STATUS.value,
            error_code="fireant_job_failed",
            fireant_job_id="459056",
        )

        retry_run(failed.pk, actor="ada", runtime=fakes.runtime())

        assert ReportRun.objects.get(pk=failed.pk).fireant_job_id == ""
        assert listed(viewer, ReportRun, q="459056") == [failed]

    def test_a_retry_that_keeps_the_job_notes_none(self, fakes: FakePorts) -> None:
        failed = make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, fireant_job_id="459056")

        retry_run(failed.pk, actor="ada", runtime=fakes.runtime())

        assert not EarlierJob.objects.exists()

    def test_the_migration_takes_earlier_jobs_from_the_attempts(self) -> None:
        run = make_run(submission=2, fireant_job_id="2")
        for number in (1, 2):
            details = {"fireant_job_id": str(number), "client_reference": f"{run.reference}-{number}"}
            make_step(run, step=Step.EXTERNAL_JOB_SUBMISSION.value, attempt=number, metadata=details)
        make_step(make_run(fireant_job_id="3"), step=Step.EXTERNAL_JOB_SUBMISSION.value, metadata={})
        migration = import_module("report_orchestrator.migrations.0015_fill_earlier_jobs")

        migration.fill(apps, SimpleNamespace(connection=connection))

        assert list(EarlierJob.objects.values_list("run", "submission", "fireant_job_id")) == [(run.pk, 1, "1")]


class TestOtherLists:
    @pytest.mark.parametrize("term", ["19", "report 19", "Report #19", "flood", "Europe flood"])
    def test_a_report_is_found_by(self, viewer: Client, run: ReportRun, term: str) -> None:
        assert listed(viewer, ReportSchedule, q=term) == [run.schedule]

    def test_a_report_of_that_name_is_found_if_none_has_the_key(self, viewer: Client) -> None:
        named = make_schedule(name="Report 4711")

        assert listed(viewer, ReportSchedule, q="report 4711") == [named]

    def test_changes_are_found_by_their_report(self, viewer: Client, run: ReportRun) -> None:
        make_change()
        change = make_change(run.schedule)

        assert listed(viewer, ReportChange, q="report 19") == [change]

    def test_matches_keep_the_order_of_the_list(self, viewer: Client) -> None:
        later, earlier = make_schedule(name="Wind B"), make_schedule(name="Wind A")

        assert listed(viewer, ReportSchedule, q="wind") == [earlier, later]


class TestALoneMatch:
    def test_it_opens_and_says_so(self, viewer: Client, run: ReportRun) -> None:
        response = viewer.get(address(ReportRun, "changelist"), {"q": "861164"}, follow=True)

        assert response.redirect_chain == [(address(ReportRun, "change", run.pk), HTTPStatus.FOUND)]
        assert "The only match for “861164”." in words_of(response)

    @pytest.mark.parametrize("query", [{"status": "succeeded"}, {"q": "861164", "status": "succeeded"}, {"q": ""}])
    def test_a_filter_opens_nothing(self, viewer: Client, run: ReportRun, query: dict[str, str]) -> None:
        ReportRun.objects.exclude(pk=run.pk).delete()

        assert viewer.get(address(ReportRun, "changelist"), query).status_code == HTTPStatus.OK
