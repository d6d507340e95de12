"""The list of changes, and their pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from report_orchestrator.models import ReportChange, ReportSchedule
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from tests.support.admin_pages import NOW, address, listed, make_change, make_schedule, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestChanges:
    def test_a_change_reads_as_a_difference(self, viewer: Client) -> None:
        change = make_change(
            before={"cron": "0 6 * * *", "state": "active", "priority": 0, "timezone": "UTC"},
            after={"cron": "", "state": "unscheduled", "priority": 10, "timezone": "UTC"},
        )

        in_list = words_of(viewer.get(address(ReportChange, "changelist")))
        on_page = words_of(viewer.get(address(ReportChange, "change", change.pk)))

        assert "cron: 0 6 * * * → empty ; state: active → no cron: manual runs only ; priority: 0 → 10" in in_list
        assert "time zone" not in in_list
        assert "Field Before After cron 0 6 * * * empty" in on_page

    def test_a_removal_noticed_by_a_signal_is_called_a_deletion(self, viewer: Client) -> None:
        removed = make_change(kind=ChangeKind.REMOVED, source=ChangeSource.SIGNAL, after={})
        saved = make_change(source=ChangeSource.SIGNAL)

        def source_of(change: ReportChange) -> bool:
            pages = [address(ReportChange, "change", change.pk), address(ReportSchedule, "change", change.schedule_id)]
            return all("deletion in the project" in words_of(viewer.get(page)) for page in pages)

        assert (source_of(removed), source_of(saved)) == (True, False)
        assert words_of(viewer.get(address(ReportChange, "changelist"))).count("deletion in the project") == 1

    def test_a_new_report_has_nothing_before(self, viewer: Client) -> None:
        make_change(kind=ChangeKind.NEW, before={}, after={"name": "Flood", "of_a_later_version": [1]})

        page_text = words_of(viewer.get(address(ReportChange, "changelist")))

        assert "name: — → Flood ; of_a_later_version: — → [1]" in page_text

    def test_the_changes_of_one_report_are_not_hidden_below_other_reports_problems(self, viewer: Client) -> None:
        change = make_change()
        make_schedule(name="Ill", state="quarantined", problem="Correct the cron.")
        page = address(ReportChange, "changelist")

        assert "Quarantined: invalid definitions" in words_of(viewer.get(page))
        assert "Quarantined: invalid definitions" not in words_of(viewer.get(page, {"report": str(change.schedule_id)}))

    def test_newest_changes_stand_first(self, viewer: Client) -> None:
        older, newer = make_change(), make_change(noticed_at=NOW + timedelta(hours=1))

        assert [newer, older] == listed(viewer, ReportChange)

    def test_search_and_filters_find(self, viewer: Client) -> None:
        wanted = make_change(make_schedule(name="Windstorm", report_key="w-42-w"), kind=ChangeKind.RENAMED)
        make_change(source=ChangeSource.SIGNAL)

        for query in ({"q": "wind"}, {"q": "w-42-w"}, {"kind__exact": "renamed"}, {"source__exact": "discovery"}):
            assert [wanted] == listed(viewer, ReportChange, **query)

    def test_changes_of_late_filter(self, viewer: Client) -> None:
        make_change()
        lately = make_change(noticed_at=datetime.now(UTC) - timedelta(hours=3))

        assert [lately] == listed(viewer, ReportChange, noticed="day")
        assert [] == listed(viewer, ReportChange, noticed="hour")
