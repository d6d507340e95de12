"""Stores that let a worker die, or that change, and runs to store with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import NO_OBSERVER, StoredResult, WriteObserver
from report_orchestrator.services.running.worker import advance
from report_orchestrator.testing import FakePorts, FakeStore
from tests.support.settings_factory import SettingsFactory

SETTINGS = SettingsFactory.make()
BODY = b'{"results": [1, 2]}'


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of ours catches it."""


class FatalStore(FakeStore):
    """A store whose writer dies before or after a certain write."""

    die_before = ""
    die_after = ""

    def write(self, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        name = "manifest" if path.endswith(".manifest.json") else "result"
        self._die(name, "die_before")
        stored = super().write(path, chunks, observer)
        self._die(name, "die_after")
        return stored

    def _die(self, name: str, moment: str) -> None:
        if getattr(self, moment) == name:
            setattr(self, moment, "")
            raise Killed


@dataclass
class ChangedStore(FakeStore):
    """A store that returns other bytes than it stored, from a certain reading on."""

    changed: bytes = b""
    reading: int = 1
    readings: int = 0

    def read(self, path: str) -> Iterator[bytes]:
        self.readings += 1
        return iter([self.changed]) if self.readings >= self.reading else super().read(path)


def with_fatal_store(fakes: FakePorts) -> FakePorts:
    """Give the fakes a result, and a store whose writer can die."""
    fakes.fireant.bodies["101"] = BODY
    object.__setattr__(fakes, "store", FatalStore())
    return fakes


def go(run: ReportRun, fakes: FakePorts) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    return run


def killed_at(run: ReportRun, fakes: FakePorts, **moment: str) -> ReportRun:
    """A run whose worker died there, and whose lease has run out since."""
    for name, value in moment.items():
        setattr(fakes.store, name, value)
    with pytest.raises(Killed):
        go(run, fakes)
    run.refresh_from_db()
    assert (run.status, run.step) == (Status.RUNNING, Step.RESULTS_STORAGE)
    fakes.clock.advance(minutes=10)
    return run
