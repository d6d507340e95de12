"""Lists and pages take few queries, and state the limits of a search or count."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client

from report_orchestrator.admin.ui import readonly
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.lists import search as searching
from tests.support.admin_pages import (
    MODELS,
    address,
    listed,
    make_row,
    make_run,
    make_schedule,
    make_step,
    text_of,
    words_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

QUERIES_AT_MOST = 12


class TestAWideSearch:
    @pytest.mark.parametrize("model", [ReportRun, ReportChange])
    def test_what_is_left_out_is_said(
        self, viewer: Client, monkeypatch: pytest.MonkeyPatch, model: type[Model]
    ) -> None:
        monkeypatch.setattr(searching, "REPORTS_AT_MOST", 2)
        rows = [make_row(model) for _ in range(3)]
        reported = "More than 2 reports match. Only the first 2 are searched."

        wide = viewer.get(address(model, "changelist"), {"q": "Report"})
        narrow = viewer.get(address(model, "changelist"), {"q": getattr(rows[2], "schedule").report_key})  # noqa: B009

        assert reported in words_of(wide)
        assert wide.context is not None
        assert set(wide.context["cl"].result_list) == set(rows[:2])
        assert narrow.status_code == HTTPStatus.FOUND
        assert reported not in words_of(viewer.get(narrow.headers["Location"]))


class TestSpeed:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("rows", [1, 50])
    def test_a_list_takes_few_queries_whatever_its_length(
        self, viewer: Client, django_assert_max_num_queries: Any, model: type[Model], rows: int
    ) -> None:
        for _ in range(rows):
            make_row(model)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert len(listed(viewer, model)) == rows

    @pytest.mark.parametrize("rows", [1, 50])
    @pytest.mark.parametrize("query", [{"q": "Report"}, {"status": "stopped", "opened": "week"}])
    def test_neither_search_nor_filters_add_queries_for_each_row(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int, query: dict[str, str]
    ) -> None:
        for _ in range(rows):
            make_run(status=Status.FAILED, created_at=datetime.now(UTC))

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert len(listed(viewer, ReportRun, **query)) == rows

    @pytest.mark.parametrize("rows", [1, 50])
    def test_a_report_page_takes_few_queries_however_many_runs_it_has(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int
    ) -> None:
        schedule = make_schedule()
        for _ in range(rows):
            make_run(schedule)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

    @pytest.mark.parametrize("attempts", [1, 50])
    def test_a_run_page_takes_few_queries_however_many_attempts_it_has(
        self, viewer: Client, django_assert_max_num_queries: Any, attempts: int
    ) -> None:
        run = make_run()
        for attempt in range(attempts):
            make_step(run, attempt=attempt)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(address(ReportRun, "change", run.pk)))

    def test_counting_stops_at_the_cap_and_the_page_says_so(
        self, viewer: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readonly, "COUNTED_AT_MOST", 3)
        schedule = make_schedule()
        for _ in range(4):
            make_run(schedule)

        page_text = words_of(viewer.get(address(ReportRun, "changelist")))

        assert "Only the first 3 runs are listed." in page_text

    def test_a_full_count_is_reported_without_a_warning(self, viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(readonly, "COUNTED_AT_MOST", 3)
        schedule = make_schedule()
        for _ in range(3):
            make_run(schedule)

        page_text = words_of(viewer.get(address(ReportRun, "changelist")))

        assert "3 runs" in page_text
        assert "are listed" not in page_text


class TestValues:
    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])  # a database's error ends a transaction
    @pytest.mark.parametrize("value", ["9" * 30, f"-{'9' * 30}", "x", "\0"])
    @pytest.mark.parametrize("model", MODELS)
    def test_a_value_that_a_column_cannot_hold_is_no_server_error(
        self, viewer: Client, model: type[Model], value: str
    ) -> None:
        make_row(model)
        for field in model._meta.get_fields():
            for lookup in ("", "__exact", "__in", "__gte", "__isnull"):
                response = viewer.get(address(model, "changelist"), {f"{field.name}{lookup}": value})
                assert response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, f"{field.name}{lookup}"
