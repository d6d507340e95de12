"""The admin shows everything, to those who may see it, writes nothing, and stays quick."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils.html import escape
from pytest_django import Settings as DjangoSettings

from report_orchestrator.admin import paging, searching
from report_orchestrator.admin.display import RESULT_SIGNS, STATE_SIGNS, STATUS_SIGNS, duration
from report_orchestrator.admin.story import NEXT, OPENED, REACHED
from report_orchestrator.domain.runs import ENDED, Status, StepResult, Trigger
from report_orchestrator.models import (
    ReportChange,
    ReportRun,
    ReportSchedule,
    RunPayload,
    RunStep,
    ScheduleState,
)
from report_orchestrator.models.changes import ChangeKind, ChangeSource

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
QUERIES_AT_MOST = 12
MODELS = [ReportSchedule, ReportRun, ReportChange]
HOSTILE = """O'Neil "the" <script>alert(1)</script> & 🌊 Überflutung"""

Page: TypeAlias = Literal["changelist", "change", "add", "delete", "history"]
numbers = itertools.count(1)


def make_schedule(**given: Any) -> ReportSchedule:
    number = next(numbers)
    defaults = {
        "report_model": "api.Report",
        "report_key": f"key-{number}",
        "name": f"Report {number}",
        "cron": "0 6 * * *",
        "state": ScheduleState.ACTIVE,
        "next_run_at": NOW + timedelta(hours=1) if given.get("state", "active") == "active" else None,
        "decided_until": NOW,
        "discovered_at": NOW,
        "changed_at": NOW,
    }
    return ReportSchedule.objects.create(**defaults | given)


def make_run(schedule: ReportSchedule | None = None, **given: Any) -> ReportRun:
    schedule = schedule or make_schedule()
    status = Status(given.get("status", Status.SUCCEEDED))
    defaults = {
        "schedule": schedule,
        "report_key": schedule.report_key,
        "report_name": schedule.name,
        "trigger": Trigger.SCHEDULED.value,
        "scheduled_for": NOW + timedelta(minutes=next(numbers)),
        "run_date": NOW.date(),
        "status": status.value,
        "wake_at": None if status in ENDED else NOW,
        "ended_at": NOW + timedelta(seconds=90) if status in ENDED else None,
        "worker": "a lease" if status is Status.RUNNING else "",
        "created_at": NOW,
        "started_at": NOW,
    }
    return ReportRun.objects.create(**defaults | given)


def make_step(run: ReportRun, **given: Any) -> RunStep:
    defaults = {
        "run": run,
        "step": run.step,
        "attempt": 1,
        "result": StepResult.COMPLETED.value,
        "started_at": NOW,
        "ended_at": NOW + timedelta(seconds=2),
    }
    return RunStep.objects.create(**defaults | given)


def make_change(schedule: ReportSchedule | None = None, **given: Any) -> ReportChange:
    defaults = {
        "schedule": schedule or make_schedule(),
        "kind": ChangeKind.RETIMED,
        "before": {"cron": "0 6 * * *"},
        "after": {"cron": "0 7 * * *"},
        "source": ChangeSource.DISCOVERY,
        "noticed_at": NOW,
    }
    return ReportChange.objects.create(**defaults | given)


def make_row(model: type[Model]) -> Model:
    """A row of any of our models, with what its page shows beside it."""
    schedule = make_schedule()
    run, change = make_run(schedule), make_change(schedule)
    make_step(run)
    RunPayload.objects.create(run=run, body={"name": "Windstorm"})
    return next(row for row in (schedule, run, change) if isinstance(row, model))


def address(model: type[Model], page: Page, *args: Any) -> str:
    return reverse(f"admin:report_orchestrator_{model._meta.model_name}_{page}", args=args)


def text_of(response: Any) -> str:
    assert response.status_code == HTTPStatus.OK, response.status_code
    return str(response.content.decode())


def words_of(response: Any) -> str:
    """What a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", text_of(response)).split())


def permissions(*actions: str) -> list[Permission]:
    names = [f"{action}_{model._meta.model_name}" for action in actions for model in MODELS]
    return list(Permission.objects.filter(codename__in=names))


@pytest.fixture
def sign_in(client: Client) -> Callable[..., Client]:
    def as_staff(*actions: str, **given: Any) -> Client:
        user = User.objects.create_user(f"person {next(numbers)}", is_staff=True, **given)
        user.user_permissions.set(permissions(*actions))
        client.force_login(user)
        return client

    return as_staff


@pytest.fixture
def viewer(sign_in: Callable[..., Client]) -> Client:
    return sign_in("view")


def listed(viewer: Client, model: type[Model], **query: str) -> list[Any]:
    """The rows that a list shows, in its order."""
    response = viewer.get(address(model, "changelist"), query)
    assert response.status_code == HTTPStatus.OK
    assert response.context is not None
    return list(response.context["cl"].result_list)


class TestWhoMaySee:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("as_superuser", [True, False])
    def test_whoever_has_the_view_permission_sees_lists_and_pages(
        self, sign_in: Callable[..., Client], model: type[Model], as_superuser: bool
    ) -> None:
        row = make_row(model)
        client = sign_in(is_superuser=True) if as_superuser else sign_in("view")

        assert client.get(address(model, "changelist")).status_code == HTTPStatus.OK
        assert client.get(address(model, "change", row.pk)).status_code == HTTPStatus.OK
        assert client.get(address(model, "history", row.pk)).status_code == HTTPStatus.OK

    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("actions", [(), ("add", "change", "delete")])
    def test_staff_without_the_view_permission_are_refused(
        self, sign_in: Callable[..., Client], model: type[Model], actions: tuple[str, ...]
    ) -> None:
        row = make_row(model)
        client = sign_in(*actions)

        assert client.get(address(model, "changelist")).status_code == HTTPStatus.FORBIDDEN
        assert client.get(address(model, "change", row.pk)).status_code == HTTPStatus.FORBIDDEN

    @pytest.mark.parametrize("model", MODELS)
    def test_a_stranger_is_sent_to_the_login(self, client: Client, model: type[Model]) -> None:
        row = make_row(model)
        for page in (address(model, "changelist"), address(model, "change", row.pk)):
            response = client.get(page)
            assert response.status_code == HTTPStatus.FOUND
            assert response.headers["Location"].startswith(reverse("admin:login"))


class TestAWideSearch:
    @pytest.mark.parametrize("model", [ReportRun, ReportChange])
    def test_what_is_left_out_is_said(
        self, viewer: Client, monkeypatch: pytest.MonkeyPatch, model: type[Model]
    ) -> None:
        monkeypatch.setattr(searching, "REPORTS_AT_MOST", 2)
        rows = [make_row(model) for _ in range(3)]
        told = "This names more than 2 reports: only the first 2 are looked through."

        wide = viewer.get(address(model, "changelist"), {"q": "Report"})
        narrow = viewer.get(address(model, "changelist"), {"q": getattr(rows[2], "schedule").report_key})  # noqa: B009

        assert told in words_of(wide)
        assert wide.context is not None
        assert narrow.context is not None
        assert set(wide.context["cl"].result_list) == set(rows[:2])
        assert list(narrow.context["cl"].result_list) == rows[2:]
        assert told not in words_of(narrow)


class TestNobodyWrites:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("as_superuser", [True, False])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_adding_and_deleting_are_refused(
        self, sign_in: Callable[..., Client], model: type[Model], as_superuser: bool, method: str
    ) -> None:
        row = make_row(model)
        client = sign_in("view", "add", "change", "delete", is_superuser=as_superuser)
        send = getattr(client, method)

        assert send(address(model, "add")).status_code == HTTPStatus.FORBIDDEN
        assert send(address(model, "delete", row.pk)).status_code == HTTPStatus.FORBIDDEN
        assert model._default_manager.filter(pk=row.pk).exists()

    @pytest.mark.parametrize("model", MODELS)
    def test_changing_is_refused(self, sign_in: Callable[..., Client], model: type[Model]) -> None:
        row = make_row(model)
        before = model._default_manager.filter(pk=row.pk).values().get()
        client = sign_in("view", "add", "change", "delete", is_superuser=True)

        response = client.post(address(model, "change", row.pk), {"name": "Mine", "status": "queued"})

        assert response.status_code == HTTPStatus.FORBIDDEN
        assert model._default_manager.filter(pk=row.pk).values().get() == before

    @pytest.mark.parametrize("model", MODELS)
    def test_no_action_deletes_from_a_list(self, sign_in: Callable[..., Client], model: type[Model]) -> None:
        row = make_row(model)
        client = sign_in("view", "add", "change", "delete", is_superuser=True)
        chosen = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}

        client.post(address(model, "changelist"), chosen)

        assert model._default_manager.filter(pk=row.pk).exists()


class TestSpeed:
    @pytest.mark.parametrize("model", MODELS)
    @pytest.mark.parametrize("rows", [1, 50])
    def test_a_list_takes_few_queries_whatever_its_length(
        self,
        viewer: Client,
        django_assert_max_num_queries: Any,
        model: type[Model],
        rows: int,
    ) -> None:
        for _ in range(rows):
            make_row(model)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert len(listed(viewer, model)) == rows

    @pytest.mark.parametrize("rows", [1, 50])
    @pytest.mark.parametrize("query", [{"q": "Report"}, {"status": "stopped", "opened": "week"}])
    def test_neither_search_nor_filters_add_queries_for_each_row(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int, query: dict[str, str]
    ) -> None:
        for _ in range(rows):
            make_run(status=Status.FAILED, created_at=datetime.now(UTC))

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert len(listed(viewer, ReportRun, **query)) == rows

    @pytest.mark.parametrize("rows", [1, 50])
    def test_a_report_page_takes_few_queries_however_many_runs_it_has(
        self, viewer: Client, django_assert_max_num_queries: Any, rows: int
    ) -> None:
        schedule = make_schedule()
        for _ in range(rows):
            make_run(schedule)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

    @pytest.mark.parametrize("attempts", [1, 50])
    def test_a_run_page_takes_few_queries_however_many_attempts_it_has(
        self, viewer: Client, django_assert_max_num_queries: Any, attempts: int
    ) -> None:
        run = make_run()
        for attempt in range(attempts):
            make_step(run, attempt=attempt)

        with django_assert_max_num_queries(QUERIES_AT_MOST):
            text_of(viewer.get(address(ReportRun, "change", run.pk)))

    def test_counting_stops_at_the_cap_and_the_page_says_so(
        self, viewer: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(paging, "COUNTED_AT_MOST", 3)
        schedule = make_schedule()
        for _ in range(4):
            make_run(schedule)

        said = words_of(viewer.get(address(ReportRun, "changelist")))

        assert "There are more than 3 runs here, and only the first 3 are listed." in said

    def test_a_full_count_is_told_without_a_warning(
        self, viewer: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(paging, "COUNTED_AT_MOST", 3)
        schedule = make_schedule()
        for _ in range(3):
            make_run(schedule)

        said = words_of(viewer.get(address(ReportRun, "changelist")))

        assert "3 runs" in said
        assert "more than" not in said


class TestReports:
    def test_a_list_shows_how_each_report_last_went(self, viewer: Client) -> None:
        schedule = make_schedule(name="Windstorm")
        make_run(schedule, status=Status.SUCCEEDED, scheduled_for=NOW)
        last = make_run(schedule, status=Status.FAILED, scheduled_for=NOW + timedelta(days=1))
        make_schedule(name="Never ran")

        page = text_of(viewer.get(address(ReportSchedule, "changelist")))

        assert f'href="{address(ReportRun, "change", last.pk)}"' in page
        assert 'ro-bad"><span aria-hidden="true">✗</span>&nbsp;failed' in page
        assert "</span>&nbsp;succeeded" not in page

    def test_a_quarantined_report_says_why_and_has_no_next_run(self, viewer: Client) -> None:
        schedule = make_schedule(
            state=ScheduleState.QUARANTINED,
            problem_code="invalid_cron",
            problem="Correct the cron.\nAll of it.",
        )

        said = words_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert "quarantined: cannot run as it is defined" in said
        assert "Correct the cron. All of it." in said
        assert "Next run: —" in said

    @pytest.mark.parametrize(
        ("zone", "shown"), [("", "Asia/Tokyo (the project's)"), ("Europe/Paris", "Europe/Paris")]
    )
    def test_the_zone_is_never_left_to_guess(
        self, viewer: Client, settings: DjangoSettings, zone: str, shown: str
    ) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        make_schedule(timezone=zone)

        assert escape(shown) in text_of(viewer.get(address(ReportSchedule, "changelist")))

    @pytest.mark.parametrize("term", ["windSTORM", "42", "30 4"])
    def test_search_finds_by_name_key_and_cron(self, viewer: Client, term: str) -> None:
        wanted = make_schedule(name="Windstorm", report_key="42", cron="30 4 * * *")
        make_schedule(name="Flood", report_key="1", cron="0 6 * * *")

        assert [wanted] == listed(viewer, ReportSchedule, q=term)

    def test_states_filter(self, viewer: Client) -> None:
        make_schedule()
        removed = make_schedule(state=ScheduleState.REMOVED)

        assert [removed] == listed(viewer, ReportSchedule, state__exact="removed")

    def test_a_report_leads_to_its_runs_and_changes(self, viewer: Client) -> None:
        schedule = make_schedule()
        run, change = make_run(schedule), make_change(schedule)
        make_run(), make_change()

        page = text_of(viewer.get(address(ReportSchedule, "change", schedule.pk)))

        assert f"{address(ReportRun, 'changelist')}?report={schedule.pk}" in page
        assert f"{address(ReportChange, 'changelist')}?report={schedule.pk}" in page
        assert [run] == listed(viewer, ReportRun, report=str(schedule.pk))
        assert [change] == listed(viewer, ReportChange, report=str(schedule.pk))


class TestRuns:
    def test_newest_runs_stand_first(self, viewer: Client) -> None:
        runs = [make_run() for _ in range(3)]

        assert list(reversed(runs)) == listed(viewer, ReportRun)

    def test_the_runs_of_one_report_stand_by_the_time_that_they_are_for(self, viewer: Client) -> None:
        schedule = make_schedule()
        newer = make_run(schedule, scheduled_for=NOW)
        older = make_run(schedule, scheduled_for=NOW - timedelta(days=7), trigger=Trigger.BACKFILL.value)

        assert [newer, older] == listed(viewer, ReportRun, report=str(schedule.pk))

    @pytest.mark.parametrize("status", Status)
    def test_every_status_has_a_sign_a_word_and_a_story(self, viewer: Client, status: Status) -> None:
        run = make_run(status=status)

        row = text_of(viewer.get(address(ReportRun, "changelist")))
        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert (
            f'aria-hidden="true">{STATUS_SIGNS[status].glyph}</span>&nbsp;{run.get_status_display()}' in row
        )
        assert "What happens next by itself:" in said
        assert "{" not in said

    def test_no_value_lacks_its_sign_or_its_sentence(self) -> None:
        assert set(STATUS_SIGNS) == set(REACHED) == set(NEXT) == set(Status)
        assert set(RESULT_SIGNS) == set(StepResult)
        assert set(STATE_SIGNS) == set(ScheduleState)
        assert set(OPENED) == set(Trigger)

    def test_a_waiting_run_says_when_fireant_is_asked_again(
        self, viewer: Client, settings: DjangoSettings
    ) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        run = make_run(status=Status.DEFERRED, wake_at=NOW + timedelta(minutes=5), polls=7)

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "Fireant is asked again at 2026-07-01 21:05:00 JST ." in said
        assert "Fireant was asked 7 times." in said
        assert "What you can do: Nothing." in said

    def test_a_failed_run_says_what_a_person_can_do(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED, error="The report has {no} events. Add one.", failures=1)

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "What you can do: As recorded: The report has {no} events. Add one." in said
        assert "Nothing: the run stays as it is until a person acts." in said
        assert "This step failed once." in said

    def test_a_run_to_be_tried_again_shows_its_last_error_and_asks_for_nothing(self, viewer: Client) -> None:
        run = make_run(status=Status.UP_FOR_RETRY, error="Fireant answered {503}.", crashes=2)

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "Nothing: it goes on by itself. As recorded: Fireant answered {503}." in said
        assert "2 workers were lost at this step." in said

    def test_a_run_that_may_have_been_sent_twice_says_where_to_look(self, viewer: Client) -> None:
        run = make_run(possibly_submitted_twice=True)

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert f"Look in Fireant for reference {run.client_reference}." in said
        assert "Possibly sent twice: yes: look in Fireant" in said

    def test_a_page_shows_where_the_result_is_and_how_large(self, viewer: Client) -> None:
        run = make_run(
            results_path="report_results/42/r.json", result_size=5_368_709_121, result_sha256="ab" * 32
        )

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "report_results/42/r.json" in said
        assert "5.0 GB (5,368,709,121 bytes)" in said
        assert "ab" * 32 in said

    def test_the_payload_is_folded_and_readable(self, viewer: Client) -> None:
        run = make_run()
        RunPayload.objects.create(run=run, body={"geos": [{"name": "Überflutung"}]})

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))

        folded = page[page.index("<summary>Show the payload</summary>") :]
        assert (
            escape('"geos": [\n    {\n      "name": "Überflutung"\n') in folded[: folded.index("</details>")]
        )

    def test_a_run_without_payload_or_steps_has_a_page(self, viewer: Client) -> None:
        assert "No step has begun." in words_of(viewer.get(address(ReportRun, "change", make_run().pk)))

    def test_a_run_that_never_began_tells_no_duration(self, viewer: Client) -> None:
        run = make_run(status=Status.SKIPPED, started_at=None, error="Nobody was there at its time.")

        said = words_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "and never ran. What happens next by itself" in said
        assert "Duration: —" in said
        assert "What you can do: As recorded: Nobody was there at its time." in said

    def test_the_timeline_tells_each_attempt(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED)
        make_step(
            run,
            result=StepResult.RETRIED.value,
            error="No answer.",
            traceback='Traceback (most recent call last):\n  File "x.py"',
        )
        make_step(run, attempt=2, metadata={"fireant_job_id": "77"}, ended_at=NOW + timedelta(minutes=2))

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))
        steps = page[page.index("ro-timeline-heading") :]
        steps = steps[: steps.index("</section>")]

        assert steps.index("failed, to be tried again") < steps.index("completed")
        assert "<details><summary>Traceback</summary><pre" in steps
        assert escape('  File "x.py"') in steps
        assert escape('"fireant_job_id": "77"') in steps
        assert "2.0 s" in steps
        assert "2 min 0 s" in steps

    def test_an_attempt_lost_with_its_worker_does_not_seem_to_go_on(self, viewer: Client) -> None:
        run = make_run(status=Status.FAILED)
        make_step(run, result=StepResult.LOST.value, ended_at=None)

        page = text_of(viewer.get(address(ReportRun, "change", run.pk)))

        assert "<td>—</td>" in page[page.index("lost with its worker") :]

    def test_search_finds_by_number_reference_job_name_and_key(self, viewer: Client) -> None:
        wanted = make_run(make_schedule(name="Wind storm", report_key="abc-1"), fireant_job_id="990077")
        make_run(make_schedule(name="Flood", report_key="abc"), fireant_job_id="99007")

        terms = [wanted.pk, wanted.reference, wanted.client_reference, "990077", "STORM wind", "abc-1"]
        for term in map(str, terms):
            assert [wanted] == listed(viewer, ReportRun, q=term), term

    @pytest.mark.parametrize("term", ["9" * 40, "9" * 5000, "%", "²", "' OR 1=1 --", "nothing of the kind"])
    def test_a_search_for_anything_else_finds_nothing(self, viewer: Client, term: str) -> None:
        make_run()

        assert [] == listed(viewer, ReportRun, q=term)

    def test_statuses_filter_alone_and_in_groups(self, viewer: Client) -> None:
        queued, failed, timed_out, _succeeded = (
            make_run(status=status)
            for status in (Status.QUEUED, Status.FAILED, Status.TIMED_OUT, Status.SUCCEEDED)
        )

        assert [failed] == listed(viewer, ReportRun, status="failed")
        assert [timed_out, failed] == listed(viewer, ReportRun, status="stopped")
        assert [queued] == listed(viewer, ReportRun, status="unfinished")
        assert [] == listed(viewer, ReportRun, status="no such status")

    def test_triggers_steps_and_times_filter(self, viewer: Client) -> None:
        make_run()
        by_hand = make_run(trigger=Trigger.MANUAL.value)
        storing = make_run(step="results_storage", status=Status.FAILED)
        make_run(step="results_storage", status=Status.SUCCEEDED)
        lately = make_run(created_at=datetime.now(UTC) - timedelta(hours=3))

        assert [by_hand] == listed(viewer, ReportRun, trigger__exact="manual")
        assert [storing] == listed(viewer, ReportRun, step="results_storage")
        assert [lately] == listed(viewer, ReportRun, opened="day")
        assert [] == listed(viewer, ReportRun, opened="hour")

    @pytest.mark.parametrize("report", ["", "x", "-1", "9" * 30, "999"])
    def test_a_report_that_is_none_has_no_runs(self, viewer: Client, report: str) -> None:
        make_run()

        assert [] == listed(viewer, ReportRun, report=report)


class TestChanges:
    def test_a_change_reads_as_a_difference(self, viewer: Client) -> None:
        change = make_change(
            before={"cron": "0 6 * * *", "state": "active", "priority": 0, "timezone": "UTC"},
            after={"cron": "", "state": "unscheduled", "priority": 10, "timezone": "UTC"},
        )

        in_list = words_of(viewer.get(address(ReportChange, "changelist")))
        on_page = words_of(viewer.get(address(ReportChange, "change", change.pk)))

        assert (
            "cron: 0 6 * * * → empty ; state: active → no cron: runs by hand only ; priority: 0 → 10"
            in in_list
        )
        assert "time zone" not in in_list
        assert "Field Before After cron 0 6 * * * empty" in on_page

    def test_a_new_report_has_nothing_before(self, viewer: Client) -> None:
        make_change(kind=ChangeKind.NEW, before={}, after={"name": "Flood", "of_a_later_version": [1]})

        said = words_of(viewer.get(address(ReportChange, "changelist")))

        assert "name: — → Flood ; of_a_later_version: — → [1]" in said

    def test_newest_changes_stand_first(self, viewer: Client) -> None:
        older, newer = make_change(), make_change(noticed_at=NOW + timedelta(hours=1))

        assert [newer, older] == listed(viewer, ReportChange)

    def test_search_and_filters_find(self, viewer: Client) -> None:
        wanted = make_change(make_schedule(name="Windstorm", report_key="42"), kind=ChangeKind.RENAMED)
        make_change(source=ChangeSource.SIGNAL)

        for query in (
            {"q": "wind"},
            {"q": "42"},
            {"kind__exact": "renamed"},
            {"source__exact": "discovery"},
        ):
            assert [wanted] == listed(viewer, ReportChange, **query)

    def test_changes_of_late_filter(self, viewer: Client) -> None:
        make_change()
        lately = make_change(noticed_at=datetime.now(UTC) - timedelta(hours=3))

        assert [lately] == listed(viewer, ReportChange, noticed="day")
        assert [] == listed(viewer, ReportChange, noticed="hour")


class TestSafety:
    @pytest.fixture
    def pages(self, viewer: Client) -> list[Any]:
        schedule = make_schedule(
            name=HOSTILE,
            report_key=HOSTILE[:20],
            cron=HOSTILE,
            timezone=HOSTILE[:60],
            problem=HOSTILE,
            state=ScheduleState.QUARANTINED,
        )
        run = make_run(
            schedule,
            status=Status.FAILED,
            trigger=Trigger.MANUAL.value,
            triggered_by=HOSTILE,
            error=HOSTILE,
            results_path=HOSTILE,
            fireant_job_id=HOSTILE,
            fireant_status=HOSTILE,
        )
        make_step(run, error=HOSTILE, traceback=HOSTILE, metadata={HOSTILE: HOSTILE})
        RunPayload.objects.create(run=run, body={HOSTILE: [HOSTILE]})
        change = make_change(schedule, before={"name": HOSTILE}, after={HOSTILE: HOSTILE})
        rows: list[Model] = [schedule, run, change]
        return [
            *(viewer.get(address(model, "changelist")) for model in MODELS),
            *(viewer.get(address(type(row), "change", row.pk)) for row in rows),
            viewer.get(address(ReportRun, "changelist"), {"report": str(schedule.pk), "q": HOSTILE}),
        ]

    def test_names_from_the_host_are_escaped_and_whole(self, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert "<script>alert" not in page
            assert "🌊" in page

    def test_our_pages_obey_a_strict_content_security_policy(self, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert re.findall(r"<[^>]*\sstyle\s*=", page) == []
            assert re.findall(r"<[^>]*\son[a-z]+\s*=", page) == []
            assert re.findall(r"<style", page) == []
            assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", page) == []
            assert "javascript:" not in page

    def test_our_pages_link_the_stylesheet(self, viewer: Client, pages: list[Any]) -> None:
        for page in map(text_of, pages):
            assert 'href="/static/report_orchestrator/admin.css"' in page


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (1.26, "1.3 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(seconds: float, shown: str) -> None:
    assert shown == duration(timedelta(seconds=seconds))
