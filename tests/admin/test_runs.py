"""The list of runs, and the texts of a run's page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape
from pytest_django import Settings as DjangoSettings

from report_orchestrator.admin.runs.run_narrative import CREATED, CURRENT, NEXT
from report_orchestrator.admin.ui.format import RESULT_SIGNS, STATE_SIGNS, STATUS_SIGNS
from report_orchestrator.domain.runs import Status, Step, StepResult, Trigger
from report_orchestrator.models import ReportRun, RunPayload, ScheduleState
from tests.support.admin_pages import NOW, address, listed, make_run, make_schedule, make_step, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestRuns:
    def test_newest_runs_stand_first(self, viewer: Client) -> None:
        runs = [make_run() for _ in range(3)]

        assert list(reversed(runs)) == listed(viewer, ReportRun)

    def test_the_runs_of_one_report_stand_by_the_time_that_they_are_for(self, viewer: Client) -> None:
        schedule = make_schedule()
        newer = make_run(schedule, scheduled_for=NOW)
        older = make_run(schedule, scheduled_for=NOW - timedelta(days=7), trigger=Trigger.BACKFILL.value)

        assert [newer, older] == listed(viewer, ReportRun, report=str(schedule.pk))

    @pytest.mark.parametrize("status", Status)
    def test_every_status_has_a_sign_a_word_and_a_narrative(self, viewer: Client, status: Status) -> None:
        run = make_run(status=status)

        row = text_of(viewer.get(address(ReportRun, "changelist")))
        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert f'aria-hidden="true">{STATUS_SIGNS[status].glyph}</span>&nbsp;{run.get_status_display()}' in row
        assert "Next step:" in page_text
        assert "{" not in page_text

    def test_no_value_lacks_its_sign_or_its_sentence(self) -> None:
        assert set(STATUS_SIGNS) == set(CURRENT) == set(NEXT) == set(Status)
        assert set(RESULT_SIGNS) == set(StepResult)
        assert set(STATE_SIGNS) == set(ScheduleState)
        assert set(CREATED) == set(Trigger)

    def test_a_waiting_run_says_when_fireant_is_asked_again(self, viewer: Client, settings: DjangoSettings) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        run = make_run(status=Status.DEFERRED, wake_at=NOW + timedelta(minutes=5), polls=7)

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "Fireant is polled again at 2026-07-01 21:05:00 JST ." in page_text
        assert "Fireant was polled 7 times." in page_text
        assert "Advice: Nothing to do." in page_text

    def test_a_failed_run_says_what_a_person_can_do(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED, error="The report has {no} events. Add one.", failures=1)

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "Advice: As recorded: The report has {no} events. Add one." in page_text
        assert "Nothing, until someone takes action." in page_text
        assert "This step failed once." in page_text

    def test_a_run_to_be_tried_again_shows_its_last_error_and_asks_for_nothing(self, viewer: Client) -> None:
        run = make_run(status=Status.UP_FOR_RETRY, error="Fireant responded with {503}.", crashes=2)

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "Nothing to do: the run continues automatically. As recorded: Fireant responded with {503}." in page_text
        assert "2 workers were lost at this step." in page_text

    def test_a_run_that_may_have_been_sent_twice_says_where_to_look(self, viewer: Client) -> None:
        run = make_run(possibly_submitted_twice=True)

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert f"Search Fireant for reference {run.client_reference}." in page_text
        assert "Possibly submitted twice: yes: check Fireant" in page_text

    def test_a_page_shows_where_the_result_is_and_how_large(self, viewer: Client) -> None:
        run = make_run(results_path="report_results/42/r.json", result_size=5_368_709_121, result_sha256="ab" * 32)

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "report_results/42/r.json" in page_text
        assert "5.0 GiB (5,368,709,121 bytes)" in page_text
        assert "ab" * 32 in page_text

    def test_a_small_size_is_told_once(self, viewer: Client) -> None:
        run = make_run(results_path="r.json", result_size=127)
        assert words_of(viewer.get(address(ReportRun, "change", run.pk))).count("127 bytes") == 1

    def test_the_payload_is_folded_and_readable(self, viewer: Client) -> None:
        run = make_run()
        RunPayload.objects.create(run=run, body={"geos": [{"name": "Überflutung"}]})

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))

        folded = page[page.index("<summary>Show the payload</summary>") :]
        assert escape('"geos": [\n    {\n      "name": "Überflutung"\n') in folded[: folded.index("</details>")]

    def test_a_run_without_payload_or_steps_has_a_page(self, viewer: Client) -> None:
        not_started, old = make_run(status=Status.QUEUED, started_at=None), make_run()

        assert "No step has started." in words_of(viewer.get(address(ReportRun, "change", not_started.pk)))
        assert "No attempts are kept for this run." in words_of(viewer.get(address(ReportRun, "change", old.pk)))

    def test_a_run_that_never_began_tells_no_duration(self, viewer: Client) -> None:
        run = make_run(status=Status.SKIPPED, started_at=None, error="Nobody was there at its time.")

        page_text = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "; no job was submitted. Next step" in page_text
        assert "Duration: —" in page_text
        assert "Advice: As recorded: Nobody was there at its time." in page_text

    def test_a_retried_run_tells_its_time_since_the_retry_and_its_first_try(self, viewer: Client) -> None:
        times: dict[str, Any] = {"started_at": NOW, "idle": timedelta(hours=9)}
        ended = make_run(**times, ended_at=NOW + timedelta(hours=9, seconds=23))
        waiting = make_run(**times, status=Status.QUEUED)

        told = words_of(viewer.get(address(ReportRun, "change", ended.pk)))
        still = words_of(viewer.get(address(ReportRun, "change", waiting.pk)))

        zone = timezone.get_default_timezone()
        retried, first = (f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" for at in (NOW + timedelta(hours=9), NOW))
        assert f"Duration: 23.0 s since it was retried at {retried} . First tried at {first} ." in told
        assert re.search(r"Created \S+ \S+ \S+ \S+ ago, retried \S+ \S+ \S+ \S+ ago\.", still)

    def test_the_timeline_tells_each_attempt(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED)
        make_step(
            run,
            result=StepResult.RETRIED.value,
            error="No answer.",
            traceback='Traceback (most recent call last):\n  File "x.py"',
        )
        make_step(run, attempt=2, metadata={"fireant_job_id": "77"}, ended_at=NOW + timedelta(minutes=2))

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))
        steps = page[page.index("ro-attempts-heading") :]
        steps = steps[: steps.index("</section>")]

        assert steps.index("failed, retried") < steps.index("completed")
        assert "<details><summary>Traceback</summary><pre" in steps
        assert escape('  File "x.py"') in steps
        assert escape('"fireant_job_id": "77"') in steps
        assert "2.0 s" in steps
        assert "2 min 0 s" in steps

    def test_an_attempt_lost_with_its_worker_does_not_seem_to_go_on(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED)
        make_step(run, result=StepResult.LOST.value, ended_at=None)

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "<td>—</td>" in page[page.index("worker lost") :]

    def test_search_finds_by_number_reference_job_name_and_key(self, viewer: Client) -> None:
        wanted = make_run(make_schedule(name="Wind storm", report_key="abc-1"), fireant_job_id="990077")
        make_run(make_schedule(name="Flood", report_key="abc"), fireant_job_id="99007")

        terms = [wanted.pk, wanted.reference, wanted.client_reference, "990077", "STORM wind", "abc-1"]
        for term in map(str, terms):
            assert [wanted] == listed(viewer, ReportRun, q=term), term

    @pytest.mark.parametrize("term", ["9" * 40, "9" * 200, "%", "²", "' OR 1=1 --", "nothing of the kind"])
    def test_a_search_for_anything_else_finds_nothing(self, viewer: Client, term: str) -> None:
        make_run()

        assert [] == listed(viewer, ReportRun, q=term)

    def test_statuses_filter_alone_and_in_groups(self, viewer: Client) -> None:
        queued, failed, timed_out, _succeeded = (
            make_run(status=status) for status in (Status.QUEUED, Status.FAILED, Status.TIMED_OUT, Status.SUCCEEDED)
        )

        assert [failed] == listed(viewer, ReportRun, status="failed")
        assert [timed_out, failed] == listed(viewer, ReportRun, status="stopped")
        assert [queued] == listed(viewer, ReportRun, status="unfinished")
        assert [] == listed(viewer, ReportRun, status="no such status")

    def test_triggers_steps_and_times_filter(self, viewer: Client) -> None:
        make_run()
        by_hand = make_run(trigger=Trigger.MANUAL.value)
        storing = make_run(step="results_storage", status=Status.FAILED)
        make_run(step="results_storage", status=Status.SUCCEEDED)
        lately = make_run(created_at=datetime.now(UTC) - timedelta(hours=3))

        assert [by_hand] == listed(viewer, ReportRun, trigger__exact="manual")
        assert [storing] == listed(viewer, ReportRun, step="results_storage")
        assert [lately] == listed(viewer, ReportRun, opened="day")
        assert [] == listed(viewer, ReportRun, opened="hour")

    @pytest.mark.parametrize("report", ["", "x", "-1", "9" * 30, "999"])
    def test_a_report_that_is_none_has_no_runs(self, viewer: Client, report: str) -> None:
        make_run()

        assert [] == listed(viewer, ReportRun, report=report)


class TestResults:
    def test_stored_results_stand_newest_first_with_their_size_rows_and_place(self, viewer: Client) -> None:
        older = make_run(
            status=Status.SUCCEEDED, results_path="lake/1/a.json", result_size=2048, created_at=NOW - timedelta(days=1)
        )
        newer = make_run(status=Status.SUCCEEDED, results_path="lake/1/b.json", result_size=1024)
        make_step(newer, step=Step.RESULTS_STORAGE.value, metadata={"rows": 12345})
        make_run(status=Status.FAILED, results_path="lake/1/c.json")
        make_run(status=Status.QUEUED)

        assert [newer, older] == listed(viewer, ReportRun, result="stored")
        page = words_of(viewer.get(address(ReportRun, "changelist"), {"result": "stored"}))

        for text in ("lake/1/a.json", "lake/1/b.json", "(1,024 bytes)", "(2,048 bytes)", "12,345", "2026-07-01"):
            assert text in page
        assert "lake/1/c.json" not in page

    def test_a_page_of_results_costs_no_query_for_each(self, viewer: Client) -> None:
        for _ in range(3):
            make_run(status=Status.SUCCEEDED, results_path="lake/1/a.json", result_size=2048)
        target = address(ReportRun, "changelist")
        with CaptureQueriesContext(connection) as few:
            viewer.get(target, {"result": "stored"})
        for _ in range(10):
            make_run(status=Status.SUCCEEDED, results_path="lake/1/a.json", result_size=2048)
        with CaptureQueriesContext(connection) as many:
            viewer.get(target, {"result": "stored"})
        assert len(few) == len(many)
