"""Every bar, day and tick of a chart leads to its rows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from report_orchestrator.admin.ui.charts import Bar, Part, Tick, bars, sparkline
from report_orchestrator.admin.ui.links import interval
from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring.forecast import due_between
from tests.support.admin_pages import address, listed, make_run, make_schedule, make_step, page_of
from tests.support.dashboard import dashboard_address

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(second=0, microsecond=0)


def local_day(at: datetime) -> date:
    return timezone.localtime(at).date()


def links(response: Any, chart: str) -> list[str]:
    """The addresses to which the marks of a chart lead."""
    page = response.content.decode()
    svg = re.search(rf"<svg[^>]*{chart}.*?</svg>", page, re.DOTALL)
    assert svg is not None, chart
    return [link.replace("&amp;", "&") for link in re.findall(r'<a class="ro-to" href="([^"]+)"', svg[0])]


def test_a_bar_that_leads_somewhere_is_a_link_for_pointers_and_keeps_its_title() -> None:
    chart = bars(
        [Bar(parts=[Part(look="good", value=1)], title="one", address="/runs/")],
        name="x",
        title="t",
        description="d",
        scale="",
    )

    assert '<a class="ro-to" href="/runs/" tabindex="-1" aria-hidden="true"><title>one</title>' in chart
    assert 'role="group"' in chart


def test_a_tick_leads_to_its_run() -> None:
    assert '<a class="ro-to" href="/1/"' in sparkline([Tick("bad", title="then", address="/1/")], title="one")


@pytest.mark.django_db
class TestEachChart:
    def test_an_hour_of_the_dashboard_leads_to_its_runs(self, viewer: Client) -> None:
        run = make_run(scheduled_for=NOW, status=Status.SUCCEEDED, ended_at=NOW)
        make_run(scheduled_for=NOW, trigger="manual", status=Status.SUCCEEDED, ended_at=NOW)
        make_run(scheduled_for=NOW - 2 * HOUR, status=Status.SUCCEEDED, ended_at=NOW)

        hour = links(viewer.get(dashboard_address()), "ro-day")[-1]

        assert [shown.pk for shown in viewer.get(hour).context["cl"].result_list] == [run.pk]

    def test_an_hour_ahead_leads_to_the_reports_due_in_it(self, viewer: Client) -> None:
        make_schedule(cron="0 * * * *", next_run_at=NOW + 5 * HOUR)
        due = make_schedule(cron="0 * * * *", next_run_at=NOW + 2 * HOUR)

        hour = links(viewer.get(dashboard_address()), "ro-ahead")[0]

        assert [shown.pk for shown in viewer.get(hour).context["cl"].result_list] == [due.pk]

    def test_a_duration_a_day_and_a_tick_lead_to_the_run(self, viewer: Client) -> None:
        ended: dict[str, Any] = {"started_at": NOW, "ended_at": NOW}
        run = make_run(scheduled_for=NOW, run_date=local_day(NOW), **ended)
        before = NOW - timedelta(days=3)
        make_run(run.schedule, scheduled_for=before, run_date=local_day(before), status=Status.FAILED, **ended)
        page = viewer.get(address(ReportSchedule, "change", run.schedule_id))

        assert links(page, "ro-durations")[-1] == page_of(run)
        day = links(page, "ro-calendar")[-1]
        assert [shown.pk for shown in viewer.get(day).context["cl"].result_list] == [run.pk]
        assert page_of(run) in links(viewer.get(address(ReportSchedule, "changelist")), "ro-spark")

    def test_a_step_leads_to_its_attempt(self, viewer: Client) -> None:
        run = make_run(started_at=NOW)
        attempt = make_step(run, started_at=NOW)
        page = viewer.get(page_of(run))

        (target,) = links(page, "ro-track")

        assert target == f"#attempt-{attempt.pk}"
        assert f'id="{target[1:]}"' in page.content.decode()

    def test_keyboards_reach_the_same_runs_by_the_table(self, viewer: Client) -> None:
        make_run(scheduled_for=NOW, status=Status.SUCCEEDED, ended_at=NOW)
        page = viewer.get(dashboard_address())

        query = parse_qs(urlsplit(links(page, "ro-day")[-1]).query)

        assert query["due"][0].replace("/", "%2F").replace(":", "%3A") in re.findall(
            r'<th scope="row"><a href="[^"]*due=([^"&]+)"', page.content.decode()
        )


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["", "2026", "2026-01-01T00:00Z", "a/b", "9999-99-99T00:00Z/9999-99-99T00:00Z"])
def test_an_interval_that_is_none_is_left_out(viewer: Client, wrong: str) -> None:
    make_run()

    response = viewer.get(address(ReportRun, "changelist"), {"due": wrong})

    assert response.status_code in {200, 302}


@pytest.mark.django_db
class TestReportsDue:
    def between(self, start: datetime, end: datetime) -> set[str]:
        rows = due_between(ReportSchedule.objects.all(), start, end, now=NOW, settings=get_settings())
        return set(rows.values_list("name", flat=True))

    def test_are_found_by_a_later_time_of_their_cron(self) -> None:
        later = NOW + 3 * HOUR
        make_schedule(name="hourly", cron=f"{NOW.minute} * * * *", timezone="UTC", next_run_at=NOW + HOUR)
        make_schedule(
            name="daily", cron=f"{NOW.minute} {(NOW + HOUR).hour} * * *", timezone="UTC", next_run_at=NOW + HOUR
        )
        make_schedule(name="next", cron="1 1 1 1 *", next_run_at=later)

        assert self.between(later, later + timedelta(minutes=1)) == {"hourly", "next"}

    def test_are_due_now_if_they_are_late(self) -> None:
        make_schedule(name="late", cron="1 1 1 1 *", next_run_at=NOW - HOUR)

        assert self.between(NOW, NOW + HOUR) == {"late"}
        assert self.between(NOW + HOUR, NOW + 2 * HOUR) == set()

    def test_are_listed_under_their_interval(self, viewer: Client) -> None:
        due = make_schedule(next_run_at=NOW + HOUR)
        make_schedule(next_run_at=NOW + 30 * HOUR)

        assert listed(viewer, ReportSchedule, due=interval(NOW, NOW + 3 * HOUR)) == [due]
