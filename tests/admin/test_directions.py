"""Pages in a right-to-left language, names of any script, numbers as people type them, one language for each sentence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils.translation import override

from report_orchestrator.admin.ui.format import duration
from report_orchestrator.admin.ui.phrases import about, cron_in_words, isolated
from report_orchestrator.domain.printable import is_visible
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from tests.support.admin_pages import address, listed, make_change, make_run, make_schedule, make_step, text_of
from tests.support.dashboard import HOUR, MINUTE

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

WEEKDAYS = "30 2 * * 1-5"
TURNED = "\u202eTsunami"
FIRST, LAST = "\u2068", "\u2069"  # Unicode's marks around an isolated text


class TestRightToLeft:
    @pytest.fixture(autouse=True)
    def arabic(self, settings: Any) -> None:
        settings.LANGUAGE_CODE = "ar"

    def test_every_code_time_and_recorded_text_keeps_its_direction(self, boss: Client) -> None:
        schedule = make_schedule(state=ScheduleState.QUARANTINED, cron="*/5 * * * *", problem="Correct the cron.")
        failed = make_run(schedule, status=Status.FAILED, error="17 failed ….", error_code="fireant_failed")
        make_step(failed, error="No answer.", traceback="Traceback", metadata={"a": 1})
        make_change(schedule)
        pages = [
            address(ReportSchedule, "changelist"),
            address(ReportSchedule, "change", schedule.pk),
            address(ReportRun, "changelist"),
            address(ReportRun, "change", failed.pk),
            address(ReportChange, "changelist"),
            f"/admin/report_orchestrator/reportschedule/check-cron/?ids={schedule.pk}",
        ]
        for path in pages:
            page = text_of(boss.get(path))
            assert 'dir="rtl"' in page
            tags = re.findall(
                r'<(?:code|time|pre)\b[^>]*>|<[^>]*(?:lang="en"|ro-keys|ro-line-(?:bad|warn|quiet))[^>]*>', page
            )
            assert tags
            assert [tag for tag in tags if 'dir="ltr"' not in tag and not tag.startswith("<bdi")] == []
            for recorded in ("Correct the cron.", "17 failed …."):
                assert all(
                    'lang="en" dir="ltr"' in tag for tag in re.findall(rf"<[^>]*>(?={re.escape(recorded)})", page)
                )

    def test_a_duration_is_read_as_written(self) -> None:
        with override("ar"):
            assert duration(9 * MINUTE) == f"{FIRST}9 min 0 s{LAST}"
            assert about(2 * HOUR) == f"{FIRST}2 h 0 min{LAST}"
        with override("en"):
            assert duration(9 * MINUTE) == "9 min 0 s"


class TestNames:
    def test_a_name_does_not_turn_the_row_around_it(self, boss: Client) -> None:
        schedule = make_schedule(name=TURNED)
        run = make_run(schedule)
        make_change(schedule)

        assert f"<bdi>{TURNED}</bdi>" in text_of(boss.get(address(ReportSchedule, "changelist")))
        for path in (
            address(ReportRun, "changelist"),
            address(ReportRun, "change", run.pk),
            address(ReportChange, "changelist"),
            f"/admin/report_orchestrator/reportschedule/act/pause/?ids={schedule.pk}",
            f"/admin/report_orchestrator/reportschedule/check-cron/?ids={schedule.pk}",
        ):
            assert "<bdi>report key-" in text_of(boss.get(path))
            assert TURNED not in text_of(boss.get(path))

    @pytest.mark.parametrize("name", ["\u200b", "\u202e \u2069", "\u3164", "\u2800", ""])
    def test_a_name_without_anything_to_see_is_shown_as_the_key(self, boss: Client, name: str) -> None:
        schedule = make_schedule(name=name)

        assert f"<bdi>{schedule.report_key}</bdi></a>" in text_of(boss.get(address(ReportSchedule, "changelist")))
        assert str(schedule) == f"report {schedule.report_key}"

    @pytest.mark.parametrize("name", ["تقرير", "地震", "🌊", "-", "0"])
    def test_other_names_can_be_seen(self, name: str) -> None:
        assert is_visible(name)

    def test_only_text_that_turns_others_is_marked(self) -> None:
        assert isolated("Überflutung 地震") == "Überflutung 地震"
        assert isolated("تقرير") == f"{FIRST}تقرير{LAST}"
        with override("ar"):
            assert isolated("") == ""


class TestNumbersOfRuns:
    @pytest.fixture
    def run(self, settings: Any) -> ReportRun:
        settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
        return make_run(make_schedule(report_key="7654321"), pk=1234600)

    def test_they_are_shown_as_they_are_typed(self, boss: Client, run: ReportRun) -> None:
        for path in (address(ReportRun, "changelist"), address(ReportRun, "change", run.pk)):
            page = text_of(boss.get(path))
            assert "1234600" in page
            assert "1.234.600" not in page

    @pytest.mark.parametrize("term", ["1234600", "1.234.600", "1,234,600", "1\u00a0234\u00a0600", "12,34,600"])
    def test_the_search_finds_both_forms(self, boss: Client, run: ReportRun, term: str) -> None:
        make_run(make_schedule())

        assert listed(boss, ReportRun, q=term) == [run]

    @pytest.mark.parametrize("term", ["7654321", "7.654.321"])
    def test_reports_are_found_by_both_forms_of_their_key(self, boss: Client, run: ReportRun, term: str) -> None:
        make_schedule(report_key="7")

        assert listed(boss, ReportSchedule, q=term) == [run.schedule]
        assert listed(boss, ReportRun, q=term) == [run]

    @pytest.mark.parametrize("term", ["1.23", "1.234.60", "a1.234.600"])
    def test_other_terms_are_no_numbers(self, boss: Client, run: ReportRun, term: str) -> None:
        assert listed(boss, ReportRun, q=term) == []


class TestCronsInWords:
    @pytest.mark.parametrize(
        ("language", "sentence"),
        [
            ("en", '<bdi lang="en">At 02:30, Monday through Friday</bdi>'),
            ("de", '<bdi lang="de">Um 02:30, Montag bis Freitag</bdi>'),
            ("ar", '<bdi lang="en">At 02:30, Monday through Friday</bdi>'),
            ("cy", '<bdi lang="en">At 02:30, Monday through Friday</bdi>'),
        ],
    )
    def test_a_sentence_is_in_one_language(self, language: str, sentence: str) -> None:
        with override(language):
            assert cron_in_words(WEEKDAYS) == sentence

    def test_an_english_page_has_english_ones(self, boss: Client, settings: Any) -> None:
        settings.USE_I18N, settings.LANGUAGE_CODE = False, "de"
        make_schedule(cron=WEEKDAYS)

        assert cron_in_words(WEEKDAYS) == '<bdi lang="en">At 02:30, Monday through Friday</bdi>'
