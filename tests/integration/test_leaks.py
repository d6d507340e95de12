"""Secrets planted in the settings come out nowhere: not in a log line, row, page, message, exception or repr, well or not.

The outside gives back what it was sent, in every field and in several encodings; each scenario asserts that it really did.
"""

from __future__ import annotations

import base64
import json
import logging
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.test import Client
from django.urls import reverse
from django.views.debug import get_default_exception_reporter_filter
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from pytest_django import Settings as DjangoSettings

from report_orchestrator import log_events
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.domain.payload import build_payload
from report_orchestrator.models import ReportRun
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake_certificates import AUTHORITY, server_context
from report_orchestrator.wiring import get_ports, get_probes
from tests.host.api.models import Event, EventGroup, Report
from tests.integration.test_commands import manage
from tests.raw_server import Connection, answer, raw_server

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

KEY = "FK7/planted+key=of&fireant"
CLIENT_SECRET = "cs~Planted.8Q_of/entra+x"
TOKEN = "planted-token-of-onelake-0123456789"
PROXY_PASSWORD = "planted-of-the-proxy"
PLANTED = (KEY, CLIENT_SECRET, TOKEN, PROXY_PASSWORD)
REPORT = "Windstorm accumulation"
SEEDED = (Event, EventGroup)
"""Rows that nothing of what is tested here writes."""


def forms(secret: str) -> set[str]:
    """How a secret may look; written down here once more, so that the test does not believe the code it tests."""
    octets = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        base64.b64encode(octets).decode().rstrip("="),
        base64.b64encode(f"x:{secret}".encode()).decode()[4:-4],
        octets.hex(),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        secret.replace("&", "&amp;"),
        secret[:-1],
        secret[: len(secret) // 2],
        secret[len(secret) // 2 :],
    }


def echoes(secret: str) -> str:
    """What a careless service says."""
    octets = secret.encode()
    encoded = [
        quote(secret, safe=""),
        base64.b64encode(octets).decode(),
        octets.hex(),
        secret.replace("&", "&amp;"),
    ]
    named = base64.b64encode(f"x:{secret}".encode()).decode()
    return " | ".join([f"you sent Authorization: Bearer {secret}", *encoded, named])


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


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def careless_fireant(status: str, *, at: str) -> Callable[[Connection], None]:
    """Takes jobs, and tells everybody the key: in its refusals at `at`, or in a job's words where `at` is `job`."""

    def talk(connection: Connection) -> None:
        path = connection.head.split(" ")[1]
        said = echoes(KEY) if KEY in connection.head else "no key came"
        if at != "job" and path.startswith(at):
            connection.send(
                answer(status, said.encode(), {"X-Echo": KEY, "Location": f"http://x:{KEY}@elsewhere/{KEY}"})
            )
        elif path.startswith("/job_exposure"):
            connection.send(answer(body=b'{"job_id": 7}'))
        elif path.startswith("/get_job_status"):
            words = {
                "status": "Failed" if at == "job" else "Finished",
                "message": said,
                "error": said,
                "results_url": said,
            }
            connection.send(answer(body=json.dumps({"data": words}).encode()))
        else:
            connection.send(answer(body=b'{"results": []}'))

    return talk


def careless_microsoft(*, entra_refuses: bool) -> Callable[[Connection], None]:
    """An Entra and a OneLake at one address: refuses the secret and shows it, or gives a token and shows that."""

    def talk(connection: Connection) -> None:
        path = connection.head.split(" ")[1]
        here = (
            f"https://{connection.head.split('Host: ')[1].split()[0]}" if "Host: " in connection.head else ""
        )
        if "openid-configuration" in path:
            document: dict[str, object] = {
                "token_endpoint": f"{here}/tenant/oauth2/v2.0/token",
                "authorization_endpoint": f"{here}/tenant/oauth2/v2.0/authorize",
                "issuer": f"{here}/tenant/v2.0",
            }
            connection.send(
                answer(body=json.dumps(document).encode(), headers={"Content-Type": "application/json"})
            )
        elif path.endswith("/token"):
            sent = parse_qs(connection.body.decode()).get("client_secret", ["none came"])[0]
            document = {"error": "invalid_client", "error_description": f"AADSTS7000215: {echoes(sent)}"}
            if not entra_refuses:
                document = {"token_type": "Bearer", "access_token": TOKEN, "expires_in": 3600}
            status = "401 Unauthorized" if entra_refuses else "200 OK"
            connection.send(
                answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
            )
        else:
            said = echoes(TOKEN) if TOKEN in connection.head else "no token came"
            body = json.dumps({"error": {"code": "AuthorizationFailure", "message": said}}).encode()
            connection.send(
                answer("403 Forbidden", body, {"x-ms-error-code": "AuthorizationFailure", "X-Echo": TOKEN})
            )

    return talk


class World:
    """What a scenario has arranged: `happened` says, at the end, whether the secrets really came that far."""

    def __init__(self, happened: Callable[[], bool] = lambda: True) -> None:
        self.happened = happened


Scenario = Callable[[DjangoSettings, Path, pytest.MonkeyPatch, ExitStack], World]


def all_is_well(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
    fireant = stack.enter_context(FireantSandbox(SandboxOptions(api_key=KEY)))
    lake = stack.enter_context(OneLakeSandbox())
    change(settings, FIREANT_API_URL=fireant.url, **lake.settings_overrides())
    # Two results, each with its manifest.
    return World(lambda: (len(fireant.jobs), len(lake.listing("Files/report_results"))) == (2, 4))


def fireant_echoes(status: str, at: str) -> Scenario:
    def arrange(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
        server = stack.enter_context(raw_server(careless_fireant(status, at=at)))
        change(settings, FIREANT_API_URL=server.url)
        return World(lambda: any(KEY in head for head in server.heads))

    return arrange


def microsoft_echoes(*, entra_refuses: bool) -> Scenario:
    def arrange(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
        fireant = stack.enter_context(FireantSandbox(SandboxOptions(api_key=KEY)))
        context: ssl.SSLContext = server_context(folder, "127.0.0.1")
        server = stack.enter_context(raw_server(careless_microsoft(entra_refuses=entra_refuses), tls=context))
        change(
            settings,
            FIREANT_API_URL=fireant.url,
            RESULT_STORE="onelake",
            FABRIC_ACCOUNT_URL=server.url,
            AZURE_AUTHORITY_HOST=server.url,
            FABRIC_CA_FILE=str(folder / AUTHORITY),
            FABRIC_WORKSPACE_ID="Workspace",
            FABRIC_LAKEHOUSE_ID="Results",
            AZURE_TENANT_ID="tenant",
            AZURE_CLIENT_ID="client",
        )
        planted = quote(CLIENT_SECRET, safe="~") if entra_refuses else TOKEN
        return World(lambda: any(planted in head + body.decode("latin-1") for head, body in server.requests))

    return arrange


def proxy_refuses(
    settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack
) -> World:
    proxy = stack.enter_context(raw_server(lambda one: one.send(answer("407 Proxy Authentication Required"))))
    patch.setenv("https_proxy", proxy.url.replace("//", f"//me:{PROXY_PASSWORD}@"))
    change(settings, FIREANT_API_URL="https://fireant.test")
    return World(lambda: any("Proxy-Authorization: Basic" in head for head in proxy.heads))


def proxy_is_away(
    settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack
) -> World:
    patch.setenv("http_proxy", f"http://me:{PROXY_PASSWORD}@127.0.0.1:1")
    change(settings, FIREANT_API_URL="http://fireant.test")
    return World()


raised: list[str] = []


def failing_builder(report: Any, modifier: Any) -> dict[str, object]:
    """A host's own code that fails with everything it knows: in its words, its cause and its variables."""
    build_payload(report, modifier)
    raised.append(KEY)
    try:
        raise ValueError(echoes(KEY))
    except ValueError as error:
        raise DatabaseError(f'duplicate key value violates "{echoes(CLIENT_SECRET)}"') from error


def hosts_code_fails(
    settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack
) -> World:
    raised.clear()
    fireant = stack.enter_context(FireantSandbox(SandboxOptions(api_key=KEY)))
    change(settings, FIREANT_API_URL=fireant.url, PAYLOAD_BUILDER=f"{__name__}.failing_builder")
    return World(lambda: raised == [KEY, KEY])


def a_secret_is_in_the_wrong_setting(
    settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack
) -> World:
    change(
        settings,
        MAX_RETRIES=KEY,
        SCHEDULING_APPROACH=CLIENT_SECRET,
        FIREANT_API_URL=f"https://x:{KEY}@fireant.test",
    )
    return World()


SCENARIOS: dict[str, Scenario] = {
    "all is well": all_is_well,
    **{
        f"Fireant echoes the key: {status} at {at}": fireant_echoes(status, at)
        for at, status in (
            ("/job_exposure", "401 Unauthorized"),
            ("/job_exposure", "422 Unprocessable"),
            ("/job_exposure", "500 Server Error"),
            ("/get_job_status", "200 OK"),
            ("/get_job_status", "503 Unavailable"),
            ("/jobs/results", "400 Bad Request"),
            ("/jobs/results", "302 Found"),
        )
    },
    "a failed job tells the key": fireant_echoes("", "job"),
    "Entra echoes the secret": microsoft_echoes(entra_refuses=True),
    "OneLake echoes the token": microsoft_echoes(entra_refuses=False),
    "a proxy wants a password": proxy_refuses,
    "a proxy is away": proxy_is_away,
    "the host's code fails": hosts_code_fails,
}


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
            said = commands()
        assert world.happened()
        assert ReportRun.objects.count() == 3
        shown = {
            **said,
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
        said = commands()
        checked = StringIO()
        with pytest.raises(Exception, match="cannot be read") as caught:
            call_command("check", stdout=checked, stderr=checked)
    said["check"] = "".join(traceback.format_exception(caught.value)) + checked.getvalue()
    assert leaks(said | {"log": "\n".join(heard.lines)}) == []


def test_what_the_sweep_looks_at_would_show_a_secret(heard: Heard, admin_client: Client) -> None:
    """The test's own eyes: a secret that does stand in a name, a message and a log line is found in each place."""
    Report.objects.update(name=f"{REPORT} {CLIENT_SECRET}")
    manage("run_report", Report.objects.get().pk)
    logging.getLogger("elsewhere").debug("%s", TOKEN)
    OrmQ.objects.create(key="x", payload=SignedPackage.dumps({"args": (KEY,)}))
    shown = {
        "log": "\n".join(heard.lines),
        "rows": rows(),
        "messages": messages(),
        "pages": pages(admin_client),
    }
    found = {place for place, _secret in leaks(shown)}
    assert found == set(shown)


def leaks(shown: dict[str, str]) -> list[tuple[str, str]]:
    """Where something of which secret stands."""
    return [
        (place, secret)
        for place, text in shown.items()
        for secret in PLANTED
        if any(form in text for form in forms(secret))
    ]


def commands() -> dict[str, str]:
    """What the commands say, in both formats, and that a run goes as far as it can."""
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
    told = {}
    for line in lines:
        done = manage(str(line[0]), *line[1:], "--verbosity", "2")
        told[" ".join(map(str, line))] = done.out + done.err
    if run := ReportRun.objects.first():
        told["retry_run"] = str(manage("retry_run", run.pk))
    return told


def rows() -> str:
    """Every row of every table of every database, as it is stored."""
    told = []
    for alias in connections:
        connection = connections[alias]
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - the database's own name
                told += [str(row) for row in cursor.fetchall()]
    return "\n".join(told)


def messages() -> str:
    """What stands in the queue, opened."""
    return "\n".join(str(SignedPackage.loads(message.payload)) for message in OrmQ.objects.all())


def pages(client: Client) -> str:
    """Every page of the admin that shows a row of anything."""
    told = []
    for model in admin.site._registry:
        if model._meta.app_label in {"auth", "contenttypes"} or issubclass(model, SEEDED):
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses = [reverse(f"{name}_changelist")]
        for row in model._default_manager.order_by("-pk")[:3]:
            addresses += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "history")]
        told += [client.get(address).content.decode() for address in addresses]
    return "\n".join(told)


def reprs() -> str:
    """Everything that holds the settings, as a debugger or a careless log line would show it."""
    ports, settings = get_ports(), get_settings()
    held = [
        settings,
        str(settings),
        ports,
        get_probes(),
        settings.fireant_api_key,
        settings.azure_client_secret,
    ]
    inner = [vars(port) for port in (ports.fireant, ports.store, ports.reports) if hasattr(port, "__dict__")]
    shown_by_django = get_default_exception_reporter_filter().get_safe_settings()[SETTING]
    return "\n".join(map(repr, [*held, *inner, shown_by_django]))


def exceptions() -> str:
    """What the ports raise themselves, with all their causes, as a console or a monitor would show it."""
    told = []
    ports, probes = get_ports(), get_probes()
    calls: list[Callable[[], object]] = [
        lambda: ports.fireant.status("7"),
        lambda: read(ports.fireant.results("7")),
        probes.fireant,
        probes.store,
    ]
    for call in calls:
        try:
            told.append(repr(call()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not tell
            told += [repr(error), *traceback.format_exception(error)]
    return "\n".join(told)


def read(results: Any) -> int:
    with results as pieces:
        return sum(len(piece) for piece in pieces)
