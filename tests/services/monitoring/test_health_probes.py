"""The probes of health answer 200 or 503, whatever happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings as DjangoSettings

from report_orchestrator.models import SharedState
from tests.support.commands import manage

pytestmark = pytest.mark.django_db


def test_the_view_says_the_same_to_a_probe(client: Client) -> None:
    response = client.get(reverse("report_orchestrator:health"))
    assert response.status_code == 503
    assert json.loads(response.content)["healthy"] is False
    assert client.post(reverse("report_orchestrator:health")).status_code == 405


@pytest.mark.parametrize("path", ["/orchestrator/health/", "/orchestrator/health"])
def test_no_login_and_no_redirect_stands_before_the_health_page(
    client: Client, settings: DjangoSettings, path: str
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert client.get(path).status_code == 503
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=datetime.now(UTC))
    assert client.get(path).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_health_page_opens_no_transaction_of_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    with CaptureQueriesContext(connection) as queries:
        client.get("/orchestrator/health/")
    assert [query["sql"] for query in queries if query["sql"].startswith(("BEGIN", "SAVEPOINT"))] == []


@pytest.mark.parametrize("path", ["health/", "health/live/", "health/ready/", "health", "health/live", "health/ready"])
@pytest.mark.django_db(transaction=True, databases=["default", "reports"])
def test_a_database_that_cannot_be_used_is_no_error_page(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("connection refused")

    for alias in connections:
        monkeypatch.setitem(connections[alias].settings_dict, "ATOMIC_REQUESTS", True)
        for name in ("cursor", "set_autocommit", "get_autocommit"):
            monkeypatch.setattr(connections[alias], name, refuse)
    client.raise_request_exception = False
    response = client.get(f"/orchestrator/{path}")
    assert (response.status_code, response["Content-Type"]) == (200 if "live" in path else 503, "application/json")
    assert response.json()["error"] == "OperationalError: see the log of the web process"


@pytest.mark.parametrize("path", ["health/", "health/live/"])
def test_an_unexpected_error_is_503(client: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def fail() -> None:
        raise ValueError("password=secret")

    monkeypatch.setattr("report_orchestrator.views.get_runtime", fail)
    response = client.get(f"/orchestrator/{path}")
    assert (response.status_code, "secret" in response.content.decode()) == (503, False)


@pytest.mark.django_db(databases=["default", "reports"])
def test_liveness_leaves_out_what_no_restart_mends(client: Client) -> None:
    for name in ("tick", "bell: report_orchestrator.tasks.tick"):
        SharedState.objects.record(name, now=datetime.now(UTC))
    names = [finding["name"] for finding in client.get("/orchestrator/health/live/").json()["findings"]]
    assert names == ["worker", "scheduler", "runs", "leases"]
    assert manage("orchestrator_health", "--liveness").status == 0


def test_liveness_does_not_fail_for_a_database_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("report_orchestrator.management.commands.orchestrator_health.check_liveness", refuse)
    answer = manage("orchestrator_health", "--liveness")
    assert (answer.status, "no restart" in answer.err) == (0, True)
