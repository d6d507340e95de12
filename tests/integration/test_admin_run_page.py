"""A run's page draws its steps, tells its log lines, hides secrets, and shows the beginning of the result as text."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models.signals import post_save
from django.test import Client, RequestFactory, override_settings
from django.urls import path, reverse
from pytest_django import Settings as DjangoSettings

from report_orchestrator import services
from report_orchestrator.admin import ReportScheduleAdmin, preview
from report_orchestrator.admin.events import lines
from report_orchestrator.admin.host_panel import ReportRunsMixin
from report_orchestrator.admin.masking import without_secrets
from report_orchestrator.admin.run_page import PAYLOAD_SHOWN
from report_orchestrator.admin.strips import WIDTH, strips
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import (
    Intervention,
    InterventionKind,
    Mark,
    ReportRun,
    ReportSchedule,
    RunPayload,
)
from report_orchestrator.services.discovery import DISCOVERY_MARK
from report_orchestrator.testing import FakePorts
from tests.host.api.models import Report
from tests.integration.test_admin import (
    HOSTILE,
    NOW,
    make_run,
    make_schedule,
    make_step,
    numbers,
    text_of,
    words_of,
)

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


@pytest.fixture
def boss(client: Client) -> Client:
    client.force_login(User.objects.create_superuser(f"boss {next(numbers)}"))
    return client


def page_of(run: ReportRun) -> str:
    return reverse("admin:report_orchestrator_reportrun_change", args=[run.pk])


def seconds(count: float) -> Any:
    return NOW + timedelta(seconds=count)


class TestStrips:
    def test_work_is_solid_and_waiting_is_hatched_on_one_scale(self) -> None:
        run = make_run(
            status=Status.SUCCEEDED, step=Step.RESULTS_STORAGE.value, created_at=NOW, ended_at=seconds(100)
        )
        attempts = [
            make_step(run, step="report_data", started_at=seconds(10), ended_at=seconds(20)),
            make_step(
                run,
                step="external_job_submission",
                result=StepResult.RETRIED.value,
                started_at=seconds(20),
                ended_at=seconds(30),
            ),
            make_step(
                run, step="external_job_submission", attempt=2, started_at=seconds(50), ended_at=seconds(60)
            ),
            make_step(run, step="job_completion_status", started_at=seconds(60), ended_at=seconds(100)),
        ]

        drawn = strips(run, attempts)

        assert [[(p.x, p.width, p.look, p.is_waiting) for p in strip.pieces] for strip in drawn] == [
            [(0, 100, "wait", True), (100, 100, "good", False)],
            [(200, 100, "warn", False), (300, 200, "wait", True), (500, 100, "good", False)],
            [],
            [(600, 400, "good", True)],
            [],
        ]
        assert [strip.state for strip in drawn] == ["done"] * 5
        assert drawn[1].told == (
            "attempt 1: failed, to be tried again, 10.0 s; waited 20.0 s; attempt 2: completed, 10.0 s"
        )

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

        drawn = strips(run, attempts, now=seconds(100))

        assert [(p.x, p.width, p.look) for p in drawn[1].pieces] == [(500, 250, "warn"), (750, 250, "wait")]
        assert [strip.word for strip in drawn] == ["done", "here now", "not begun", "not begun", "not begun"]

    def test_no_piece_leaves_the_strip_or_is_too_narrow_to_see(self) -> None:
        run = make_run(status=Status.FAILED, created_at=NOW, ended_at=seconds(86_400))
        attempts = [
            make_step(run, started_at=seconds(0), ended_at=seconds(0)),
            make_step(run, attempt=2, started_at=seconds(86_400), ended_at=seconds(86_400)),
        ]

        pieces = [piece for strip in strips(run, attempts) for piece in strip.pieces]

        assert all(piece.width >= 5 for piece in pieces)
        assert all(0 <= piece.x and piece.x + piece.width <= WIDTH for piece in pieces)

    @pytest.mark.parametrize("status", Status)
    def test_every_status_is_drawn(self, boss: Client, status: Status) -> None:
        page = text_of(boss.get(page_of(make_run(status=status))))

        assert page.count("ro-step-name") == 5


def known_to_the_log() -> set[str]:
    """The events that the services announce."""
    sources = (Path(services.__file__).parent).glob("*.py")
    named = {name for file in sources for name in re.findall(r'run_event\(\s*"(\w+)"', file.read_text())}
    made = {f"run_{kind}" for kind in (*InterventionKind, "failed", "timed_out")}
    return named | made


class TestLines:
    def test_they_are_the_events_of_the_log_in_order(self) -> None:
        run = make_run(status=Status.FAILED, step="report_data", error_code="x", error="Wrong.")
        ReportRun.objects.filter(pk=run.pk).update(created_at=NOW, ended_at=seconds(60))
        run.refresh_from_db()
        attempts = [
            make_step(
                run,
                result=StepResult.LOST.value,
                started_at=seconds(1),
                ended_at=seconds(5),
                error_code="handed_back",
            ),
            make_step(
                run, attempt=2, result=StepResult.LOST.value, started_at=seconds(6), ended_at=seconds(9)
            ),
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
        act = Intervention.objects.create(
            run=run, kind="retried", actor="ada", reason="again", made_at=seconds(9.5)
        )

        told = lines(run, attempts, [act])

        assert [line.event for line in told] == [
            "run_opened",
            "step_started",
            "run_handed_back",
            "step_started",
            "run_rescued",
            "run_retried",
            "step_started",
            "run_failed",
        ]
        assert {line.event for line in told} <= known_to_the_log()
        assert told[5].told == "actor='ada' reason='again'"
        assert "error_code='x' error='Wrong.'" in told[-1].told

    def test_a_page_shows_them_with_who_and_why(self, boss: Client) -> None:
        run = make_run(status=Status.CANCELED)
        Intervention.objects.create(
            run=run, kind="canceled", actor="ada", reason=HOSTILE, made_at=seconds(90)
        )

        said = words_of(boss.get(page_of(run)))

        assert "run_canceled actor=&#x27;ada&#x27;" in said
        assert "<script>alert" not in text_of(boss.get(page_of(run)))

    def test_their_times_are_those_of_a_host_without_time_zones_too(
        self, boss: Client, settings: DjangoSettings
    ) -> None:
        settings.USE_TZ, settings.TIME_ZONE = False, "America/New_York"
        run = make_run(status=Status.CANCELED, created_at=NOW)
        Mark.objects.note(DISCOVERY_MARK, now=NOW, detail={"examined": 3})

        opened = re.search(r"(\S+ \S+ \S+) run_opened", words_of(boss.get(page_of(run))))
        changes = words_of(boss.get(reverse("admin:report_orchestrator_reportchange_changelist")))

        assert NOW.hour == 12
        assert opened is not None
        assert opened[1] == "2026-07-01 08:00:00 EDT"
        assert "Discovery last looked at 2026-07-01 08:00:00 EDT and saw 3 reports." in changes

    def test_a_page_with_all_of_it_takes_few_queries(
        self, boss: Client, django_assert_max_num_queries: Any
    ) -> None:
        run = make_run(status=Status.FAILED)
        for attempt in range(50):
            make_step(run, attempt=attempt)
            Intervention.objects.create(run=run, kind="retried", actor="ada", made_at=NOW)

        with django_assert_max_num_queries(12):
            text_of(boss.get(page_of(run)))


class TestSecrets:
    def test_telling_names_hide_what_stands_under_them_at_any_depth(self) -> None:
        body = {
            "name": "Windstorm",
            "meta": [{"api_key": "k", "Password": {"a": 1}, "password": ""}, "open"],
            "tokens_used": None,
        }

        assert without_secrets(body) == {
            "name": "Windstorm",
            "meta": [{"api_key": "***", "Password": "***", "password": ""}, "open"],
            "tokens_used": None,
        }

    def test_a_page_shows_no_secret_of_the_settings(
        self, boss: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = make_run()
        RunPayload.objects.create(run=run, body={"note": "with s3cr3t-key inside", "auth_token": "abc"})
        make_step(run, metadata={"answer": "s3cr3t-key"})
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": "s3cr3t-key"}

        with override_settings(REPORT_ORCHESTRATOR=ours):
            page = text_of(boss.get(page_of(run)))

        assert "s3cr3t-key" not in page
        assert "abc" not in page
        assert "with *** inside" in page


class TestALongPayload:
    SECRET = "s3cr3t-key"

    def shown(self, boss: Client, body: object) -> str:
        run = make_run()
        RunPayload.objects.create(run=run, body=body)
        return text_of(boss.get(page_of(run)))

    def test_its_beginning_is_shown_and_said_to_be_one(self, boss: Client) -> None:
        page = self.shown(boss, {"events": [{"id": number, "name": HOSTILE} for number in range(10_000)]})

        assert len(page) < 5 * PAYLOAD_SHOWN
        assert "Show the beginning of the payload" in page
        assert "&quot;id&quot;: 0," in page
        assert "&quot;id&quot;: 9999," not in page

    def test_a_short_one_is_whole_and_can_be_scrolled(self, boss: Client) -> None:
        page = self.shown(boss, {"name": "Überflutung"})

        assert "<summary>Show the payload</summary>" in page
        assert '<pre class="ro-code" tabindex="0">' in page
        assert "Überflutung" in page

    def test_no_part_of_a_secret_shows_at_the_cut(self, boss: Client, settings: Any) -> None:
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": self.SECRET}
        before = len(json.dumps({"a": ""}, indent=2)) - 3  # what stands before the text's own letters

        with override_settings(REPORT_ORCHESTRATOR=ours):
            filler = "x" * (PAYLOAD_SHOWN - before - len(self.SECRET) + 3)
            page = self.shown(boss, {"a": filler + self.SECRET + "y" * 100})

        assert "xxx***" in page
        assert self.SECRET[:4] not in page


class TestPreview:
    @pytest.fixture
    def show(
        self, boss: Client, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[bytes | None], str]:
        monkeypatch.setattr(preview, "get_ports", lambda: replace(fakes.ports))

        def of(content: bytes | None) -> str:
            run = make_run(results_path="lake/7.json", result_size=len(content or b""))
            if content is not None:
                fakes.store.files[run.result_path] = content
            return text_of(boss.get(reverse("admin:report_orchestrator_reportrun_preview", args=[run.pk])))

        return of

    def test_it_is_text_and_never_more(self, show: Callable[[bytes | None], str]) -> None:
        page = show(HOSTILE.encode() + b"\xff\x00")

        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 🌊" in page
        assert "\ufffd" in page

    def test_it_is_bounded_and_says_so(self, show: Callable[[bytes | None], str]) -> None:
        page = show(b"x" * 100_000)

        assert page.count("x" * preview.SHOWN) == 1
        assert "x" * (preview.SHOWN + 1) not in page
        assert "The first 16.0\xa0KB of 97.7\xa0KB." in page

    def test_no_part_of_a_secret_shows_at_the_cut(
        self, show: Callable[[bytes | None], str], settings: Any
    ) -> None:
        ours = {**settings.REPORT_ORCHESTRATOR, "FIREANT_API_KEY": "s3cr3t-key"}

        with override_settings(REPORT_ORCHESTRATOR=ours):
            page = show(b"x" * (preview.SHOWN - 6) + b"s3cr3t-key" + b"x" * 100)

        assert "xxx***" in page
        assert "s3cr" not in page

    def test_a_result_that_is_gone_is_said_in_words(self, show: Callable[[bytes | None], str]) -> None:
        assert "There is no result at" in show(None)

    def test_a_run_without_a_result_has_no_preview(self, boss: Client) -> None:
        address = reverse("admin:report_orchestrator_reportrun_preview", args=[make_run().pk])

        assert boss.get(address).status_code == HTTPStatus.NOT_FOUND


class BareAddresses:
    """Addresses of one AdminSite and of nothing else."""

    def __init__(self, site: admin.AdminSite) -> None:
        self.urlpatterns = [path("bare/", site.urls)]


class TestHostPanel:
    @pytest.fixture
    def report(self) -> Report:
        return Report.objects.create(name="Windstorm", cron="0 6 * * *")

    def address(self, report: Report) -> str:
        return reverse("admin:api_report_change", args=[report.pk])

    def test_it_shows_the_state_the_last_runs_and_the_buttons(self, boss: Client, report: Report) -> None:
        schedule = make_schedule(
            report_key=str(report.pk), paused_at=NOW, paused_by="ada", pause_reason="storm", next_run_at=None
        )
        run = make_run(schedule, status=Status.FAILED)

        page = text_of(boss.get(self.address(report)))
        said = words_of(boss.get(self.address(report)))

        assert "Paused by ada: storm" in said
        assert f'href="{page_of(run)}"' in page
        assert f"reportschedule/act/run/?ids={schedule.pk}" in page
        assert "report_orchestrator/acting.css" in page

    def test_a_report_that_discovery_has_not_seen_says_so(self, boss: Client, report: Report) -> None:
        assert "Discovery has not seen this report yet." in words_of(boss.get(self.address(report)))

    @pytest.mark.parametrize(
        ("ours", "shown"), [((), False), (("view_reportschedule", "view_reportrun"), True)]
    )
    def test_only_who_may_see_our_pages_sees_it_and_no_buttons_without_permission(
        self, client: Client, report: Report, ours: tuple[str, ...], shown: bool
    ) -> None:
        user = User.objects.create_user("host person", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(codename__in=["view_report", "change_report", *ours])
        )
        client.force_login(user)
        schedule = make_schedule(report_key=str(report.pk))

        page = text_of(client.get(self.address(report)))

        assert ("ro-host-panel" in page) is shown
        assert f"reportschedule/act/run/?ids={schedule.pk}" not in page

    def test_whoever_hears_of_a_save_can_copy_and_pickle_the_report(
        self, boss: Client, report: Report
    ) -> None:
        heard: list[Report] = []

        def copied(sender: type[Report], instance: Report, **_: Any) -> None:
            heard.append(pickle.loads(pickle.dumps(copy.deepcopy(instance))))  # noqa: S301 - our own bytes

        post_save.connect(copied, sender=Report)
        try:
            page = boss.get(self.address(report))
            assert page.context is not None
            edited = page.context["adminform"].form
            perils = [value for value, _label in edited.fields["peril"].choices if value]
            given = {name: value for name, value in edited.initial.items() if value is not None}
            given |= {"name": "Tempest", "peril": perils[0]}
            saved = boss.post(self.address(report), given)
        finally:
            post_save.disconnect(copied, sender=Report)

        assert saved.status_code == HTTPStatus.FOUND, words_of(saved)
        assert [one.name for one in heard] == ["Tempest"]

    def test_an_adminsite_with_the_reports_alone_shows_texts_instead_of_links(
        self, rf: RequestFactory, report: Report
    ) -> None:
        site = admin.AdminSite(name="elsewhere")
        site.register(ReportSchedule, ReportScheduleAdmin)
        request = rf.get("/")
        request.user = User.objects.create_superuser("boss")

        with override_settings(ROOT_URLCONF=BareAddresses(site)):
            ours: Any = site.get_model_admin(ReportSchedule)
            assert ours.link_to_page(ReportRun, 7, "7 <") == "7 &lt;"
            assert ours.link_to_list(ReportRun, "all", report=7) == "all"
            assert "href" in ours.link_to_page(ReportSchedule, 7, "seven")

    def test_a_report_that_is_being_added_has_none(self, boss: Client) -> None:
        assert "ro-host-panel" not in text_of(boss.get(reverse("admin:api_report_add")))

    def test_it_adds_two_queries(
        self, boss: Client, report: Report, django_assert_max_num_queries: Any
    ) -> None:
        make_schedule(report_key=str(report.pk))
        with django_assert_max_num_queries(14):
            text_of(boss.get(self.address(report)))

    def test_it_takes_no_place_among_the_hosts_own_fields(self, rf: RequestFactory) -> None:
        class Plain(ReportRunsMixin, admin.ModelAdmin):  # type: ignore[type-arg]
            fields = ("name", "cron")

        class Bare(ReportRunsMixin, admin.ModelAdmin):  # type: ignore[type-arg]
            pass

        request = rf.get("/")
        request.user = User.objects.create_superuser("boss")
        for made in (Plain, Bare):
            fields = made(Report, admin.site).get_fields(request)
            assert "name" in fields
            assert "report_runs" not in fields
