"""A superuser, and services that speak to fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.test import Client

from report_orchestrator.admin.actions import confirm, report_actions
from report_orchestrator.testing import FakePorts, make_runtime


@pytest.fixture
def outside(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> FakePorts:
    """The admin's services speak to fakes, at the time that it is."""
    fakes.clock.now = datetime.now(UTC)
    ports = replace(fakes.ports, reports=fakes.reports)
    for module in (confirm, report_actions):
        for name, value in (("get_ports", ports), ("get_runtime", make_runtime(ports))):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda value=value: value)
    return fakes


@pytest.fixture
def boss(sign_in: Callable[..., Client], outside: FakePorts) -> Client:
    return sign_in(is_superuser=True)
