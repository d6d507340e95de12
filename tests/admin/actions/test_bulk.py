"""An action on many rows stops at its limits of time and number, records each row, and names the rows it skipped."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connections, router
from django.test import Client
from django.urls import reverse

from report_orchestrator.admin.actions import bulk, confirm, rows
from report_orchestrator.admin.runs import run_buttons
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import Intervention, ReportRun
from tests.support.admin_actions import REASON, confirmation, everything, fresh, row_for, url_of
from tests.support.admin_pages import make_run, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestManyRuns:
    def test_a_selection_says_what_happens_to_how_many_and_what_is_left_alone(self, boss: Client) -> None:
        failed = [row_for("retry") for _ in range(12)]
        succeeded = make_run()
        chosen = {"action": "retry_selected", "_selected_action": [run.pk for run in [*failed, succeeded]]}
        before = everything()

        response = boss.post(reverse("admin:report_orchestrator_reportrun_changelist"), chosen)

        page_text = words_of(response)
        assert "Retry 12 runs?" in page_text
        assert "and 2 more" in page_text
        assert "1 : The run is “succeeded”. Only runs that failed or timed out can be retried." in page_text
        assert everything() == before

        form = re.search(r'name="rows" value="([^"]*)"', text_of(response))
        assert form is not None
        boss.post(url_of("retry"), {"rows": form[1], "reason": REASON})
        assert ReportRun.objects.filter(status=Status.QUEUED).count() == 12
        assert Intervention.objects.count() == LogEntry.objects.count() == 12

    def test_all_rows_of_a_list_are_taken_up_to_the_bound(self, boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confirm, "AT_MOST", 3)
        runs = [row_for("cancel") for _ in range(5)]
        chosen = {"action": "cancel_selected", "_selected_action": [runs[0].pk], "select_across": "1"}

        page_text = words_of(boss.post(reverse("admin:report_orchestrator_reportrun_changelist"), chosen))

        assert "Only the first 3 are included. Repeat it for the others." in page_text
        assert "Cancel 3 runs?" in page_text

    def test_what_the_time_did_not_suffice_for_is_confirmed_again(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "SECONDS", 0.0)
        monkeypatch.setattr(bulk, "BATCH", 2)
        runs = [row_for("cancel") for _ in range(5)]

        response = boss.post(url_of("cancel"), confirmation("cancel", *runs))

        page_text = words_of(response)
        assert "Runs canceled: 1." in page_text
        assert "4 are still to do. Confirm again to continue." in page_text
        assert "Cancel 4 runs?" in page_text
        assert REASON in text_of(response)
        assert ReportRun.objects.filter(status=Status.CANCELED).count() == 1

    def test_what_was_done_and_what_was_left_meet_without_a_gap(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "SECONDS", 0.0)
        monkeypatch.setattr(bulk, "BATCH", 2)
        runs = [row_for("cancel") for _ in range(3)]
        form = confirmation("cancel", *reversed(runs))

        for _ in range(2):
            question = boss.post(url_of("cancel"), form)
            match = re.search(r'name="rows" value="([^"]*)"', text_of(question))
            assert match is not None
            form["rows"] = match[1]
        boss.post(url_of("cancel"), form)

        assert [fresh(run).status for run in runs] == 3 * [Status.CANCELED]
        assert LogEntry.objects.count() == 3

    @pytest.mark.parametrize(
        ("error", "done"), [(OperationalError("database is locked"), 4), (RuntimeError("no idea"), 3)]
    )
    def test_what_was_done_is_recorded_whatever_happens_to_the_next_one(
        self, boss: Client, error: Exception, done: int
    ) -> None:
        runs = [row_for("retry") for _ in range(5)]
        boss.raise_request_exception = False

        def refusing(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("UPDATE") and runs[3].pk in params:
                raise error
            return execute(sql, params, many, context)

        with connections[router.db_for_write(ReportRun)].execute_wrapper(refusing):
            response = boss.post(url_of("retry"), confirmation("retry", *runs))

        assert ReportRun.objects.filter(status=Status.QUEUED).count() == done
        assert LogEntry.objects.count() == Intervention.objects.count() == done
        if isinstance(error, OperationalError):
            page_text = words_of(boss.get(response.headers["Location"]))
            assert "Runs retried: 4." in page_text
            assert "1 skipped: The database rejected the change (OperationalError). Nothing was changed." in page_text

    def test_refusals_that_name_their_runs_are_reported_together(self, boss: Client) -> None:
        runs = [row_for("retry") for _ in range(12)]
        form = confirmation("retry", *runs)
        ReportRun.objects.update(version=7)

        page_text = words_of(boss.post(url_of("retry"), form, follow=True))

        assert page_text.count("skipped:") == 1
        assert "12 skipped: The run has changed since you opened this page." in page_text

    def test_refusals_of_more_kinds_than_are_named_are_counted(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rows, "NAMED", 1)
        ended = [make_run(status=status) for status in (Status.SUCCEEDED, Status.CANCELED, Status.SKIPPED)]

        page_text = words_of(boss.post(url_of("cancel"), confirmation("cancel", *ended), follow=True))

        assert "1 skipped: The run has already ended: “succeeded”." in page_text
        assert "2 others were skipped." in page_text

    def test_all_runs_of_one_cause_are_taken_up_to_the_bound_and_then_the_rest(
        self, boss: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (confirm, run_buttons):
            monkeypatch.setattr(module, "AT_MOST", 3)
        runs = [row_for("retry") for _ in range(5)]

        question = boss.get(url_of("retry") + "?error_code=storage&step=results_storage&next=/admin/")
        back = re.search(r'name="back" value="([^"]*)"', text_of(question))
        assert back is not None
        assert "Only the first 3 are included. Repeat it for the others." in words_of(question)
        assert "Retry 3 runs?" in words_of(question)

        form = confirmation("retry", *runs[:3], back=unescape(back[1]))
        rest = boss.post(url_of("retry"), form, follow=True)
        assert "Runs retried: 3." in words_of(rest)
        assert "Retry 2 runs?" in words_of(rest)
        assert 'name="back" value="/admin/"' in text_of(rest)

    @pytest.mark.parametrize("runs", [1, 200])
    def test_a_confirmation_takes_few_queries_however_many_it_is_about(
        self, boss: Client, django_assert_max_num_queries: Any, runs: int
    ) -> None:
        for _ in range(runs):
            row_for("retry")
        address = url_of("retry") + "?error_code=storage&step=results_storage"

        with django_assert_max_num_queries(12):
            assert boss.get(address).status_code == HTTPStatus.OK

    def test_all_runs_of_one_cause_are_retried_together(self, boss: Client) -> None:
        alike = [row_for("retry") for _ in range(2)]
        make_run(status=Status.FAILED, step=Step.RESULTS_STORAGE.value, error_code="other")
        make_run(status=Status.FAILED, step=Step.REPORT_DATA.value, error_code="storage")
        long_ago = row_for("retry")
        ReportRun.objects.exclude(pk=long_ago.pk).filter(ended_at__isnull=False).update(ended_at=datetime.now(UTC))

        page = text_of(boss.get(url_of("retry") + "?error_code=storage&step=results_storage&ended=day"))

        assert "Retry 2 runs?" in page
        assert f'name="rows" value="{",".join(f"{run.pk}:0" for run in alike)}"' in page
