"""Messages of our system checks for changed settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import connection
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING

PREFIX = "report_orchestrator."
on_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="only for MySQL and MariaDB")
ONELAKE = {
    "RESULT_STORE": "onelake",
    "FABRIC_WORKSPACE_ID": "5f6b2c1e-0000-4000-8000-000000000001",
    "FABRIC_LAKEHOUSE_ID": "5f6b2c1e-0000-4000-8000-000000000002",
    "AZURE_TENANT_ID": "5f6b2c1e-0000-4000-8000-000000000003",
    "AZURE_CLIENT_ID": "5f6b2c1e-0000-4000-8000-000000000004",
    "AZURE_CLIENT_SECRET": "a-s3cret",
}
PRODUCTION = {
    "APP_ENV": "prod",
    "FIREANT_API_URL": "https://fireant.example",
    "FIREANT_API_KEY": "a-long-k3y",
    **ONELAKE,
}


def ours() -> list[CheckMessage]:
    return [message for message in run_checks() if (message.id or "").startswith(PREFIX)]


def found(settings: DjangoSettings, **changes: object) -> list[CheckMessage]:
    """Return the messages of the checks for these changed keys of the example host's settings; None removes one."""
    changed = {**getattr(settings, SETTING), **changes}
    setattr(settings, SETTING, {name: value for name, value in changed.items() if value is not None})
    return ours()


def ids(messages: list[CheckMessage]) -> list[str]:
    return [(message.id or "").removeprefix(PREFIX) for message in messages]


def only(messages: list[CheckMessage], expected_id: str) -> tuple[str, str]:
    """The message and the hint of the one finding that there must be."""
    assert ids(messages) == [expected_id]
    return messages[0].msg, messages[0].hint or ""


def with_cluster(settings: DjangoSettings, **changes: object) -> list[CheckMessage]:
    """Return the messages of the checks for another Q_CLUSTER; None removes a key."""
    cluster: dict[str, Any] = {**settings.Q_CLUSTER, **changes}
    settings.Q_CLUSTER = {name: value for name, value in cluster.items() if value is not None}
    return ours()
