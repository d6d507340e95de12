"""A run's page draws its steps on one scale."""

from __future__ import annotations

import pytest
from django.test import Client

from report_orchestrator.admin.runs.step_bars import WIDTH, step_bars
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import Intervention
from tests.support.admin_pages import NOW, make_run, make_step, page_of, seconds, text_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestStepBars:
    def test_work_is_solid_and_waiting_is_hatched_on_one_scale(self) -> None:
        run = make_run(status=Status.SUCCEEDED, step=Step.RESULTS_STORAGE.value, created_at=NOW, ended_at=seconds(100))
        attempts = [
            make_step(run, step="report_data", started_at=seconds(10), ended_at=seconds(20)),
            make_step(
                run,
                step="external_job_submission",
                result=StepResult.RETRIED.value,
                started_at=seconds(20),
                ended_at=seconds(30),
            ),
            make_step(run, step="external_job_submission", attempt=2, started_at=seconds(50), ended_at=seconds(60)),
            make_step(run, step="job_completion_status", started_at=seconds(60), ended_at=seconds(100)),
        ]

        drawn = step_bars(run, attempts, [], NOW)

        assert [[(p.x, p.width, p.look, p.is_waiting) for p in bar.segments] for bar in drawn] == [
            [(0, 100, "wait", True), (100, 100, "good", False)],
            [(200, 100, "warn", False), (300, 200, "wait", True), (500, 100, "good", False)],
            [],
            [(600, 400, "good", True)],
            [],
        ]
        assert [bar.state for bar in drawn] == ["done"] * 5
        assert drawn[1].label == ("attempt 1: failed, retried, 10.0 s; waited 20.0 s; attempt 2: completed, 10.0 s")

    def test_a_run_under_way_is_drawn_until_now(self) -> None:
        run = make_run(status=Status.UP_FOR_RETRY, step="external_job_submission", created_at=NOW)
        attempts = [
            make_step(run, step="report_data", ended_at=seconds(50)),
            make_step(
                run,
                step="external_job_submission",
                result=StepResult.RETRIED.value,
                started_at=seconds(50),
                ended_at=seconds(75),
            ),
        ]

        drawn = step_bars(run, attempts, [], now=seconds(100))

        assert [(p.x, p.width, p.look) for p in drawn[1].segments] == [(500, 250, "warn"), (750, 250, "wait")]
        assert [bar.state_label for bar in drawn] == [
            "done",
            "current step",
            "not started",
            "not started",
            "not started",
        ]

    def test_the_time_between_a_failure_and_its_retry_is_drawn_and_not_counted(self) -> None:
        run = make_run(status=Status.SUCCEEDED, step="report_data", created_at=NOW, ended_at=seconds(100))
        attempts = [
            make_step(run, result=StepResult.FAILED.value, started_at=seconds(0), ended_at=seconds(10)),
            make_step(run, attempt=2, started_at=seconds(95), ended_at=seconds(100)),
        ]
        retry = Intervention(run=run, kind="retried", actor="ada", made_at=seconds(90))

        bar = step_bars(run, attempts, [retry], NOW)[0]

        assert bar.label == (
            "attempt 1: failed, 10.0 s; 1 min 20 s until the retry; waited 5.0 s; attempt 2: completed, 5.0 s"
        )
        assert bar.duration == "10.0 s"
        worked, idle, *since = ((round(p.x), round(p.width), p.look) for p in bar.segments)
        assert (worked, idle) == ((0, 488, "bad"), (488, 24, "idle"))
        assert since == [(512, 244, "wait"), (756, 244, "good")]

    def test_a_step_that_was_done_before_the_retry_keeps_its_duration(self) -> None:
        run = make_run(status=Status.SUCCEEDED, step="results_storage", created_at=NOW, ended_at=seconds(100))
        attempts = [
            make_step(run, step="report_data", started_at=seconds(0), ended_at=seconds(4)),
            make_step(run, result=StepResult.FAILED.value, started_at=seconds(4), ended_at=seconds(10)),
            make_step(run, attempt=2, started_at=seconds(95), ended_at=seconds(100)),
        ]
        retry = Intervention(run=run, kind="retried", actor="ada", made_at=seconds(95))

        bars = step_bars(run, attempts, [retry], NOW)

        assert [bars[0].duration, bars[-1].duration] == ["4.0 s", "5.0 s"]

    def test_no_segment_leaves_its_bar_or_is_too_narrow_to_see(self) -> None:
        run = make_run(status=Status.FAILED, created_at=NOW, ended_at=seconds(86_400))
        attempts = [
            make_step(run, started_at=seconds(0), ended_at=seconds(0)),
            make_step(run, attempt=2, started_at=seconds(86_400), ended_at=seconds(86_400)),
        ]

        segments = [segment for bar in step_bars(run, attempts, [], NOW) for segment in bar.segments]

        assert all(segment.width >= 5 for segment in segments)
        assert all(0 <= segment.x and segment.x + segment.width <= WIDTH for segment in segments)

    @pytest.mark.parametrize("status", Status)
    def test_every_status_is_drawn(self, boss: Client, status: Status) -> None:
        page = text_of(boss.get(page_of(make_run(status=status))))

        assert page.count("ro-step-name") == 5
