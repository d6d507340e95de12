"""Every filtered list is a file: for whom the list is, streamed, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.db.models import Model
from django.test import AsyncClient, Client
from django.urls import reverse

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.services.lists import columns
from report_orchestrator.services.lists.exports import CHUNK, csv_chunks
from tests.support.admin_pages import MODELS, NOW, address, make_change, make_row, make_run, make_schedule, text_of
from tests.support.dashboard import SignIn

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

QUERIES_AT_MOST = 12


def address_of(model: type[Model], form: str = "csv") -> str:
    return reverse(f"admin:report_orchestrator_{model._meta.model_name}_export", args=[form])


def read_csv(response: Any) -> list[dict[str, str]]:
    assert response.status_code == HTTPStatus.OK
    text = response.getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


class TestRuns:
    def test_a_row_says_what_the_page_says(self, viewer: Client) -> None:
        run = make_run(
            make_schedule(report_key="19", name="Flood"),
            status=Status.FAILED,
            error_code="fireant_503",
            error="Fireant responded with 503.",
            fireant_job_id="861164",
            scheduled_for=NOW,
        )

        [row] = read_csv(viewer.get(address_of(ReportRun)))

        assert list(row) == list(columns.RUNS.columns)
        assert (
            row
            | {
                "run_id": str(run.pk),
                "report_key": "19",
                "report": "Flood",
                "status": "failed",
                "scheduled_for": "2026-07-01T12:00:00+00:00",
                "run_date": "2026-07-01",
                "duration_s": "90.0",
                "cause": "Fireant 503",
                "advice": "The report is fine. Retry the run once the service has recovered.",
                "error": "Fireant responded with 503.",
                "fireant_job_id": "861164",
            }
            == row
        )

    def test_the_filters_and_the_search_hold(self, viewer: Client) -> None:
        failed = make_run(make_schedule(name="Flood"), status=Status.FAILED)
        make_run(failed.schedule)
        make_run(status=Status.FAILED)

        rows = json.loads(viewer.get(address_of(ReportRun, "json"), {"status": "failed", "q": "flood"}).getvalue())

        assert [row["run_id"] for row in rows] == [failed.pk]

    def test_the_page_links_to_the_file_of_its_filters(self, viewer: Client) -> None:
        for status in (Status.FAILED, Status.FAILED, Status.SUCCEEDED):
            make_run(status=status)

        page = text_of(viewer.get(address(ReportRun, "changelist"), {"status": "failed"}))

        assert f'<a href="{address_of(ReportRun)}?status=failed">Download as CSV (2 rows)</a>' in page

    def test_an_error_before_the_end_has_no_advice(self, viewer: Client) -> None:
        make_run(status=Status.UP_FOR_RETRY, error_code="fireant_503")

        [row] = read_csv(viewer.get(address_of(ReportRun)))

        assert (row["cause"], row["advice"]) == ("Fireant 503", "")

    def test_causes_are_in_the_readers_language(self, viewer: Client, settings: Any) -> None:
        settings.LANGUAGE_CODE = "de"
        make_run(status=Status.FAILED, error_code="payload_missing")

        [row] = read_csv(viewer.get(address_of(ReportRun)))

        assert row["advice"] == "Starten Sie einen neuen Lauf des Berichts."


class TestEveryList:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("rows", [1, CHUNK + 1])
    def test_it_takes_few_queries_whatever_its_length(
        self, viewer: Client, django_assert_max_num_queries: Any, model: type[Model], rows: int
    ) -> None:
        schedule = make_schedule()
        for _ in range(rows - (model is ReportSchedule)):
            {ReportRun: make_run, ReportChange: make_change}.get(model, lambda _schedule: make_schedule())(schedule)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert len(read_csv(viewer.get(address_of(model)))) == rows

    @pytest.mark.parametrize("model", MODELS)
    def test_json_has_the_same_rows_with_plain_values(self, viewer: Client, model: type[Model]) -> None:
        assert json.loads(viewer.get(address_of(model, "json")).getvalue()) == []
        make_row(model)

        [row] = json.loads(viewer.get(address_of(model, "json")).getvalue())

        assert list(row) == list(next(table for table in TABLES if table.model is model).columns)

    @pytest.mark.parametrize("model", MODELS)
    def test_it_needs_the_view_permission(self, sign_in: SignIn, client: Client, model: type[Model]) -> None:
        assert client.get(address_of(model)).status_code == HTTPStatus.FOUND
        others = [f"view_{other._meta.model_name}" for other in MODELS if other is not model]
        assert sign_in(*others).get(address_of(model)).status_code == HTTPStatus.FORBIDDEN

    def test_an_unknown_form_and_a_wrong_filter_are_refused(self, viewer: Client) -> None:
        assert viewer.get(address_of(ReportRun, "xlsx")).status_code == HTTPStatus.NOT_FOUND
        assert viewer.get(address_of(ReportRun), {"trigger__exact__x": "1"}).status_code == HTTPStatus.BAD_REQUEST

    def test_it_is_a_file_with_a_name(self, viewer: Client) -> None:
        headers = viewer.get(address_of(ReportRun)).headers

        assert headers["Content-Disposition"].startswith('attachment; filename="runs-20')
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Type"] == "text/csv; charset=utf-8"

    def test_it_is_streamed_under_asgi(self, viewer: Client, async_client: AsyncClient) -> None:
        make_run()
        async_client.cookies = viewer.cookies

        async def received() -> bytes:
            response: Any = await async_client.get(address_of(ReportRun))
            assert response.is_async
            return b"".join([chunk async for chunk in response.streaming_content])

        assert async_to_sync(received)().count(b"\r\n") == 2


TABLES = (columns.RUNS, columns.REPORTS, columns.CHANGES)


class TestFormulas:
    @pytest.mark.parametrize(
        "name",
        ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", '=HYPERLINK("x","y")'],  # noqa: RUF001
    )
    def test_no_text_is_one(self, viewer: Client, name: str) -> None:
        make_run(make_schedule(name=name))

        [row] = read_csv(viewer.get(address_of(ReportRun)))

        assert row["report"] == f"'{name}"

    def test_other_texts_and_numbers_stay(self, viewer: Client) -> None:
        make_schedule(name='Flood, "North": 1=1', priority=-5)

        [row] = read_csv(viewer.get(address_of(ReportSchedule)))

        assert (row["report"], row["priority"]) == ('Flood, "North": 1=1', "-5")


def test_memory_does_not_grow_with_the_rows() -> None:
    if connection.vendor == "mysql":
        pytest.skip("the drivers of MySQL and MariaDB hold the rows of a query")
    schedule = make_schedule()

    def add(count: int) -> None:
        ReportRun.objects.bulk_create(
            ReportRun(
                schedule=schedule,
                report_key="19",
                report_name="Flood",
                trigger="manual",
                scheduled_for=NOW + timedelta(seconds=number),
                run_date=NOW.date(),
                status=Status.FAILED.value,
                error="x" * 500,
                created_at=NOW,
                ended_at=NOW,
            )
            for number in range(count)
        )

    def most() -> int:
        tracemalloc.start()
        try:
            size = sum(map(len, csv_chunks(columns.RUNS, ReportRun.objects.order_by("-pk"), columns.error_texts())))
            assert size > 500 * ReportRun.objects.count()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    add(2 * CHUNK)
    few = most()
    add(18 * CHUNK)

    assert most() < 1.5 * few
