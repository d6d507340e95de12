"""The admin works in a foreign theme, at another address and site, under a strict policy, and in other words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import path

from report_orchestrator.admin import ReportChangeAdmin, ReportRunAdmin, ReportScheduleAdmin
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.services.operator_actions import cancel_fingerprint
from tests.support.admin_pages import make_run, make_schedule, make_step, text_of, words_of

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

ROOT = Path(__file__).parents[2]


@pytest.fixture
def addresses() -> list[str]:
    """Each kind of page that we add."""
    schedule = make_schedule()
    make_schedule(state=ScheduleState.QUARANTINED, problem="Correct the cron.")
    failed, live = make_run(schedule, status=Status.FAILED), make_run(schedule, status=Status.DEFERRED)
    make_step(failed, error="No answer.")
    done = make_run(schedule, results_path="somewhere")
    return [
        *(f"reportrun/{run.pk}/change/" for run in (failed, live, done)),
        f"reportrun/act/retry/?ids={failed.pk},{done.pk}",
        f"reportrun/act/cancel/?ids={live.pk}",
        *(f"reportschedule/act/{act}/?ids={schedule.pk}" for act in ("run", "pause", "resume", "backfill")),
        f"reportschedule/check-cron/?ids={schedule.pk}",
        f"reportrun/{done.pk}/preview/",
        "reportchange/",
        "reportchange/removals/",
        "reportschedule/pause-all/",
        "reportschedule/resume-all/",
    ]


class TestPolicy:
    def test_no_page_needs_an_inline_style_or_script(self, boss: Client, addresses: list[str]) -> None:
        for address in addresses:
            page = text_of(boss.get(f"/admin/report_orchestrator/{address}"))
            assert re.findall(r"<[^>]*\sstyle\s*=", page) == []
            assert re.findall(r"<[^>]*\son[a-z]+\s*=", page) == []
            assert "<style" not in page
            assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", page) == []
            assert "javascript:" not in page
            assert "report_orchestrator/actions.css" in page

    def test_every_field_has_a_label_and_no_name_is_given_twice(self, boss: Client, addresses: list[str]) -> None:
        for address in addresses:
            seen = _Names()
            seen.feed(text_of(boss.get(f"/admin/report_orchestrator/{address}")))
            assert sorted(set(seen.ids)) == sorted(seen.ids), address
            assert seen.fields - seen.labelled == set(), address


class _Names(HTMLParser):
    """The ids of a page, the fields that a person fills in, and those that have a label."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fields: set[str | None] = set()
        self.labelled: set[str | None] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        if tag == "label":
            self.labelled.add(given.get("for"))
        shown = given.get("type", "text") in {"text", "date", "number"}
        if tag == "textarea" or (tag == "input" and shown and "aria-label" not in given):
            self.fields.add(given.get("id"))


site = admin.AdminSite(name="back_office")
site.register(ReportRun, ReportRunAdmin)
site.register(ReportSchedule, ReportScheduleAdmin)
site.register(ReportChange, ReportChangeAdmin)
urlpatterns = [path("other/place/", site.urls)]


class TestAnotherSite:
    @pytest.fixture(autouse=True)
    def _only_the_other_site(self, settings: Any) -> None:
        settings.ROOT_URLCONF = __name__

    def test_every_page_stays_there(self, boss: Client, addresses: list[str]) -> None:
        for address in addresses:
            page = text_of(boss.get(f"/other/place/report_orchestrator/{address}"))
            ours = re.findall(r'(?:href|action)="([^"]*report_orchestrator[^"]*)"', page)
            inside = [link for link in ours if not link.startswith("/static/")]
            assert inside
            assert [link for link in inside if not link.startswith("/other/place/")] == []

    def test_an_act_is_done_there_and_leads_back_there(self, boss: Client) -> None:
        run = make_run(status=Status.DEFERRED)
        form = {"rows": f"{run.pk}:{cancel_fingerprint(run)}", "reason": "not needed"}

        response = boss.post("/other/place/report_orchestrator/reportrun/act/cancel/", form)

        assert response.status_code == HTTPStatus.FOUND
        assert response.headers["Location"] == f"/other/place/report_orchestrator/reportrun/{run.pk}/change/"
        run.refresh_from_db()
        assert run.status == Status.CANCELED


@pytest.mark.slow
def test_all_of_it_works_under_django_unfold(tmp_path: Path) -> None:
    """The same tests, in a process of their own: unfold replaces Django's admin site for good."""
    files = {f"{name}DATABASE_URL": f"sqlite:///{tmp_path}/{name}d.sqlite3" for name in ("", "REPORTS_")}
    names = ("actions/test_run_actions", "actions/test_bulk", "actions/test_report_actions", "actions/test_removals")
    chosen = [*(f"tests/admin/{name}.py" for name in names), "tests/admin/test_run_page.py::TestPreview"]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ds=tests.host.unfold_settings", *chosen],
        cwd=ROOT,
        env=os.environ | files,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]


def test_the_pages_speak_german(boss: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    run = make_run(
        status=Status.FAILED,
        step="results_storage",
        polls=3,
        error_code="fireant_503",
        error="Fireant responded to the submission with 503.",
    )

    words = words_of(boss.get(f"/admin/report_orchestrator/reportrun/{run.pk}/change/"))
    page = text_of(boss.get(f"/admin/report_orchestrator/reportrun/{run.pk}/change/"))
    page_text = text_of(boss.get(f"/admin/report_orchestrator/reportrun/act/retry/?ids={run.pk}"))

    assert "Endgültig fehlgeschlagen um" in page
    assert "Fireant wurde 3-mal abgefragt." in page
    assert ">Schritte<" in page
    assert "Ursache: Fireant 503." in words
    assert "Der Bericht ist in Ordnung." in words
    assert "Wie aufgezeichnet: Fireant responded to the submission with 503." in words
    assert "1 Lauf erneut versuchen?" in page_text
    assert "geht beim Schritt „Speichern der Ergebnisse“ weiter" in page_text
