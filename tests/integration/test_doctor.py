"""The doctor, over the example host, a local Fireant and a local OneLake: what it says of each thing, well or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from itertools import chain
from pathlib import Path

import django_q.brokers
import pytest
from django.core.management import call_command
from django.db import connections
from django_q.conf import Conf
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers, checks, wiring
from report_orchestrator.adapters import queue_probe
from report_orchestrator.conf import SETTING
from report_orchestrator.models import Mark
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.services.doctor import ABOUT
from report_orchestrator.services.maintenance import TICK_MARK
from report_orchestrator.testing import FakeClock
from report_orchestrator.wiring import get_ports
from tests.contract.shelves import refuse_links
from tests.host.api.models import Report
from tests.integration.test_commands import cells, manage
from tests.raw_server import Connection, answer, raw_server, says

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

KEY = "k3y-of-the-doctor"
NAMES = [
    "settings",
    "models and fields",
    "queue's settings",
    "database default",
    "database reports",
    "database's clock",
    "reports",
    "broker",
    "cluster: worker",
    "cluster: runs",
    "cluster: leases",
    "cluster: schedules",
    "cluster: workers",
    "Fireant",
    "Fireant's clock",
    "result store",
]


@pytest.fixture
def fireant() -> Iterator[FireantSandbox]:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        yield sandbox
        assert sandbox.jobs == ()


@pytest.fixture(autouse=True)
def well(fireant: FireantSandbox, settings: DjangoSettings, tmp_path: Path) -> None:
    """A host with one good report, a Fireant, a folder, and a cluster that was heard of."""
    change(
        settings,
        FIREANT_API_URL=fireant.url,
        FIREANT_API_KEY=KEY,
        RESULT_ROOT=tmp_path / "lake",
        TIMEOUT_SECONDS=0.5,
    )
    call_command("seed_reports", stdout=StringIO())
    Report.objects.exclude(name="Windstorm accumulation").delete()
    call_command("discover_reports", stdout=StringIO())
    Mark.objects.update_or_create(name=TICK_MARK, defaults={"marked_at": datetime.now(UTC)})


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def examined() -> dict[str, dict[str, str]]:
    """What the doctor says, by name; the exit status goes with it."""
    told = manage("orchestrator_doctor", "--format", "json")
    findings = {finding["name"]: finding for finding in told.json["findings"]}
    failed = any(finding["level"] == "fail" for finding in findings.values())
    assert (told.status, told.json["well"]) == (int(failed), not failed)
    assert KEY not in told.out + told.err
    return findings


def levels(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: finding["level"] for name, finding in findings.items() if finding["level"] != "ok"}


def test_a_host_that_is_well_has_a_line_for_each_thing() -> None:
    findings = examined()
    assert list(findings) == NAMES
    # No process of a cluster runs beside the tests.
    assert levels(findings) == {"cluster: workers": "warn"}


def test_a_person_sees_a_sign_a_word_and_what_to_do() -> None:
    told = manage("orchestrator_doctor")
    lines = {cells(line)[1]: cells(line) for line in told.out.splitlines() if len(cells(line)) == 4}
    assert lines["Fireant"] == [
        "✓ ok",
        "Fireant",
        "answered 404 to a question about no job, and took the key",
        "-",
    ]
    assert lines["cluster: workers"][0] == "! warn"
    assert "qcluster" in lines["cluster: workers"][3]
    assert told.out.endswith("15 ok, 1 to look at, 0 failed.\n")


def test_in_a_pipe_each_thing_is_one_line_with_its_text_whole_and_no_padding_to_the_longest(
    fireant: FireantSandbox,
) -> None:
    fireant.stop()
    told = manage("orchestrator_doctor")
    lines = told.out.splitlines()[1:-1]
    assert [cells(line)[1] for line in lines] == [name for name in NAMES if name != "Fireant's clock"]
    [away] = [cells(line) for line in lines if cells(line)[1] == "Fireant"]
    assert away[2:] == [
        "it failed",
        "Fireant cannot be reached at FIREANT_API_URL (the host refused the connection).",
    ]
    assert lines[0] == f"✓ ok   | settings           | {'well':32} | -"


def test_the_result_store_is_left_as_it_was(tmp_path: Path) -> None:
    examined()
    assert not (tmp_path / "lake").exists()
    (tmp_path / "lake" / "report_results" / "7").mkdir(parents=True)
    examined()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "lake").rglob("*"))
    assert left == ["lake/report_results", "lake/report_results/7"]


def test_a_table_in_a_folder_is_tried_and_left_as_it_was(settings: DjangoSettings, tmp_path: Path) -> None:
    change(settings, RESULT_TABLES=True)
    finding = examined()["result table"]
    assert finding["level"] == "ok"
    assert "took a row, showed it and was removed" in finding["detail"]
    assert not (tmp_path / "lake").exists()


def test_a_table_whose_folder_cannot_be_is_told(settings: DjangoSettings, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "Tables").write_text("in the way")
    change(settings, RESULT_TABLES=True)
    findings = examined()
    assert (findings["result store"]["level"], findings["result table"]["level"]) == ("ok", "fail")


def test_a_setting_that_cannot_be_read_is_told_and_the_rest_is_not_guessed_at(
    settings: DjangoSettings,
) -> None:
    change(settings, MAX_RETRIES="many", RESULT_STROE="local")
    findings = examined()
    assert levels(findings) == {"settings": "fail", "everything else": "fail"}
    told = manage("orchestrator_doctor")
    assert "RESULT_STROE" in told.out
    assert "MAX_RETRIES cannot be read: it must be a number. It is 'many'. (E003)" in told.out


def test_every_check_of_ours_is_about_something() -> None:
    known = set(re.findall(r"\b[EW]\d{3}\b", Path(checks.__file__).read_text()))
    assert len(known) > 15
    assert sorted(chain.from_iterable(ABOUT.values())) == sorted(known)


def test_tables_that_cannot_be_are_told(settings: DjangoSettings) -> None:
    change(settings, RESULT_TABLES=True, RESULT_STORE=f"{__name__}.Unprobed")
    assert levels(examined()) == {"settings": "fail", "everything else": "fail"}


def test_a_check_of_ours_that_nobody_has_grouped_is_told(
    settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ABOUT, "queue's settings", ())
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    finding = examined()["project"]
    assert (finding["level"], "(W109)" in finding["detail"]) == ("warn", True)


def test_a_field_that_leads_nowhere_and_a_queue_that_repeats_are_told(settings: DjangoSettings) -> None:
    change(settings, REPORT_FIELDS={"cron": "corn"})
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "max_attempts": 3}
    findings = examined()
    assert (findings["models and fields"]["level"], findings["queue's settings"]["level"]) == ("fail", "warn")
    assert "corn" in findings["models and fields"]["detail"]
    assert "max_attempts" in findings["queue's settings"]["hint"]


def test_an_error_of_the_projects_own_checks_is_told(settings: DjangoSettings) -> None:
    settings.STATICFILES_DIRS = "no list"
    assert examined()["project"]["level"] == "fail"


def test_a_project_whose_checks_cannot_even_run_is_told(settings: DjangoSettings) -> None:
    settings.ROOT_URLCONF = "tests.urls_that_are_not_there"
    finding = examined()["project"]
    assert finding["level"] == "fail"
    assert "ModuleNotFoundError: No module named 'tests.urls_that_are_not_there'" in finding["detail"]


def test_a_migration_that_is_missing_is_told_with_its_command() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'report_orchestrator'")
    with connections["reports"].cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'api'")
    findings = examined()
    assert findings["database default"]["detail"] == "1 migrations of report_orchestrator are not applied"
    assert findings["database default"]["hint"] == "Run 'manage.py migrate'."
    assert findings["database reports"]["hint"] == "Run 'manage.py migrate --database reports'."


@pytest.mark.parametrize(
    ("seconds", "level", "says"),
    [
        (-4, "ok", "agree"),
        (20, "warn", "20 s ahead of this machine's"),
        (-90, "fail", "90 s behind this machine's"),
    ],
)
def test_a_database_whose_clock_differs_is_told(
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
    assert finding["detail"].startswith("7 cannot run as they are defined: report ")
    assert "(Broken 0)" in finding["detail"]
    assert finding["detail"].endswith(" and 2 more")
    assert "not valid" in finding["hint"]


def test_no_known_report_is_told_with_the_command_that_finds_them() -> None:
    from report_orchestrator.models import ReportSchedule

    ReportSchedule.objects.all().delete()
    assert "discover_reports" in examined()["reports"]["hint"]


def test_a_broker_that_is_away_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_broker_that_is_away_keeps_nothing_else_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "REDIS", "redis://:hunter22@127.0.0.1:1/0")
    brokers._ticking_class.cache_clear()
    findings = examined()
    brokers._ticking_class.cache_clear()
    assert list(findings) == NAMES
    assert levels(findings) == {"broker": "fail", "cluster: workers": "fail"}
    assert "hunter22" not in str(findings)


def test_the_brokers_queue_is_counted_and_gets_nothing() -> None:
    before = django_q.brokers.get_broker().queue_size()
    assert examined()["broker"]["detail"] == f"TickingORM answers, {before} messages wait"
    assert django_q.brokers.get_broker().queue_size() == before


def test_a_cluster_that_was_heard_of_too_long_ago_is_told() -> None:
    Mark.objects.filter(name=TICK_MARK).update(marked_at=datetime.now(UTC) - timedelta(hours=1))
    finding = examined()["cluster: worker"]
    assert (finding["level"], finding["hint"]) == (
        "fail",
        "Restart qcluster: no worker is at work on a tick.",
    )


# Fireant


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_fireant_refuses_is_told(fireant: FireantSandbox, status: int) -> None:
    fireant.faults.add("status", "status_code", status=status, text=f"{KEY} is unknown")
    finding = examined()["Fireant"]
    fireant.faults.assert_all_fired()
    assert finding["level"] == "fail"
    assert "FIREANT_API_KEY" in finding["hint"]


def test_a_fireant_that_is_away_busy_or_silent_is_told(fireant: FireantSandbox) -> None:
    fireant.faults.add("status", "status_code", status=503)
    assert "503" in examined()["Fireant"]["hint"]
    fireant.faults.add("status", "reset")
    assert "did not answer" in examined()["Fireant"]["hint"]
    fireant.faults.assert_all_fired()
    fireant.stop()
    finding = examined()["Fireant"]
    assert (finding["level"], "cannot be reached" in finding["hint"]) == ("fail", True)


def test_a_fireant_without_a_key_is_worth_a_look(settings: DjangoSettings) -> None:
    with FireantSandbox() as open_to_all:
        change(settings, FIREANT_API_URL=open_to_all.url, FIREANT_API_KEY="")
        finding = examined()["Fireant"]
    assert (finding["level"], finding["hint"]) == ("warn", "Set FIREANT_API_KEY. ")


def test_a_web_server_that_is_no_fireant_is_worth_a_look(settings: DjangoSettings) -> None:
    with raw_server(says(answer("404 Not Found", b"<html>nothing here</html>"))) as server:
        change(settings, FIREANT_API_URL=server.url)
        finding = examined()["Fireant"]
    assert (finding["level"], "FIREANT_API_URL" in finding["hint"]) == ("warn", True)


@pytest.mark.parametrize(
    "body",
    [
        '{"detail": "Not Found"}',
        '{"status": 404, "timestamp": "2026-07-01T02:30:00.%d", "path": "%s"}',
        '{"message": "no Route matched with those values", "request_id": "%d%s"}',
    ],
)
def test_a_wrong_base_path_whose_router_answers_before_it_looks_at_a_key_is_worth_a_look(
    settings: DjangoSettings, body: str
) -> None:
    asked: list[str] = []

    def talk(connection: Connection) -> None:
        asked.append(connection.head.split()[1].partition("?")[0])
        said = body.replace("%s", asked[-1]).replace("%d", str(len(asked)))
        connection.send(answer("404 Not Found", said.encode()))

    with raw_server(talk) as server:
        change(settings, FIREANT_API_URL=f"{server.url}/api/v0")
        finding = examined()["Fireant"]
    assert (finding["level"], "took the key" in finding["detail"]) == ("warn", False)
    assert "FIREANT_API_URL" in finding["hint"]
    assert len(asked) == 2


@pytest.mark.parametrize(("ahead", "level"), [(30, "warn"), (-600, "fail")])
def test_a_fireant_whose_clock_differs_is_told(settings: DjangoSettings, ahead: int, level: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

    def talk(connection: Connection) -> None:
        body = b'{"detail": "no such job"}' if "/get_job_status/" in connection.head else b"{}"
        connection.send(answer("404 Not Found", body, {"Date": date}))

    with raw_server(talk) as server:
        change(settings, FIREANT_API_URL=server.url)
        findings = examined()
    assert (findings["Fireant"]["level"], findings["Fireant's clock"]["level"]) == ("ok", level)


# The store


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(settings: DjangoSettings, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o500)
    change(settings, RESULT_ROOT=sealed)
    assert "RESULT_ROOT" in examined()["result store"]["hint"]


def test_a_folder_that_is_a_file_is_told(settings: DjangoSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    change(settings, RESULT_ROOT=tmp_path / "file")
    finding = examined()["result store"]
    assert (finding["level"], "RESULT_ROOT" in finding["hint"]) == ("fail", True)


def test_a_folder_without_hard_links_is_well_where_renames_spare_what_stands(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert (finding["level"], "read back and removed" in finding["detail"]) == ("ok", True)
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


def test_a_folder_that_can_neither_link_nor_spare_is_told(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    monkeypatch.setattr("report_orchestrator.adapters.local_names._SPARING", 1 << 20)  # it answers EINVAL
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert finding["hint"].startswith("RESULT_ROOT is on a file system")
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


def test_a_folder_that_gives_a_taken_name_away_is_told(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    monkeypatch.setattr("report_orchestrator.adapters.local_names._SPARING", 0)  # the flag is not heeded
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert "gives a name which is taken to another file" in finding["hint"]
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


class Unprobed:
    """A host's own store, which cannot be tried."""

    def __init__(self, settings: object) -> None:
        """Takes the settings, as every store."""


class Broken(Unprobed):
    """A host's own store, which can."""

    def probe(self) -> object:
        """Fails."""
        from report_orchestrator.exceptions import StorageError

        raise StorageError("The tape is full. Put in another.")


class Careless(Unprobed):
    """A host's own store that lets its library's error through, with what the library knows."""

    def probe(self) -> object:
        """Fails."""
        raise RuntimeError(f"PUT failed, X-Api-Key: {KEY}")


def test_a_store_of_the_hosts_own_that_raises_anything_is_told_without_a_secret(
    settings: DjangoSettings,
) -> None:
    change(settings, RESULT_STORE=f"{__name__}.Careless")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert finding["detail"].startswith("it could not be looked at (RuntimeError: PUT failed")


@pytest.mark.parametrize(
    ("store", "level", "hint"),
    [
        ("Unprobed", "warn", "Give the store a method 'probe'"),
        ("Broken", "fail", "The tape is full. Put in another."),
    ],
)
def test_a_store_of_the_hosts_own_is_asked_where_it_can_be(
    settings: DjangoSettings, store: str, level: str, hint: str
) -> None:
    change(settings, RESULT_STORE=f"{__name__}.{store}")
    finding = examined()["result store"]
    assert (finding["level"], finding["hint"].startswith(hint)) == (level, True)


@pytest.fixture(scope="module")
def running() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def lake(running: OneLakeSandbox, settings: DjangoSettings) -> Iterator[OneLakeSandbox]:
    running.clear()
    change(settings, **running.settings_overrides(), TIMEOUT_SECONDS=5)
    yield running
    running.faults.assert_all_fired()


def test_a_lake_that_is_well_takes_a_file_and_is_left_as_it_was(lake: OneLakeSandbox) -> None:
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("ok", "ok")
    assert findings["token"]["detail"] == "obtained from Entra, good for 60 min"
    assert lake.requests["append"] == 1
    assert lake.listing() == {}


def test_a_lake_that_writes_files_and_refuses_names_is_told(lake: OneLakeSandbox) -> None:
    lake.faults.add("rename", "status_code", status=403)
    assert examined()["result store"]["level"] == "fail"
    assert lake.listing() == {}


def test_a_table_in_the_lake_is_tried_by_its_own_way_and_left_as_it_was(
    lake: OneLakeSandbox, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
    change(settings, RESULT_TABLES=True)
    assert examined()["result table"]["level"] == "ok"
    assert lake.requests["put_blob"] > 1
    assert (lake.listing(), lake.listing("Tables")) == ({}, {})
    assert [path for path, _entry in lake._files.below("Tables", recursive=True)] == []


def test_a_table_that_the_lake_refuses_to_write_is_told(
    lake: OneLakeSandbox, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
    change(settings, RESULT_TABLES=True)
    lake.faults.add("put_blob", "status_code", status=403)
    findings = examined()
    assert (findings["result store"]["level"], findings["result table"]["level"]) == ("ok", "fail")
    assert "RESULT_TABLES" in findings["result table"]["hint"]


def test_a_secret_that_entra_refuses_is_told(lake: OneLakeSandbox, settings: DjangoSettings) -> None:
    change(settings, AZURE_CLIENT_SECRET="wrong-secret-of-entra")
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("fail", "fail")
    assert "AZURE_CLIENT_SECRET" in findings["token"]["hint"]
    assert "wrong-secret-of-entra" not in str(findings)


def test_a_lakehouse_that_is_not_there_and_a_role_that_is_missing_are_told(
    lake: OneLakeSandbox, settings: DjangoSettings
) -> None:
    lake.faults.add("create", "status_code", status=403)
    findings = examined()
    assert (findings["token"]["level"], findings["result store"]["level"]) == ("ok", "fail")
    change(settings, FABRIC_LAKEHOUSE_ID="Elsewhere.Lakehouse")
    assert "FABRIC_LAKEHOUSE_ID" in examined()["result store"]["hint"]


def test_a_file_that_comes_back_otherwise_is_told_and_removed(lake: OneLakeSandbox) -> None:
    lake.faults.add("flush", "status_code", status=503)
    assert examined()["result store"]["level"] == "fail"
    assert lake.listing() == {}


def test_a_sign_that_the_output_cannot_show_is_left_out() -> None:
    from io import BytesIO, TextIOWrapper

    out = TextIOWrapper(BytesIO(), encoding="latin-1", errors="replace")
    call_command("orchestrator_doctor", stdout=out, stderr=StringIO(), no_color=True)
    out.flush()
    out.seek(0)
    assert "\nok " in out.read()
