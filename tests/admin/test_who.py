"""Who changed a report, as far as it is known, and the page of its history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from report_orchestrator.middleware import acting_user_middleware
from report_orchestrator.models import Intervention, ReportChange, ReportSchedule
from report_orchestrator.models.changes import ChangeKind, ChangeSource
from report_orchestrator.services.discovery.changed import refresh_changed
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.wiring import get_runtime
from tests.host.api.models import Report
from tests.support.admin_pages import NOW, address, make_change, make_run, make_schedule, words_of
from tests.support.dashboard import SignIn
from tests.support.host_changes import a_report

in_one_transaction = pytest.mark.django_db(databases=["default", "reports"])
with_commits = pytest.mark.django_db(transaction=True, databases=["default", "reports"])


def last_change() -> ReportChange:
    return ReportChange.objects.latest("pk")


@contextmanager
def tables_away(name: str) -> Iterator[None]:
    """Rename a table for a while."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO away")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {name}")


def name_of_person() -> str:
    user = User.objects.get()
    return f"{user.username} (user {user.pk})"


def edit_in_admin(client: Client, report: Report, cron: str) -> None:
    """Save the form of the project's own admin with another cron."""
    page = reverse("admin:api_report_change", args=[report.pk])
    form = client.get(page).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    filled = {name: value for name, value in values.items() if value is not None and value is not False}
    answer = client.post(page, filled | {"cron": cron})
    assert answer.status_code == 302, answer.context["errors"]


@with_commits
class TestWho:
    def test_an_edit_in_the_projects_admin_names_its_user(self, boss: Client) -> None:
        report = a_report()

        edit_in_admin(boss, report, "0 7 * * *")

        change = last_change()
        assert (change.kind, change.after, change.actor) == ("retimed", {"cron": "0 7 * * *"}, name_of_person())

    def test_a_save_by_a_script_names_nobody(self, boss: Client) -> None:
        report = a_report()
        edit_in_admin(boss, report, "0 7 * * *")
        User.objects.get().logentry_set.update(action_time=NOW)  # the edit was made a while ago

        report.refresh_from_db()
        report.cron = "0 8 * * *"
        report.save()

        assert (last_change().after, last_change().actor) == ({"cron": "0 8 * * *"}, "")

    def test_a_deletion_in_the_admin_names_its_user(self, boss: Client) -> None:
        report = a_report()

        boss.post(reverse("admin:api_report_delete", args=[report.pk]), {"post": "yes"})

        assert (last_change().kind, last_change().actor) == (ChangeKind.REMOVED, name_of_person())

    def test_an_edit_by_sql_after_one_in_the_admin_names_nobody(self, boss: Client) -> None:
        report = a_report()
        edit_in_admin(boss, report, "0 7 * * *")

        Report.objects.filter(pk=report.pk).update(cron="0 8 * * *")
        discover(runtime=get_runtime())

        assert (last_change().source, last_change().actor) == (ChangeSource.DISCOVERY, "")

    def test_the_middleware_names_the_user_of_the_projects_own_views(self) -> None:
        report, user = a_report(), User.objects.create_user("ada")

        def view(request: HttpRequest) -> HttpResponse:
            report.cron = "0 9 * * *"
            report.save()
            return HttpResponse()

        request: Any = RequestFactory().post("/")
        request.user = user
        acting_user_middleware(view)(request)
        assert (last_change().after, last_change().actor) == ({"cron": "0 9 * * *"}, f"ada (user {user.pk})")

        report.cron = "0 10 * * *"
        report.save()  # outside of the request
        assert (last_change().after, last_change().actor) == ({"cron": "0 10 * * *"}, "")

    def test_a_search_that_finds_no_change_asks_the_log_nothing(self, django_assert_num_queries: Any) -> None:
        a_report()
        with CaptureQueriesContext(connection) as queries:
            discover(runtime=get_runtime())
            refresh_changed(runtime=get_runtime())
        assert not [query for query in queries.captured_queries if "admin_log" in query["sql"]]


def make_action(run: Any, kind: str = "retried", **given: Any) -> Intervention:
    return Intervention.objects.create(run=run, kind=kind, **{"actor": "ada", "made_at": NOW} | given)


@in_one_transaction
class TestHistory:
    def page(self, client: Client, schedule: ReportSchedule, **query: Any) -> str:
        return words_of(client.get(address(ReportSchedule, "history", schedule.pk), query))

    def test_changes_and_actions_are_one_list_newest_first(self, viewer: Client) -> None:
        schedule = make_schedule()
        make_change(schedule, actor="maria")
        runs = [make_run(schedule) for _ in range(3)]
        make_action(runs[0], reason="Fireant is back", made_at=NOW + timedelta(minutes=1))
        for run in runs:
            make_action(run, "backfilled", actor="ben", made_at=NOW + timedelta(minutes=2))
        of_all = {
            "schedule": None,
            "kind": ChangeKind.PAUSED,
            "before": {},
            "after": {"actor": "eva", "reason": "audit"},
        }
        ReportChange.objects.create(**of_all, source=ChangeSource.PERSON, noticed_at=NOW + timedelta(minutes=3))
        make_action(make_run())  # of another report

        text = self.page(viewer, schedule)

        body = text[text.index("Reason") :]
        assert body.index("all reports: paused — eva audit") < body.index("3 runs: created by a backfill — ben —")
        assert body.index("3 runs") < body.index(f"run {runs[0].pk}: retried — ada Fireant is back")
        assert body.index("Fireant is back") < body.index("rescheduled cron: 0 6 * * * → 0 7 * * * maria —")
        assert body.count("ada") == 1

    def test_a_long_history_has_pages(self, viewer: Client) -> None:
        schedule = make_schedule()
        for minute in range(60):
            make_change(schedule, noticed_at=NOW + timedelta(minutes=minute), actor=f"number-{minute}-")

        first, second = self.page(viewer, schedule), self.page(viewer, schedule, p=2)

        assert [first.count("number-"), second.count("number-")] == [50, 10]
        assert ("number-59-" in first, "number-0-" in second) == (True, True)

    @pytest.mark.parametrize(("codename", "seen"), [("view_reportrun", "ada"), ("view_reportchange", "maria")])
    def test_what_a_reader_may_not_see_is_left_out(self, sign_in: SignIn, codename: str, seen: str) -> None:
        schedule = make_schedule()
        make_change(schedule, actor="maria")
        make_action(make_run(schedule))

        text = self.page(sign_in("view_reportschedule", codename), schedule)

        assert [name for name in ("ada", "maria") if name in text] == [seen]

    def test_without_permission_to_see_reports_there_is_no_history(self, sign_in: SignIn) -> None:
        page = address(ReportSchedule, "history", make_schedule().pk)
        assert sign_in("view_reportrun", "view_reportchange").get(page).status_code == 403

    def test_its_length_costs_no_queries(self, viewer: Client) -> None:
        schedule = make_schedule()
        for minute in range(40):
            make_change(schedule)
            make_action(make_run(schedule), made_at=NOW + timedelta(minutes=minute))
        with CaptureQueriesContext(connection) as queries:
            self.page(viewer, schedule)
        assert len(queries) <= 12, [query["sql"] for query in queries]

    def test_an_empty_history_says_so(self, viewer: Client) -> None:
        assert "No changes and no actions." in self.page(viewer, make_schedule())


@in_one_transaction
def test_lists_and_pages_say_who_and_that_nobody_is_known(viewer: Client) -> None:
    known, unknown = make_change(actor="maria"), make_change()
    in_list = words_of(viewer.get(address(ReportChange, "changelist")))
    assert ("maria" in in_list, "not known" in in_list) == (True, True)
    assert "not known: changed by SQL" in words_of(viewer.get(address(ReportChange, "change", unknown.pk)))
    assert "maria" in words_of(viewer.get(address(ReportSchedule, "change", known.schedule_id)))


@with_commits
def test_a_log_that_cannot_be_read_fails_no_save(boss: Client, caplog: pytest.LogCaptureFixture) -> None:
    report = a_report()
    with tables_away("django_admin_log"):
        report.cron = "0 7 * * *"
        report.save()
    assert (last_change().after, last_change().actor) == ({"cron": "0 7 * * *"}, "")
    assert "The admin's log cannot be read" in caplog.text
