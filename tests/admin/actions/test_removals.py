"""Removals on hold are accepted as they were shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState, SharedState, StateName
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.admin_actions import REASON, hold_removals, url_of
from tests.support.admin_pages import make_schedule, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestRemovals:
    @pytest.fixture
    def digest(self, boss: Client, outside: FakePorts) -> str:
        hold_removals(outside)
        return str(SharedState.objects.get(name=StateName.DISCOVERY).detail["held_digest"])

    def test_the_list_of_changes_says_what_is_held_and_what_cannot_run(self, boss: Client, digest: str) -> None:
        make_schedule(state=ScheduleState.QUARANTINED, name="Broken", problem="Correct the cron.")

        page_text = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))

        assert "Removal of 6 reports is on hold" in page_text
        assert "(Broken) Correct the cron." in page_text

    def test_accepted_removals_retire_the_reports(self, boss: Client, digest: str) -> None:
        page_text = words_of(boss.get(url_of("removals")))
        assert "report 5 (" in page_text
        assert "Mark 6 reports as removed?" in page_text

        done = words_of(boss.post(url_of("removals"), {"rows": digest, "reason": REASON}, follow=True))

        assert ReportSchedule.objects.filter(state=ScheduleState.REMOVED).count() == 6
        assert LogEntry.objects.count() == 6
        assert "6 reports marked as removed. Their history stays." in done
        assert "No removals are held." in words_of(boss.get(url_of("removals")))

    def test_exactly_the_accepted_removals_are_logged(self, boss: Client, outside: FakePorts, digest: str) -> None:
        missing = set(ReportSchedule.objects.values_list("pk", flat=True))
        removed_later = make_schedule(
            report_model="old.Report", state=ScheduleState.REMOVED, changed_at=outside.clock.now + timedelta(hours=1)
        )

        boss.post(url_of("removals"), {"rows": digest, "reason": REASON})

        logged = {int(entry.object_id or 0) for entry in LogEntry.objects.all()}
        assert logged == missing
        assert removed_later.pk not in logged

    @pytest.mark.parametrize("seen", ["", "something else"])
    def test_others_than_those_that_were_seen_are_not_removed(self, boss: Client, digest: str, seen: str) -> None:
        page_text = words_of(boss.post(url_of("removals"), {"rows": seen, "reason": REASON}, follow=True))

        assert "The reports have changed since you opened this page. Nothing was changed." in page_text
        assert not ReportSchedule.objects.filter(state=ScheduleState.REMOVED)

    @pytest.mark.parametrize("back", [1, 3, 6])
    def test_removals_are_not_accepted_when_reports_came_back_meanwhile(
        self, boss: Client, outside: FakePorts, digest: str, back: int
    ) -> None:
        for number in range(back):
            outside.reports.add(geo_report(str(number)))

        page_text = words_of(boss.post(url_of("removals"), {"rows": digest, "reason": REASON}, follow=True))

        assert "The reports have changed since you opened this page. Nothing was changed." in page_text
        assert not ReportSchedule.objects.filter(state=ScheduleState.REMOVED)
        assert not LogEntry.objects.exists()

    def test_sent_twice_they_are_removed_once(self, boss: Client, digest: str) -> None:
        for _ in range(2):
            boss.post(url_of("removals"), {"rows": digest, "reason": REASON})

        assert ReportChange.objects.filter(kind="removed").count() == 6
        assert LogEntry.objects.count() == 6
