"""Temporary files of the store are swept, those of runs that write are not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from report_orchestrator import testing
from report_orchestrator.exceptions import TransientError
from report_orchestrator.models import ReportRun
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.services.upkeep.temp_files import MAX_FILES, MIN_AGE, sweep_if_due
from report_orchestrator.signals import schedule_event
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.result_stores import SETTINGS, go, killed_at, with_fatal_store

pytestmark = pytest.mark.django_db

NewRun = Callable[..., ReportRun]


@pytest.fixture
def fatal(fakes: FakePorts) -> FakePorts:
    return with_fatal_store(fakes)


def test_the_store_is_swept_once_a_day_and_spares_what_runs_write(new_run: NewRun, fatal: FakePorts) -> None:
    writing, done, waiting = killed_at(new_run(), fatal, die_before="result"), go(new_run(), fatal), new_run()
    assert {run.status for run in (writing, done, waiting)} == {"running", "succeeded", "queued"}

    for _ in range(3):
        sweep_if_due(runtime=make_runtime(fatal.ports))
        fatal.clock.advance(hours=9)
    assert fatal.store.sweeps == [(MIN_AGE, frozenset({writing.result_path}))]

    sweep_if_due(runtime=make_runtime(fatal.ports))
    assert len(fatal.store.sweeps) == 2


def test_a_store_with_much_to_sweep_is_swept_a_part_a_minute(fakes: FakePorts) -> None:
    long_ago = time.monotonic() - 2 * MIN_AGE.total_seconds()
    left = (testing._Unfinished(path=f"{number}.json", touched_at=long_ago) for number in range(2 * MAX_FILES + 1))
    fakes.store.unfinished = set(left)
    removed = []
    for _ in range(4):
        removed.append(sweep_if_due(runtime=fakes.runtime()))
        fakes.clock.advance(minutes=1)
    assert removed == [MAX_FILES, MAX_FILES, 1, 0]


def test_a_tick_sweeps(fakes: FakePorts) -> None:
    upkeep.tick(runtime=fakes.runtime(SETTINGS), until=fakes.clock.now + timedelta(seconds=1))
    assert fakes.store.sweeps == [(MIN_AGE, frozenset())]


def test_a_sweep_that_fails_is_reported_and_tried_again_within_the_day(
    fakes: FakePorts, django_capture_on_commit_callbacks: Any
) -> None:
    reported: list[dict[str, object]] = []

    def hear(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        reported.append({"event": event, **fields})

    fakes.store.failures.append(TransientError("the lake is at capacity", code="onelake_at_capacity"))
    schedule_event.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert sweep_if_due(runtime=fakes.runtime()) == 0
    finally:
        schedule_event.disconnect(hear)
    expected = {"error_code": "onelake_at_capacity", "error": "the lake is at capacity"}
    assert reported == [{"event": "sweep_failed", **expected}]
    assert fakes.store.sweeps == []

    fakes.clock.advance(hours=1)
    sweep_if_due(runtime=fakes.runtime())
    assert len(fakes.store.sweeps) == 1
