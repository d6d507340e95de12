"""A run leads to the runs before and after it, and is compared with the last success or with any other run."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun, ReportSchedule, RunPayload
from tests.support.admin_pages import make_run, make_schedule, make_step, page_of, text_of, words_of
from tests.support.dashboard import MINUTE, NOW, SignIn

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


def compare_address(run: ReportRun) -> str:
    return reverse("admin:report_orchestrator_reportrun_compare", args=[run.pk])


def past_run(schedule: ReportSchedule, minute: int, **given: Any) -> ReportRun:
    return make_run(schedule, scheduled_for=NOW + minute * MINUTE, **given)


def with_payload(run: ReportRun, **body: Any) -> ReportRun:
    RunPayload.objects.create(run=run, body=body)
    events = len(body.get("rings", ()))
    make_step(run, step=Step.REPORT_DATA.value, metadata={"events": events, "as_at_date": "2026-06-30"})
    return run


class TestNeighbors:
    def test_a_run_leads_to_those_before_and_after_it(self, viewer: Client) -> None:
        schedule = make_schedule()
        late, first, twin, last = (past_run(schedule, minute, trigger="manual") for minute in (9, 1, 1, 5))
        make_run()

        page = text_of(viewer.get(page_of(twin)))

        assert f'<a href="{page_of(first)}">Previous run</a>' in page
        assert f'<a href="{page_of(last)}">Next run</a>' in page
        assert ">Next run</a>" not in text_of(viewer.get(page_of(late)))
        assert ">Previous run</a>" not in text_of(viewer.get(page_of(first)))

    def test_a_run_takes_few_queries(self, viewer: Client, django_assert_max_num_queries: Any) -> None:
        schedule = make_schedule()
        runs = [past_run(schedule, minute) for minute in range(3)]
        viewer.get(page_of(runs[1]))

        with django_assert_max_num_queries(12):
            viewer.get(page_of(runs[1]))


class TestComparison:
    def test_it_is_with_the_last_success_before_the_run(self, viewer: Client) -> None:
        schedule = make_schedule()
        past_run(schedule, 1)
        before, failed, _after = (
            past_run(schedule, 2),
            past_run(schedule, 3, status=Status.FAILED, error_code="storage"),
            past_run(schedule, 4),
        )

        page = words_of(viewer.get(compare_address(failed)))

        assert f"Run {before.pk} (last success)" in page
        assert "≠ differs Status ✗ &nbsp;failed ✓ &nbsp;succeeded" in page
        assert "≠ differs Error the result store rejected the result —" in page

    def test_it_shows_the_fields_of_the_payload_that_differ(
        self, viewer: Client, django_assert_max_num_queries: Any
    ) -> None:
        schedule = make_schedule()
        with_payload(past_run(schedule, 1, result_size=2048), name="Flood", rings=[{"r": 1}, {"r": 2}], cob="Property")
        run = with_payload(past_run(schedule, 2, result_size=4096), name="Flood", rings=[{"r": 1}], cob="Marine")
        viewer.get(compare_address(run))

        with django_assert_max_num_queries(12):
            page = words_of(viewer.get(compare_address(run)))

        assert "≠ differs Events 1 2" in page
        assert "≠ differs Size of the result 4.0 KB 2.0 KB" in page
        assert "rings[1] — {&quot;r&quot;: 2}" in page
        assert "cob &quot;Marine&quot; &quot;Property&quot;" in page
        assert "Field Run" in page
        assert "name &quot;Flood&quot;" not in page

    def test_equal_payloads_and_missing_ones_are_told(self, viewer: Client) -> None:
        schedule = make_schedule()
        with_payload(past_run(schedule, 1), name="Flood")
        same, bare = with_payload(past_run(schedule, 2), name="Flood"), past_run(schedule, 3)

        assert "The payloads are equal" in words_of(viewer.get(compare_address(same)))
        assert f"The payload of run {bare.pk} is not kept" in words_of(viewer.get(compare_address(bare)))

    def test_many_differences_are_counted(self, viewer: Client) -> None:
        schedule = make_schedule()
        with_payload(past_run(schedule, 1), **{f"f{number}": 0 for number in range(60)})
        run = with_payload(past_run(schedule, 2), **{f"f{number}": 1 for number in range(60)})

        page = words_of(viewer.get(compare_address(run)))

        assert "and 10 more fields" in page
        assert "f55" not in page

    def test_secrets_are_masked(self, viewer: Client, settings: Any) -> None:
        schedule = make_schedule()
        with_payload(past_run(schedule, 1), api_key="old-one", note="without")
        run = with_payload(past_run(schedule, 2), api_key="new-one", note="with s3cr3t-key inside")
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": "s3cr3t-key"}

        with override_settings(REPORT_ORCHESTRATOR=ours):
            page = text_of(viewer.get(compare_address(run)))

        assert "with *** inside" in page
        assert not any(secret in page for secret in ("s3cr3t", "old-one", "new-one"))

    def test_another_run_can_be_chosen(self, viewer: Client) -> None:
        run, other = make_run(), make_run(status=Status.CANCELED)

        assert "■ &nbsp;canceled" in words_of(viewer.get(compare_address(run), {"with": str(other.pk)}))
        for wrong in ("999999", "x", "-1", "1" * 30):
            page = words_of(viewer.get(compare_address(run), {"with": wrong}))
            assert f"There is no run “{wrong[:20]}”." in page

    def test_a_first_run_has_nothing_to_be_compared_with(self, viewer: Client) -> None:
        assert "There is no other run to compare it with" in words_of(viewer.get(compare_address(make_run())))


class TestRights:
    def test_both_runs_need_the_permission_of_the_runs_page(self, sign_in: SignIn) -> None:
        run = make_run()

        assert sign_in("view_reportschedule").get(compare_address(run)).status_code == HTTPStatus.FORBIDDEN
        assert sign_in("view_reportrun").get(compare_address(run)).status_code == HTTPStatus.OK
