"""The timeline: each bar leads to its run, each due time to its report, within the reader's rights."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from report_orchestrator.admin.ui.expected import describe_end
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring import timeline
from report_orchestrator.services.reports.expected_end import ExpectedEnd
from tests.support.admin_pages import HOSTILE, address, make_run, make_schedule, make_step, page_of, text_of, words_of
from tests.support.dashboard import SignIn, dashboard_address

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
TIMELINE = "/admin/report_orchestrator/reportschedule/timeline/"


def chart(viewer: Client, **query: str) -> str:
    page = text_of(viewer.get(TIMELINE, query))
    found = re.search(r'<svg class="ro-chart" role="group".*?</svg>', page, re.DOTALL)
    assert found is not None
    return found[0]


def names(viewer: Client, **query: str) -> list[str]:
    page = text_of(viewer.get(TIMELINE, query))
    return re.findall(r"<li><a href=\"[^\"]*\"><bdi>(.*?)</bdi>", page)


def long_run(schedule: ReportSchedule | None = None, **given: Any) -> ReportRun:
    begun = NOW - 5 * HOUR
    times = {"scheduled_for": begun, "created_at": begun, "started_at": begun + HOUR, "ended_at": NOW - HOUR}
    return make_run(schedule, **times | given)


def test_the_address_is_reversible() -> None:
    assert reverse("admin:report_orchestrator_reportschedule_timeline") == TIMELINE


def test_a_bar_leads_to_its_run_and_a_due_time_to_its_report(viewer: Client) -> None:
    run = long_run(make_schedule(next_run_at=NOW + HOUR))

    drawn = chart(viewer)

    assert f'href="{page_of(run)}"' in drawn
    assert f'href="{address(ReportSchedule, "change", run.schedule_id)}"' in drawn
    assert 'class="ro-due-mark"' in drawn
    assert 'class="ro-now"' in drawn


def test_waiting_is_drawn_apart_from_working(viewer: Client) -> None:
    run = long_run()
    assert len(re.findall(r'fill="url\(#ro-hatch\)"', chart(viewer))) == 1  # the wait for a worker
    make_step(run, step="report_data", started_at=NOW - 4 * HOUR, ended_at=NOW - 3 * HOUR)
    make_step(run, step="job_completion_status", started_at=NOW - 3 * HOUR, ended_at=NOW - HOUR)

    drawn = chart(viewer)

    assert "succeeded. report data: attempt 1: completed" in drawn
    assert len(re.findall(r'fill="url\(#ro-hatch\)"', drawn)) == 2
    assert len(re.findall(r'class="ro-piece ', drawn)) == 1


def test_a_bar_keeps_to_the_hours_that_are_shown(viewer: Client) -> None:
    long_run(created_at=NOW - 99 * HOUR, started_at=NOW - 98 * HOUR)

    drawn = chart(viewer)

    lefts = [float(left) for left in re.findall(r'<rect[^>]* x="(-?[\d.]+)%"', drawn)]
    assert lefts == [0.0]


def test_filters_choose_the_reports(viewer: Client) -> None:
    make_schedule(name="Flood")
    make_schedule(name="Storm", state="disabled")
    make_schedule(name="Gone", state="removed", next_run_at=None)
    long_run(make_schedule(name="Quake"), status=Status.FAILED)

    assert names(viewer) == ["Flood", "Quake", "Storm"]
    assert names(viewer, q="flo") == ["Flood"]
    assert names(viewer, state="removed") == ["Gone"]
    assert names(viewer, condition="failing") == ["Quake"]
    assert names(viewer, q="flo", state="disabled") == []


def test_more_reports_are_on_further_pages(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report_orchestrator.admin.timeline.timeline_page.MAX_REPORTS", 2)
    for name in "ABC":
        make_schedule(name=name)

    assert names(viewer) == ["A", "B"]
    assert names(viewer, page="2") == ["C"]
    assert 'href="?page=2"' in text_of(viewer.get(TIMELINE))


def test_hours_zoom(viewer: Client) -> None:
    long_run(ended_at=NOW - 4 * HOUR)

    assert page_count(viewer) == 1
    assert page_count(viewer, hours="3") == 0
    assert page_count(viewer, hours="none") == 1


def page_count(viewer: Client, **query: str) -> int:
    return len(re.findall("<rect ", chart(viewer, **query))) and 1


def test_what_is_left_out_is_said(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_RUNS", 1)
    report = make_schedule()
    for hours in (2, 3):
        long_run(report, scheduled_for=NOW - hours * HOUR)

    assert "are not drawn" in words_of(viewer.get(TIMELINE))


def test_the_table_says_the_same(viewer: Client) -> None:
    run = long_run(make_schedule(name="Flood"), status=Status.FAILED)

    page = text_of(viewer.get(TIMELINE))

    assert re.search(
        r'<th scope="row"><a href="[^"]*"><bdi>Flood</bdi></a></th><td><a href="[^"]*due=[^"]*">1</a>', page
    )
    assert f'<td><a href="{page_of(run)}">' in page


def test_a_search_that_no_database_can_hold_is_refused(sign_in: SignIn) -> None:
    assert sign_in("view_reportschedule").get(TIMELINE, {"q": "a\x00"}).status_code == HTTPStatus.BAD_REQUEST


def test_a_reader_without_runs_sees_due_times_only(sign_in: SignIn) -> None:
    run = long_run(make_schedule(next_run_at=NOW + HOUR))
    drawn = chart(sign_in("view_reportschedule"))

    assert page_of(run) not in drawn
    assert "<rect" not in drawn
    assert "ro-due-mark" in drawn


def test_strangers_are_refused(sign_in: SignIn) -> None:
    assert sign_in("view_reportrun").get(TIMELINE).status_code == HTTPStatus.FORBIDDEN


def test_names_are_escaped(viewer: Client) -> None:
    long_run(make_schedule(name=HOSTILE))

    assert "<script>alert" not in text_of(viewer.get(TIMELINE))


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "99"}, {"state": "x"}, {"condition": "x"}, {"q": "x" * 999}])
def test_wrong_addresses_show_the_page(viewer: Client, query: dict[str, str]) -> None:
    assert viewer.get(TIMELINE, query).status_code == HTTPStatus.OK


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_it_takes_few_queries(viewer: Client, django_assert_max_num_queries: Any, rows: int) -> None:
    for _ in range(rows):
        make_step(long_run(make_schedule(next_run_at=NOW + HOUR)))
        make_run(status=Status.DEFERRED, scheduled_for=NOW, started_at=NOW)

    with django_assert_max_num_queries(12):
        text_of(viewer.get(TIMELINE, {"condition": "failing", "q": "report"}))
    with django_assert_max_num_queries(12):
        text_of(viewer.get(TIMELINE))


def test_dashboard_and_list_lead_to_it(viewer: Client) -> None:
    for page in (dashboard_address(), address(ReportSchedule, "changelist")):
        assert f'href="{TIMELINE}"' in text_of(viewer.get(page))


class TestExpectedEnds:
    def test_the_timeline_lists_the_longest_under_way(self, viewer: Client) -> None:
        report = make_schedule(name="Flood")
        make_run(report, scheduled_for=NOW - 9 * HOUR, started_at=NOW - 9 * HOUR, ended_at=NOW - 9 * HOUR + MINUTE)
        make_run(report, status=Status.DEFERRED, scheduled_for=NOW - HOUR, started_at=NOW - HOUR)

        words = words_of(viewer.get(TIMELINE))

        assert "Longest in progress" in words
        assert "(Flood) report data 1 h" in words
        assert "! more than twice as long as usual 1 min 0 s overdue since" in words

    def test_the_dashboard_leads_from_runs_in_progress_to_their_ends(self, viewer: Client) -> None:
        link = f'href="{TIMELINE}#ro-in-progress"'
        assert link not in text_of(viewer.get(dashboard_address()))

        make_run(status=Status.DEFERRED, scheduled_for=NOW - MINUTE, started_at=NOW - MINUTE)

        assert link in text_of(viewer.get(dashboard_address()))
        assert 'id="ro-in-progress"' in text_of(viewer.get(TIMELINE))

    def test_an_end_that_is_certain_to_the_minute_is_told_once(self) -> None:
        def told(latest: timedelta) -> str:
            end = ExpectedEnd(so_far=MINUTE, typical=2 * MINUTE, at=NOW + MINUTE, at_latest=NOW + latest)
            return describe_end(end, NOW)

        assert "9 of 10" in told(2 * MINUTE)
        assert told(MINUTE) == told(2 * MINUTE).split(",")[0]

    def test_a_run_page_tells_its_end(self, viewer: Client) -> None:
        report = make_schedule()
        make_run(report, scheduled_for=NOW - 9 * HOUR, started_at=NOW - 9 * HOUR, ended_at=NOW - 7 * HOUR)
        run = make_run(report, status=Status.DEFERRED, step="job_completion_status", started_at=NOW, scheduled_for=NOW)
        make_step(run, metadata={"progress": 0.42})

        words = words_of(viewer.get(page_of(run)))

        assert "Expected end: about" in words
        assert "Fireant: 42 % done." in words

    def test_a_queued_runs_page_tells_its_place(self, viewer: Client) -> None:
        words = words_of(viewer.get(page_of(make_run(status=Status.QUEUED, started_at=None))))

        assert "Place in line: 1. When it starts is unknown" in words


def test_reports_sorted_by_next_run_have_paused_ones_last(viewer: Client) -> None:
    paused = make_schedule(paused_at=NOW, next_run_at=None)
    due = make_schedule(next_run_at=NOW + HOUR)

    response = viewer.get(address(ReportSchedule, "changelist"), {"o": "6"})

    assert [row.pk for row in response.context["cl"].result_list] == [due.pk, paused.pk]
