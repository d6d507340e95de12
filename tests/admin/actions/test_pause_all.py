"""All reports are paused and resumed together."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse, reverse_lazy

from report_orchestrator.admin.actions.base import Question
from report_orchestrator.admin.reports.pause_all import PauseAll
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ScheduleState
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.scheduling.pausing import all_are_paused, pause_all
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.admin_actions import (
    ON_ALL_REPORTS,
    PERMISSIONS,
    REASON,
    VIEW,
    confirmation,
    everything,
    prepared,
    row_for,
    url_of,
)
from tests.support.admin_pages import make_run, make_schedule, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestAll:
    LIST = reverse_lazy("admin:report_orchestrator_reportschedule_changelist")

    def test_the_question_says_what_will_happen_to_how_many(self, boss: Client) -> None:
        row_for("pause")
        row_for("pause")
        make_run(make_schedule(state=ScheduleState.DISABLED), status=Status.DEFERRED)

        page_text = words_of(boss.get(url_of("pause-all")))

        assert "No scheduled runs are created for 2 active reports until scheduling is resumed." in page_text
        assert "Runs in progress continue: 1." in page_text
        assert "When scheduling resumes, each report runs the latest of its missed times" in page_text
        assert "Pause all 2 active reports?" in page_text
        assert not all_are_paused()

    def test_one_report_is_spoken_of_as_one(self, boss: Client) -> None:
        row_for("pause")

        page_text = words_of(boss.get(url_of("pause-all")))

        assert "Pause 1 active report?" in page_text
        assert "No scheduled runs are created for 1 active report until scheduling is resumed." in page_text

    def test_all_are_paused_and_resumed_and_the_list_and_the_first_page_say_so(self, boss: Client) -> None:
        first_page = reverse("admin:app_list", args=["report_orchestrator"])
        assert url_of("pause-all") in text_of(boss.get(self.LIST))
        assert url_of("pause-all") in text_of(boss.get(first_page))

        page_text = words_of(boss.post(url_of("pause-all"), confirmation("pause-all"), follow=True))

        user = User.objects.latest("pk")
        assert all_are_paused()
        assert "All reports are paused." in page_text
        actor = re.escape(f"{user.username} (user {user.pk})")
        assert re.search(f"All reports are paused since [^:]+:[^:]+:.+ by {actor}: {REASON}", page_text)
        for page in (self.LIST, first_page):
            assert url_of("resume-all") in text_of(boss.get(page))
            assert url_of("pause-all") not in text_of(boss.get(page))

        boss.post(url_of("resume-all"), confirmation("resume-all"))
        assert not all_are_paused()
        kinds = ReportChange.objects.filter(schedule=None).order_by("pk").values_list("kind", flat=True)
        assert list(kinds) == ["paused", "resumed"]
        changes = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))
        assert "all reports resumed" in changes
        page = reverse("admin:report_orchestrator_reportchange_change", args=[ReportChange.objects.latest("pk").pk])
        assert f"reason — {REASON}" in words_of(boss.get(page)).lower().replace(REASON.lower(), REASON)

    @pytest.mark.parametrize("action", sorted(ON_ALL_REPORTS))
    def test_sent_twice_it_is_done_once(self, boss: Client, outside: FakePorts, action: str) -> None:
        _query, form = prepared(action, outside)

        boss.post(url_of(action), form)
        after_first = everything()
        page_text = words_of(boss.post(url_of(action), form, follow=True))

        assert everything() == after_first
        assert "Nothing was changed." in page_text
        assert "<textarea" not in text_of(boss.get(url_of(action)))

    def test_resuming_all_says_how_many_resume_and_how_many_stay_paused(self, boss: Client, outside: FakePorts) -> None:
        for action in ("pause", "pause", "resume"):
            row_for(action)
        pause_all(actor="ann", reason="audit", runtime=make_runtime(outside.ports))

        page_text = words_of(boss.get(url_of("resume-all")))
        done = words_of(boss.post(url_of("resume-all"), confirmation("resume-all"), follow=True))

        assert "Resume 2 active reports?" in page_text
        assert "Scheduled runs are created again for 2 active reports. 1 report stays paused individually." in page_text
        assert "Scheduling resumed for 2 active reports. 1 report stays paused individually." in done

    @pytest.mark.parametrize("action", sorted(ON_ALL_REPORTS))
    def test_reports_that_changed_since_they_were_counted_are_left_alone(
        self, boss: Client, outside: FakePorts, action: str
    ) -> None:
        _query, form = prepared(action, outside)
        row_for("pause")
        before = everything()

        page_text = words_of(boss.post(url_of(action), form, follow=True))

        assert "The reports have changed since you opened this page. Nothing was changed. Open it again." in page_text
        assert everything() == before

    def test_a_later_pause_of_all_is_not_ended_by_who_saw_an_earlier_one(
        self, boss: Client, outside: FakePorts
    ) -> None:
        _query, form = prepared("resume-all", outside)
        outside.clock.advance(seconds=1)
        pause_all(actor="ben", reason="legal hold", runtime=make_runtime(outside.ports))
        before = everything()

        page_text = words_of(boss.post(url_of("resume-all"), form, follow=True))

        assert "The reports have changed since you opened this page." in page_text
        assert everything() == before

    def test_a_pause_that_comes_between_the_question_and_the_act_keeps_its_reason(
        self, boss: Client, outside: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form, asked = confirmation("pause-all"), PauseAll.question

        def overtaken(action: PauseAll, runtime: Runtime) -> Question:
            question = asked(action, runtime)
            pause_all(actor="ben", reason="legal hold", runtime=runtime)
            return question

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(PauseAll, "question", overtaken)
            page_text = words_of(boss.post(url_of("pause-all"), form, follow=True))

        assert "The reports have changed since you opened this page." in page_text
        assert "legal hold" in page_text
        assert [change.after["actor"] for change in ReportChange.objects.filter(schedule=None)] == ["ben"]

    def test_each_action_on_all_is_logged_as_the_change_that_it_made(self, boss: Client, outside: FakePorts) -> None:
        boss.post(url_of("pause-all"), confirmation("pause-all"))
        boss.post(url_of("resume-all"), confirmation("resume-all"))

        logged = [
            (ReportChange.objects.get(pk=int(entry.object_id or 0)).kind, entry.get_change_message())
            for entry in LogEntry.objects.order_by("pk")
        ]
        assert logged == [
            ("paused", f"All reports paused. Reason: {REASON}"),
            ("resumed", f"All reports resumed. Reason: {REASON}"),
        ]

    def test_without_permission_there_is_no_button(self, sign_in: Callable[..., Client], outside: FakePorts) -> None:
        client = sign_in(*VIEW, *(name for name in PERMISSIONS.values() if name != "pause_reports"))

        for page in (self.LIST, reverse("admin:app_list", args=["report_orchestrator"])):
            assert url_of("pause-all") not in text_of(client.get(page))
