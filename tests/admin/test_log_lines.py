"""A run's page shows the events of its log, with who and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings as DjangoSettings

from report_orchestrator import services
from report_orchestrator.admin.runs.log_lines import log_lines
from report_orchestrator.domain.runs import Status, StepResult
from report_orchestrator.models import Intervention, InterventionKind, ReportRun, SharedState, StateName
from tests.support.admin_pages import HOSTILE, NOW, make_run, make_step, page_of, seconds, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


def known_to_the_log() -> set[str]:
    """The events that the services announce."""
    sources = (Path(services.__file__).parent).rglob("*.py")
    named = {name for file in sources for name in re.findall(r'run_event\(\s*"(\w+)"', file.read_text())}
    made = {f"run_{kind}" for kind in (*InterventionKind, "failed", "timed_out")}
    return named | made


class TestLogLines:
    def test_they_are_the_events_of_the_log_in_order(self) -> None:
        run = make_run(status=Status.FAILED, step="report_data", error_code="x", error="Wrong.")
        ReportRun.objects.filter(pk=run.pk).update(created_at=NOW, ended_at=seconds(60))
        run.refresh_from_db()
        attempts = [
            make_step(
                run, result=StepResult.LOST.value, started_at=seconds(1), ended_at=seconds(5), error_code="handed_back"
            ),
            make_step(run, attempt=2, result=StepResult.LOST.value, started_at=seconds(6), ended_at=seconds(9)),
            make_step(
                run,
                attempt=3,
                result=StepResult.FAILED.value,
                started_at=seconds(10),
                ended_at=seconds(60),
                error_code="x",
                error="Wrong.",
            ),
        ]
        action = Intervention.objects.create(run=run, kind="retried", actor="ada", reason="again", made_at=seconds(9.5))

        drawn = log_lines(run, attempts, [action])

        assert [line.event for line in drawn] == [
            "run_opened",
            "step_started",
            "run_handed_back",
            "step_started",
            "run_rescued",
            "run_retried",
            "step_started",
            "run_failed",
        ]
        assert {line.event for line in drawn} <= known_to_the_log()
        assert drawn[5].keys_text == "actor='ada' reason='again'"
        assert "error_code='x' error='Wrong.'" in drawn[-1].keys_text

    @pytest.mark.parametrize("kind", ["opened", "backfilled"])
    def test_a_run_that_a_person_opened_is_opened_once_with_the_reason(self, kind: str) -> None:
        run = make_run(status=Status.QUEUED, started_at=None, trigger="manual", triggered_by="ada")
        action = Intervention.objects.create(run=run, kind=kind, actor="ada", reason="again", made_at=seconds(5))

        [line] = log_lines(run, [], [action])

        assert (line.at, line.event) == (seconds(5), "run_opened")
        assert "triggered_by='ada' reason='again'" in line.keys_text

    def test_a_page_shows_them_with_who_and_why(self, boss: Client) -> None:
        run = make_run(status=Status.CANCELED)
        Intervention.objects.create(run=run, kind="canceled", actor="ada", reason=HOSTILE, made_at=seconds(90))

        page_text = words_of(boss.get(page_of(run)))

        assert "run_canceled actor=&#x27;ada&#x27;" in page_text
        assert "<script>alert" not in text_of(boss.get(page_of(run)))

    def test_their_times_are_those_of_a_host_without_time_zones_too(
        self, boss: Client, settings: DjangoSettings
    ) -> None:
        settings.USE_TZ, settings.TIME_ZONE = False, "America/New_York"
        run = make_run(status=Status.CANCELED, created_at=NOW)
        SharedState.objects.record(StateName.DISCOVERY, now=NOW, detail={"examined": 3})

        opened = re.search(r"(\S+ \S+ \S+) run_opened", words_of(boss.get(page_of(run))))
        changes = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))

        assert NOW.hour == 12
        assert opened is not None
        assert opened[1] == "2026-07-01 08:00:00 EDT"
        assert "Discovery last ran at 2026-07-01 08:00:00 EDT and found 3 reports." in changes

    def test_a_page_with_all_of_it_takes_few_queries(self, boss: Client, django_assert_max_num_queries: Any) -> None:
        run = make_run(status=Status.FAILED)
        for attempt in range(50):
            make_step(run, attempt=attempt)
            Intervention.objects.create(run=run, kind="retried", actor="ada", made_at=NOW)

        with django_assert_max_num_queries(12):
            text_of(boss.get(page_of(run)))
