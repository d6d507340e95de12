"""Random sequences of outcomes, crashes, people and late writers against the run table: the invariants hold after each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import ENDED, UNFINISHED, Status
from report_orchestrator.exceptions import (
    FireantError,
    LeaseLostError,
    NotPossibleError,
    StorageError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.models import ReportRun, ReportSchedule, RunStep
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.operator_actions import cancel_run, retry_run
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.worker import run_due
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.slow

SETTINGS = SettingsFactory.make(MAX_POLL_ATTEMPTS=4, MAX_RETRIES=2, FIREANT_CIRCUIT_FAILURES=2)
PEOPLE = ("retry", "cancel", "late")
OPERATIONS = (
    "work",
    "poll",
    "wait",
    "wait long",
    "fail submit",
    "unknown submit",
    "refuse submit",
    "down",
    "fail status",
    "job fails",
    "job runs",
    "fail store",
    "refuse store",
    "kill submit",
    "kill results",
    "end results",
    *PEOPLE,
)


class Killed(BaseException):
    """A worker's death: nothing below it may catch this."""


class World:
    """One run, its surroundings, and a copy of the row from before for the late writer."""

    def __init__(self) -> None:
        self.fakes = FakePorts()
        self.fakes.reports.add(geo_report("1"))
        discover(runtime=self.fakes.runtime(get_settings()))
        schedule = ReportSchedule.objects.get()
        self.run = open_manual_run(schedule, run_date=None, requested_by="test", runtime=self.fakes.runtime())
        self.late = ReportRun.objects.get(pk=self.run.pk)

    def perform(self, name: str) -> None:
        fireant = self.fakes.fireant
        script: dict[str, tuple[str, BaseException]] = {
            "fail submit": ("submit", TransientError("x", code="fireant_429")),
            "unknown submit": ("submit", SubmissionUnknownError("x")),
            "refuse submit": ("submit", FireantError("x", code="fireant_422")),
            "down": ("status", TransientError("x", code="fireant_unreachable")),
            "fail status": ("status", TransientError("x", code="malformed_answer")),
            "kill submit": ("submit", Killed()),
            "kill results": ("results", Killed()),
            "end results": ("results", SystemExit()),
        }
        if name in script:
            method, error = script[name]
            fireant.fail(method, error)
        elif name.startswith("job "):
            state = JobState.FAILED if name == "job fails" else JobState.RUNNING
            fireant.answer(str(100 + len(fireant.submitted) + 1), state)
            fireant.answer(str(100 + len(fireant.submitted)), state)
        elif name.endswith(" store"):
            self.fakes.store.failures.append(StorageError("x") if name.startswith("refuse") else TransientError("x"))
        else:
            getattr(self, name.replace(" ", "_"))()

    def work(self) -> None:
        try:
            run_due(None, runtime=self.fakes.runtime(SETTINGS), until=self.soon())
        except (Killed, SystemExit):
            return

    def poll(self) -> None:
        poll_due(runtime=self.fakes.runtime(SETTINGS), until=self.soon())

    def soon(self) -> Any:
        return self.fakes.clock.now + timedelta(seconds=1)

    def wait(self) -> None:
        self.fakes.clock.advance(seconds=20)

    def wait_long(self) -> None:
        self.fakes.clock.advance(minutes=10)

    def retry(self) -> None:
        try:
            retry_run(self.run.pk, actor="ann", runtime=self.fakes.runtime())
        except NotPossibleError:
            return

    def cancel(self) -> None:
        try:
            cancel_run(self.run.pk, actor="ann", runtime=self.fakes.runtime())
        except NotPossibleError:
            return

    def late_write(self) -> bool:
        """A worker of long ago tries to end the run its own way. True where it got through."""
        try:
            self.late.write(status="succeeded", worker="", wake_at=None, ended_at=self.fakes.clock.now)
        except LeaseLostError:
            self.late = ReportRun.objects.get(pk=self.run.pk)
            return False
        return True


def assert_invariants(world: World, before: ReportRun, operation: str) -> None:
    run = ReportRun.objects.get(pk=world.run.pk)
    if Status(run.status) in UNFINISHED:
        assert run.wake_at is not None
        assert (run.worker != "") == (run.status == Status.RUNNING)
    else:
        assert (run.wake_at, run.worker) == (None, "")
        assert run.ended_at is not None
    if Status(before.status) in ENDED and operation != "retry":
        assert (run.status, run.version) == (before.status, before.version)  # an ended run stays ended
    assert run.version >= before.version
    references = [reference for _kind, _payload, reference in world.fakes.fireant.submitted]
    repeated = len(references) != len(set(references))
    assert not repeated or run.possibly_submitted_twice
    assert list(world.fakes.store.files) in ([], [run.result_path], [run.result_path, run.manifest_path])
    started = RunStep.objects.filter(run=run, result="started").count()
    assert started <= (run.status == Status.RUNNING)


@pytest.mark.django_db(transaction=False)
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(st.sampled_from(OPERATIONS), min_size=5, max_size=40))
def test_the_invariants_hold_after_any_sequence_of_operations(db: None, operations: list[str]) -> None:
    from django.db import transaction

    with transaction.atomic():
        world = World()
        for operation in operations:
            before = ReportRun.objects.get(pk=world.run.pk)
            if operation == "late":
                got_through = world.late_write()
                assert not got_through or world.late.version == before.version + 1
                if got_through:
                    break  # a writer that nobody had overtaken was not late
            else:
                world.perform(operation)
            assert_invariants(world, before, operation)
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    operations=st.lists(
        st.sampled_from([operation for operation in OPERATIONS if operation not in PEOPLE]), max_size=25
    )
)
def test_every_run_ends_by_itself_once_the_world_is_well_again(db: None, operations: list[str]) -> None:
    from django.db import transaction

    with transaction.atomic():
        world = World()
        for operation in operations:
            world.perform(operation)
        world.fakes.fireant.failures.clear()
        world.fakes.store.failures.clear()
        for _ in range(30):
            world.wait_long()
            world.work()
            world.poll()
        assert ReportRun.objects.get(pk=world.run.pk).has_ended
        transaction.set_rollback(True)
