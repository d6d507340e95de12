"""A run is retried, released and canceled only in the state that the confirmation showed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.services.operator_actions import cancel_run, retry_run
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.admin_actions import REASON, RUN_ACTION_NAMES, confirmation, everything, fresh, row_for, url_of
from tests.support.admin_pages import make_run, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


class TestRuns:
    def test_a_retry_goes_on_from_the_failed_step(self, boss: Client) -> None:
        run = row_for("retry")

        response = boss.post(url_of("retry"), confirmation("retry", run), follow=True)

        assert (fresh(run).status, fresh(run).step) == (Status.QUEUED, Step.RESULTS_STORAGE)
        assert "Runs retried: 1." in words_of(response)

    @pytest.mark.parametrize(
        ("step", "code", "button", "effect"),
        [
            (Step.RESULTS_STORAGE, "storage", "results storage", "continues at the step “results storage”"),
            (
                Step.JOB_COMPLETION_STATUS,
                "fireant_job_failed",
                "report data",
                "starts over at the step “report data” and submits a new job",
            ),
        ],
    )
    def test_a_retry_names_the_step_at_which_it_continues(
        self, boss: Client, step: Step, code: str, button: str, effect: str
    ) -> None:
        run = make_run(status=Status.FAILED, step=step.value, error_code=code)

        page = words_of(boss.get(reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])))
        question = words_of(boss.get(url_of("retry") + f"?ids={run.pk}"))

        assert f"Retry from “{button}”" in page
        assert effect in question

    def test_a_release_has_the_submission_remembered_as_possibly_sent_twice(self, boss: Client) -> None:
        run = row_for("release")
        page = text_of(boss.get(reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])))
        assert url_of("release") in page
        assert url_of("retry") not in page

        boss.post(url_of("release"), confirmation("release", run))

        assert fresh(run).possibly_submitted_twice is True

    @pytest.mark.parametrize("action", sorted(RUN_ACTION_NAMES))
    def test_sent_twice_it_is_done_once(self, boss: Client, action: str) -> None:
        run = row_for(action)
        form = confirmation(action, run)

        boss.post(url_of(action), form)
        after_first = everything()
        page_text = words_of(boss.post(url_of(action), form, follow=True))

        assert everything() == after_first
        assert "1 skipped:" in page_text

    def test_a_run_that_failed_again_since_it_was_seen_is_left_alone(self, boss: Client, outside: FakePorts) -> None:
        run = row_for("retry")
        form = confirmation("retry", run)
        retried = retry_run(run.pk, actor="somebody faster", runtime=make_runtime(outside.ports))
        retried.write(
            status=Status.FAILED.value, wake_at=None, ended_at=outside.clock.now, error_code="storage", error="x"
        )
        before = everything()

        page_text = words_of(boss.post(url_of("retry"), form, follow=True))

        assert "The run has changed since you opened this page. It was left as it is. Reload the page." in page_text
        assert everything() == before

    def test_a_run_that_ended_between_question_and_answer_is_left_alone(self, boss: Client, outside: FakePorts) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        cancel_run(run.pk, actor="somebody faster", runtime=make_runtime(outside.ports))
        before = everything()

        page_text = words_of(boss.post(url_of("cancel"), form, follow=True))

        assert "1 skipped: The run has already ended: “canceled”." in page_text
        assert everything() == before

    @pytest.mark.parametrize(
        "moved", [{"fireant_job_id": "J1"}, {"step": Step.RESULTS_STORAGE.value}, {"submission": 2}]
    )
    def test_a_run_that_stands_elsewhere_than_was_seen_is_not_canceled(
        self, boss: Client, moved: dict[str, Any]
    ) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        run.write(**moved)
        before = everything()

        page_text = words_of(boss.post(url_of("cancel"), form, follow=True))
        assert "The run has changed since you opened this page" in page_text
        assert everything() == before

        boss.post(url_of("cancel"), confirmation("cancel", fresh(run)))
        assert fresh(run).status == Status.CANCELED

    def test_a_run_that_was_only_polled_in_between_is_canceled(self, boss: Client) -> None:
        run = row_for("cancel")
        form = confirmation("cancel", run)
        run.write(polls=run.polls + 1)

        boss.post(url_of("cancel"), form)

        assert fresh(run).status == Status.CANCELED

    @pytest.mark.parametrize("rows", ["", "x", "1:", ":1", "²:1", "9" * 30 + ":1", "999999:0"])
    def test_rows_that_are_none_have_nothing_done(self, boss: Client, rows: str) -> None:
        make_run()
        before = everything()

        response = boss.post(url_of("retry"), {"rows": rows, "reason": REASON}, follow=True)

        assert "Nothing was" in words_of(response)
        assert everything() == before

    def test_one_is_led_back_to_where_one_came_from_and_nowhere_else(self, boss: Client) -> None:
        for back, led in (
            ("/admin/report_orchestrator/", "/admin/report_orchestrator/"),
            ("https://elsewhere.example/", None),
            ("//elsewhere.example/", None),
        ):
            run = row_for("cancel")
            page = reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])

            response = boss.post(url_of("cancel"), confirmation("cancel", run, back=back))

            assert response.headers["Location"] == (led or page)
