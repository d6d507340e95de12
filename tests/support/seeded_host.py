"""The seeded example host, for tests of commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.management import follow_runs as following
from report_orchestrator.services.running import worker as execution
from report_orchestrator.testing import make_runtime
from report_orchestrator.wiring import get_ports
from tests.host.api.models import Report

WINDSTORM = "Windstorm accumulation"
SAYS = {
    "no_event_group": "has no event group. Choose one in the project.",
    "empty_event_group": "has an event group without events. Add events to the group, or choose another group.",
    "mixed_event_types": "has boxes and rings in one event group, but Fireant accepts one type per report. "
    "Split the group, and create a report for each type.",
    "unknown_event_type": "has an event that is neither a ring, a box nor a geographic area. "
    "Replace that event in its event group.",
}


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def id_of(name: str) -> int:
    return Report.objects.get(name=name).pk


def rows(models: tuple[Any, ...]) -> list[list[tuple[object, ...]]]:
    return [list(model.objects.order_by("pk").values_list()) for model in models]


def sleep_is(sleep: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the commands that follow runs do this instead of sleeping."""
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime))


def a_worker_works() -> Callable[[float], None]:
    """Replaces the command's sleep: it does all work that is due, as a cluster's worker would in that time."""

    def work(_seconds: float) -> None:
        ports = get_ports()
        until = ports.clock() + timedelta(seconds=30)
        execution.run_due(None, runtime=make_runtime(ports, get_settings()), until=until)

    return work


@dataclass(frozen=True, kw_only=True)
class Start:
    """The state at a cluster's start: its name, the lines of the schedule table, and its mode."""

    name: str | None
    lines: set[str]
    once: bool
