"""Secrets in the settings, and scenarios in which the outside gives them back in every field and several encodings."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from django.db import DatabaseError
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING
from report_orchestrator.domain.payload import build_payload
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.certificates import AUTHORITY, server_context
from tests.support.raw_server import Connection, answer, raw_server

KEY = "FK7/planted+key=of&fireant"
CLIENT_SECRET = "cs~Planted.8Q_of/entra+x"
TOKEN = "planted-token-of-onelake-0123456789"
PROXY_PASSWORD = "planted-of-the-proxy"
PLANTED = (KEY, CLIENT_SECRET, TOKEN, PROXY_PASSWORD)
REPORT = "Windstorm accumulation"


def forms(secret: str) -> set[str]:
    """Return the forms of a secret; written here again, so that the test does not trust the code under test."""
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
    """Return the response of a careless service."""
    octets = secret.encode()
    encoded = [quote(secret, safe=""), base64.b64encode(octets).decode(), octets.hex(), secret.replace("&", "&amp;")]
    named = base64.b64encode(f"x:{secret}".encode()).decode()
    return " | ".join([f"you sent Authorization: Bearer {secret}", *encoded, named])


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def careless_fireant(status: str, *, at: str) -> Callable[[Connection], None]:
    """Accepts jobs and leaks the key: in its rejections at `at`, or in a job's message if `at` is `job`."""

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
        here = f"https://{connection.head.split('Host: ')[1].split()[0]}" if "Host: " in connection.head else ""
        if "openid-configuration" in path:
            document: dict[str, object] = {
                "token_endpoint": f"{here}/tenant/oauth2/v2.0/token",
                "authorization_endpoint": f"{here}/tenant/oauth2/v2.0/authorize",
                "issuer": f"{here}/tenant/v2.0",
            }
            connection.send(answer(body=json.dumps(document).encode(), headers={"Content-Type": "application/json"}))
        elif path.endswith("/token"):
            sent = parse_qs(connection.body.decode()).get("client_secret", ["none came"])[0]
            document = {"error": "invalid_client", "error_description": f"AADSTS7000215: {echoes(sent)}"}
            if not entra_refuses:
                document = {"token_type": "Bearer", "access_token": TOKEN, "expires_in": 3600}
            status = "401 Unauthorized" if entra_refuses else "200 OK"
            connection.send(answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"}))
        else:
            said = echoes(TOKEN) if TOKEN in connection.head else "no token came"
            body = json.dumps({"error": {"code": "AuthorizationFailure", "message": said}}).encode()
            connection.send(answer("403 Forbidden", body, {"x-ms-error-code": "AuthorizationFailure", "X-Echo": TOKEN}))

    return talk


class World:
    """The state arranged by a scenario: `happened` tells at the end that the secrets really came that far."""

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


def proxy_refuses(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
    proxy = stack.enter_context(raw_server(lambda one: one.send(answer("407 Proxy Authentication Required"))))
    patch.setenv("https_proxy", proxy.url.replace("//", f"//me:{PROXY_PASSWORD}@"))
    change(settings, FIREANT_API_URL="https://fireant.test")
    return World(lambda: any("Proxy-Authorization: Basic" in head for head in proxy.heads))


def proxy_is_away(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
    patch.setenv("http_proxy", f"http://me:{PROXY_PASSWORD}@127.0.0.1:1")
    change(settings, FIREANT_API_URL="http://fireant.test")
    return World()


raised: list[str] = []


def failing_builder(report: Any, modifier: Any) -> dict[str, object]:
    """A host's own code that fails and leaks its secret in the message, the cause and the variables."""
    build_payload(report, modifier)
    raised.append(KEY)
    try:
        raise ValueError(echoes(KEY))
    except ValueError as error:
        raise DatabaseError(f'duplicate key value violates "{echoes(CLIENT_SECRET)}"') from error


def hosts_code_fails(settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> World:
    raised.clear()
    fireant = stack.enter_context(FireantSandbox(SandboxOptions(api_key=KEY)))
    change(settings, FIREANT_API_URL=fireant.url, PAYLOAD_BUILDER=f"{__name__}.failing_builder")
    return World(lambda: raised == [KEY, KEY])


def a_secret_is_in_the_wrong_setting(
    settings: DjangoSettings, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack
) -> World:
    change(
        settings, MAX_RETRIES=KEY, SCHEDULING_APPROACH=CLIENT_SECRET, FIREANT_API_URL=f"https://x:{KEY}@fireant.test"
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
