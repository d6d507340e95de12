"""Secrets in the settings never leak: not into a log line, row, page, message, exception or repr, on success or failure."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.views.debug import get_default_exception_reporter_filter
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from pytest_django import Settings as DjangoSettings

from report_orchestrator import log_events
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.models import ReportRun
from report_orchestrator.wiring import get_ports, get_probes
from tests.host.api.models import Event, EventGroup, Report
from tests.support.commands import manage
from tests.support.planted_secrets import (
    CLIENT_SECRET,
    KEY,
    PLANTED,
    REPORT,
    SCENARIOS,
    TOKEN,
    a_secret_is_in_the_wrong_setting,
    change,
    forms,
)

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]

SEEDED = (Event, EventGroup)
"""Rows that nothing under test writes."""


@dataclass(slots=True)
class Heard(logging.Handler):
    """All lines of all logs, as our formatters write ours and Django's default writes the others."""

    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        logging.Handler.__init__(self)

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name == log_events.LOGGER
        formatters: list[logging.Formatter] = (
            [log_events.JsonLines(), log_events.ReadableLines()] if ours else [logging.Formatter()]
        )
        self.lines += [formatter.format(record) for formatter in formatters]

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Everything from DEBUG on, the libraries' included."""
    handler = Heard()
    loggers = [logging.getLogger(), logging.getLogger(log_events.LOGGER)]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
    yield handler
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(autouse=True)
def host(settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    change(
        settings,
        FIREANT_API_KEY=KEY,
        AZURE_CLIENT_SECRET=CLIENT_SECRET,
        RESULT_ROOT=tmp_path / "lake",
        TIMEOUT_SECONDS=5,
        MAX_RETRIES=0,
        POLL_INTERVAL_SECONDS=0.1,
    )
    call_command("seed_reports", stdout=StringIO())
    Report.objects.exclude(name=REPORT).delete()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_secret_comes_out(
    scenario: str,
    heard: Heard,
    settings: DjangoSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    admin_client: Client,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with ExitStack() as stack:
        world = SCENARIOS[scenario](settings, tmp_path, monkeypatch, stack)
        with django_capture_on_commit_callbacks(execute=True):
            sent_commands = commands()
        assert world.happened()
        assert ReportRun.objects.count() == 3
        shown = {
            **sent_commands,
            "log": "\n".join(heard.lines),
            "rows": rows(),
            "messages": messages(),
            "pages": pages(admin_client),
            "reprs": reprs(),
            "exceptions": exceptions(),
        }
        get_ports().fireant.close()  # type: ignore[attr-defined]  # the real client has connections
    assert leaks(shown) == []
    assert "report_orchestrator.tasks.work" in shown["messages"]
    assert REPORT in shown["pages"]


def test_no_secret_comes_out_of_a_setting_that_cannot_be_read(
    heard: Heard, settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        a_secret_is_in_the_wrong_setting(settings, tmp_path, monkeypatch, stack)
        sent_commands = commands()
        checked = StringIO()
        with pytest.raises(Exception, match="is invalid") as caught:
            call_command("check", stdout=checked, stderr=checked)
    sent_commands["check"] = "".join(traceback.format_exception(caught.value)) + checked.getvalue()
    assert leaks(sent_commands | {"log": "\n".join(heard.lines)}) == []


def test_what_the_sweep_looks_at_would_show_a_secret(heard: Heard, admin_client: Client) -> None:
    """The test's own eyes: a secret that does stand in a name, a message and a log line is found in each place."""
    Report.objects.update(name=f"{REPORT} {CLIENT_SECRET}")
    manage("run_report", Report.objects.get().pk)
    logging.getLogger("elsewhere").debug("%s", TOKEN)
    OrmQ.objects.create(key="x", payload=SignedPackage.dumps({"args": (KEY,)}))
    shown = {"log": "\n".join(heard.lines), "rows": rows(), "messages": messages(), "pages": pages(admin_client)}
    found = {place for place, _secret in leaks(shown)}
    assert found == set(shown)


def leaks(shown: dict[str, str]) -> list[tuple[str, str]]:
    """Return the places where a secret appears."""
    return [
        (place, secret)
        for place, text in shown.items()
        for secret in PLANTED
        if any(form in text for form in forms(secret))
    ]


def commands() -> dict[str, str]:
    """Return the output of the commands, in both formats, and take a run as far as it goes."""
    report = Report.objects.get().pk
    lines: list[tuple[Any, ...]] = [
        ("discover_reports",),
        ("run_report", report, "--now"),
        ("run_report", report, "--now", "--format", "json"),
        ("run_report", report),
        ("orchestrator_status",),
        ("orchestrator_health",),
        ("orchestrator_doctor",),
        ("orchestrator_doctor", "--format", "json"),
        ("sync_schedules",),
    ]
    collected = {}
    for line in lines:
        done = manage(str(line[0]), *line[1:], "--verbosity", "2")
        collected[" ".join(map(str, line))] = done.out + done.err
    if run := ReportRun.objects.first():
        collected["retry_run"] = str(manage("retry_run", "--reason", "tests", run.pk))
    return collected


def rows() -> str:
    """Every row of every table of every database, as it is stored."""
    collected = []
    for alias in connections:
        connection = connections[alias]
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - the database's own name
                collected += [str(row) for row in cursor.fetchall()]
    return "\n".join(collected)


def messages() -> str:
    """Return the opened messages of the queue."""
    return "\n".join(str(SignedPackage.loads(message.payload)) for message in OrmQ.objects.all())


def pages(client: Client) -> str:
    """Every page of the admin that shows a row of anything."""
    collected = []
    for model in admin.site._registry:
        if model._meta.app_label in {"auth", "contenttypes"} or issubclass(model, SEEDED):
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        for row in model._default_manager.order_by("-pk")[:3]:
            addresses += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history")]
        collected += [client.get(address).content.decode() for address in addresses]
    return "\n".join(collected)


def reprs() -> str:
    """Everything that holds the settings, as a debugger or a careless log line would show it."""
    ports, settings = get_ports(), get_settings()
    held = [settings, str(settings), ports, get_probes(), settings.fireant_api_key, settings.azure_client_secret]
    inner = [vars(port) for port in (ports.fireant, ports.store, ports.reports) if hasattr(port, "__dict__")]
    shown_by_django = get_default_exception_reporter_filter().get_safe_settings()[SETTING]
    return "\n".join(map(repr, [*held, *inner, shown_by_django]))


def exceptions() -> str:
    """Return the errors of the ports with all their causes, as a console or a monitor shows them."""
    collected = []
    ports, probes = get_ports(), get_probes()
    calls: list[Callable[[], object]] = [
        lambda: ports.fireant.status("7"),
        lambda: read(ports.fireant.results("7")),
        probes.fireant,
        probes.store,
    ]
    for call in calls:
        try:
            collected.append(repr(call()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not tell
            collected += [repr(error), *traceback.format_exception(error)]
    return "\n".join(collected)


def read(results: Any) -> int:
    with results as pieces:
        return sum(len(piece) for piece in pieces)
