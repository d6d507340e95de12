"""The doctor examines settings, checks, databases, reports, the broker and the cluster."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import chain
from pathlib import Path

import django_q.brokers
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connections
from django_q.conf import Conf
from django_q.models import Schedule
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers, checks, migrations, wiring
from report_orchestrator.adapters.queue import probe as queue_probe
from report_orchestrator.models import SharedState, StateName
from report_orchestrator.services.monitoring.doctor import CHECK_GROUPS
from report_orchestrator.testing import FakeClock
from report_orchestrator.wiring import get_ports
from tests.host.api.models import Report
from tests.support.commands import as_process, cells, manage
from tests.support.doctor import NAMES, change, examined, levels

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


def test_a_setting_that_cannot_be_read_is_reported_and_the_rest_is_not_guessed_at(settings: DjangoSettings) -> None:
    change(settings, MAX_RETRIES="many", RESULT_STROE="local")
    findings = examined()
    assert levels(findings) == {"settings": "fail", "everything else": "fail"}
    result = manage("orchestrator_doctor")
    assert "RESULT_STROE" in result.out
    assert "MAX_RETRIES is invalid: it must be a number. It is 'many'. (E003)" in result.out


def test_every_check_of_ours_is_about_something() -> None:
    known = set(
        re.findall(r"\b[EW]\d{3}\b", "".join(file.read_text() for file in Path(checks.__file__).parent.glob("*.py")))
    )
    assert len(known) > 15
    assert sorted(chain.from_iterable(CHECK_GROUPS.values())) == sorted(known)


def test_tables_that_cannot_be_are_reported(settings: DjangoSettings) -> None:
    change(settings, RESULT_TABLES=True, RESULT_STORE=f"{__name__}.Unprobed")
    assert levels(examined()) == {"settings": "fail", "everything else": "fail"}


def test_a_check_of_ours_that_nobody_has_grouped_is_reported(
    settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHECK_GROUPS, "queue's settings", ())
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    finding = examined()["project"]
    assert (finding["level"], "(W109)" in finding["detail"]) == ("warn", True)


def test_a_field_that_leads_nowhere_and_a_queue_without_a_broker_are_reported(settings: DjangoSettings) -> None:
    change(settings, REPORT_FIELDS={"cron": "corn"})
    settings.Q_CLUSTER = {"name": "host"}
    findings = examined()
    assert (findings["models and fields"]["level"], findings["queue's settings"]["level"]) == ("fail", "warn")
    assert "corn" in findings["models and fields"]["detail"]
    assert "'orm': 'default'" in findings["queue's settings"]["hint"]


def test_an_error_of_the_projects_own_checks_is_reported(settings: DjangoSettings) -> None:
    settings.STATICFILES_DIRS = "not a list"
    assert examined()["project"]["level"] == "fail"


def test_a_project_whose_checks_cannot_even_run_is_reported(settings: DjangoSettings) -> None:
    settings.ROOT_URLCONF = "tests.urls_that_are_not_there"
    finding = examined()["project"]
    assert finding["level"] == "fail"
    assert "ModuleNotFoundError: No module named 'tests.urls_that_are_not_there'" in finding["detail"]


def test_a_migration_that_is_missing_is_reported_with_its_command() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'report_orchestrator'")
    with connections["reports"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'api'")
    count = len(list(Path(migrations.__file__).parent.glob("0*.py")))
    findings = examined()
    assert findings["database default"]["detail"] == f"{count} migrations of report_orchestrator are not applied"
    assert findings["database default"]["hint"] == "Run 'manage.py migrate'."
    assert findings["database reports"]["hint"] == "Run 'manage.py migrate --database reports'."


@pytest.mark.parametrize(
    ("seconds", "level", "says"),
    [
        (-4, "ok", "matches"),
        (20, "warn", "20 s ahead of the clock of this machine"),
        (-90, "fail", "90 s behind the clock of this machine"),
    ],
)
def test_a_database_whose_clock_differs_is_reported(
    seconds: int, level: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "database_clock", FakeClock(datetime.now(UTC) + timedelta(seconds=seconds)))
    get_ports.cache_clear()
    finding = examined()["database's clock"]
    assert finding["level"] == level
    assert says in finding["detail"]


def test_quarantined_reports_are_counted_and_named() -> None:
    group = Report.objects.get().event_group
    for number in range(7):
        Report.objects.create(name=f"Broken {number}", cron="99 * * * *", event_group=group)
    call_command("discover_reports", stdout=StringIO())
    finding = examined()["quarantined reports"]
    assert finding["level"] == "warn"
    assert finding["detail"].startswith("7 with an invalid definition: report ")
    assert "(Broken 0)" in finding["detail"]
    assert finding["detail"].endswith(" and 2 more")
    assert "not valid" in finding["hint"]


def test_no_known_report_is_reported_with_the_command_that_finds_them() -> None:
    from report_orchestrator.models import ReportSchedule

    ReportSchedule.objects.all().delete()
    assert "discover_reports" in examined()["reports"]["hint"]


def test_a_broker_that_is_away_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    class Away:
        connection = redis.Redis.from_url("redis://:hunter22@127.0.0.1:1/0")

        def ping(self) -> bool:
            return bool(self.connection.ping())

    monkeypatch.setattr(queue_probe, "get_broker", Away)
    finding = examined()["broker"]
    Away.connection.close()
    assert finding["level"] == "fail"
    assert "Away" in finding["hint"]
    assert "hunter22" not in str(finding)


def test_without_a_broker_all_other_checks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "REDIS", "redis://:hunter22@127.0.0.1:1/0")
    brokers._ticking_class.cache_clear()
    findings = examined()
    brokers._ticking_class.cache_clear()
    assert list(findings) == NAMES
    assert levels(findings) == {"broker": "fail", "cluster: workers": "warn"}
    assert "hunter22" not in str(findings)


def test_the_brokers_queue_is_counted_and_gets_nothing() -> None:
    before = django_q.brokers.get_broker().queue_size()
    assert examined()["broker"]["detail"] == f"ORM responds, messages waiting: {before}"
    assert django_q.brokers.get_broker().queue_size() == before


def test_a_cluster_that_was_heard_of_too_long_ago_is_reported() -> None:
    SharedState.objects.filter(name=StateName.TICK).update(marked_at=datetime.now(UTC) - timedelta(hours=1))
    finding = examined()["cluster: worker"]
    assert (finding["level"], finding["hint"]) == ("fail", "Restart qcluster. Its workers send no heartbeat.")


def test_before_migrate_each_check_has_its_row_and_says_to_migrate(tmp_path: Path) -> None:
    reported = as_process(
        "orchestrator_doctor",
        DATABASE_URL=f"sqlite:///{tmp_path}/default.sqlite3",
        REPORTS_DATABASE_URL=f"sqlite:///{tmp_path}/reports.sqlite3",
    )
    rows = {cells(line)[1]: cells(line) for line in reported.out.splitlines() if len(cells(line)) == 4}
    assert (reported.status, reported.err) == (1, "")
    assert rows["database default"][3] == "Run 'manage.py migrate'."
    for name in ("reports", "cluster"):
        assert rows[name][2].startswith("tables are missing: ")
        assert rows[name][3] == "Run 'manage.py migrate'."
    assert rows["database's clock"][0].endswith("ok")
    assert {"Fireant", "result store"} <= rows.keys()


def test_a_row_at_which_the_queues_scheduler_fails_is_named() -> None:
    Schedule.objects.create(name="nightly", func="host.tasks.nightly", args="(")
    finding = examined()["queue's schedules"]
    assert finding["level"] == "fail"
    assert "'nightly' (args)" in finding["hint"]


@pytest.mark.parametrize("by_group", [True, False])
def test_users_who_may_schedule_any_function_are_counted(by_group: bool) -> None:
    assert examined()["queue's permissions"]["level"] == "ok"
    User.objects.create_superuser("root")
    for name, codename in (("ann", "add_schedule"), ("ben", "change_schedule"), ("eve", "view_schedule")):
        permission = Permission.objects.get(content_type__app_label="django_q", codename=codename)
        user = User.objects.create_user(name)
        if by_group:
            group = Group.objects.create(name=codename)
            group.permissions.add(permission)
            user.groups.add(group)
        else:
            user.user_permissions.add(permission)
    finding = examined()["queue's permissions"]
    assert finding["level"] == "warn"
    assert finding["detail"].endswith("besides superusers: 2")
    assert "django_q.add_schedule" in finding["hint"]
    User.objects.update(is_active=False)
    assert examined()["queue's permissions"]["level"] == "ok"
