"""Faults between a worker and Fireant: each run ends with its reason or continues, over a real server.

Every fault must have fired. After every turn the run has ended or has a time at which it continues.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.domain.runs import ENDED, Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.ports import Ports
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.running.poller import poll_due
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.signals import run_event
from report_orchestrator.testing import FakePorts, geo_report, make_runtime
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

KEY = "k3y-of-the-faults"
PATIENCE = 5.0  # seconds of silence that the client bears: no prompt answer takes as long, on the slowest machine
HASTY = 1.0  # seconds that it bears where a fault is to exceed them; a whole short answer may take twice that
SILENT = frozenset({"stall", "trickle"})
REPORT = geo_report("1").name
ROUNDS = 12

SUBMIT, STATUS, RESULTS = "external_job_submission", "job_completion_status", "results_storage"
ENDPOINTS = {"submit": SUBMIT, "status": STATUS, "results": RESULTS}


@dataclass(slots=True, kw_only=True)
class World:
    """A run, its Fireant, and its log events."""

    run: ReportRun
    sandbox: FireantSandbox
    fakes: FakePorts
    ports: Ports
    settings: Settings
    events: list[str]

    def move(self) -> None:
        """Advance the clock to the run's wake-up and let one worker process the due runs."""
        if self.run.wake_at is not None and self.run.wake_at > self.fakes.clock.now:
            self.fakes.clock.now = self.run.wake_at + timedelta(milliseconds=1)
        poll_due(runtime=make_runtime(self.ports, self.settings), until=self.fakes.clock.now + timedelta(seconds=1))
        advance(self.run.pk, runtime=make_runtime(self.ports, self.settings))
        self.run.refresh_from_db()
        assert ReportRun.objects.count() == 1
        assert (self.run.wake_at is None) == (self.run.status in ENDED)

    def go_on(self) -> None:
        """Repeat turns until the run has ended."""
        for _ in range(ROUNDS):
            if self.run.status in ENDED:
                return
            self.move()
        assert self.run.status in ENDED

    @property
    def failures(self) -> list[tuple[str, str, str]]:
        """Return the failed attempts: step, result, code."""
        attempts = self.run.steps.exclude(error_code="").order_by("pk")
        return list(attempts.values_list("step", "result", "error_code"))


@contextmanager
def world(fakes: FakePorts, options: dict[str, Any] | None = None, **given: object) -> Iterator[World]:
    with ExitStack() as stack:
        sandbox = stack.enter_context(FireantSandbox(SandboxOptions(api_key=KEY, **(options or {}))))
        settings = SettingsFactory.make(
            **{
                "FIREANT_API_URL": sandbox.url,
                "FIREANT_API_KEY": KEY,
                "TIMEOUT_SECONDS": PATIENCE,
                "MAX_RETRIES": 2,
                "MAX_POLL_ATTEMPTS": 4,
                "FIREANT_CIRCUIT_FAILURES": 100,
                **given,
            }
        )
        client = FireantClient(settings)
        stack.callback(client.close)
        fakes.reports.add(geo_report("1"))
        discover(runtime=fakes.runtime(get_settings()))
        run = open_manual_run(ReportSchedule.objects.get(), run_date=None, requested_by="test", runtime=fakes.runtime())
        events: list[str] = []

        def remember(*, event: str, **_fields: object) -> None:
            events.append(event)

        run_event.connect(remember)
        stack.callback(run_event.disconnect, remember)
        yield World(
            run=run,
            sandbox=sandbox,
            fakes=fakes,
            ports=replace(fakes.ports, fireant=client),
            settings=settings,
            events=events,
        )
        sandbox.faults.assert_all_fired()
        shown = str([list(run.steps.values_list()), list(ReportRun.objects.values_list())])
        assert KEY not in shown


PASSING = [
    ("submit", "status_code", {"status": 503}, "fireant_503"),
    ("submit", "status_code", {"status": 429}, "fireant_429"),
    ("submit", "status_code", {"status": 408}, "fireant_408"),
    ("submit", "status_code", {"status": 500}, "submission_failed"),
    ("submit", "status_code", {"status": 502}, "submission_unknown"),
    ("submit", "status_code", {"status": 504}, "submission_unknown"),
    ("submit", "reset", {}, "submission_unknown"),
    ("submit", "reset_after_work", {}, "submission_unknown"),
    ("submit", "stall", {"seconds": 30}, "submission_unknown"),
    ("submit", "trickle", {"seconds": 0.5}, "submission_unknown"),
    ("submit", "reset_mid_body", {}, "submission_unknown"),
    ("submit", "short_body", {}, "submission_unknown"),
    *[
        ("status", kind, given, code)
        for kind, given, code in [
            ("status_code", {"status": 500}, "fireant_500"),
            ("status_code", {"status": 502}, "fireant_502"),
            ("status_code", {"status": 503}, "fireant_503"),
            ("status_code", {"status": 504}, "fireant_504"),
            ("status_code", {"status": 429}, "fireant_429"),
            ("reset", {}, "fireant_no_answer"),
            ("reset_after_work", {}, "fireant_no_answer"),
            ("stall", {"seconds": 30}, "fireant_no_answer"),
            ("trickle", {"seconds": 0.5}, "fireant_no_answer"),
            ("reset_mid_body", {}, "fireant_no_answer"),
            ("short_body", {}, "fireant_no_answer"),
            ("malformed_json", {}, "malformed_answer"),
            ("malformed_json", {"text": "[]"}, "malformed_answer"),
            ("malformed_json", {"text": '{"data": {"progress": 1}}'}, "malformed_answer"),
        ]
    ],
    ("results", "status_code", {"status": 502}, "fireant_502"),
    ("results", "status_code", {"status": 429}, "fireant_429"),
    ("results", "reset", {}, "fireant_no_answer"),
    ("results", "stall", {"seconds": 30}, "fireant_no_answer"),
    ("results", "trickle", {"seconds": 0.05}, "result_cut_short"),
    ("results", "reset_mid_body", {}, "result_cut_short"),
    ("results", "short_body", {}, "result_cut_short"),
]


@pytest.mark.parametrize(("endpoint", "kind", "given", "code"), PASSING)
def test_a_fault_that_passes_costs_one_attempt_and_the_run_succeeds(
    fakes: FakePorts, endpoint: Any, kind: Any, given: dict[str, Any], code: str
) -> None:
    with world(fakes, TIMEOUT_SECONDS=HASTY if kind in SILENT else PATIENCE) as here:
        here.sandbox.faults.add(endpoint, kind, **given)
        here.go_on()
        assert here.run.status == Status.SUCCEEDED
        assert here.failures == [(ENDPOINTS[endpoint], "retried", code)]
        assert list(fakes.store.files) == [here.run.result_path, here.run.manifest_path]
        unknown = code in {"submission_unknown", "submission_failed"}
        assert here.run.possibly_submitted_twice == unknown
        assert {job.idempotency_key for job in here.sandbox.jobs} == {f"{here.run.reference}-1"}


@pytest.mark.parametrize(
    ("endpoint", "kind", "given", "code"),
    [
        ("submit", "status_code", {"status": 503}, "fireant_503"),
        ("status", "malformed_json", {}, "malformed_answer"),
        ("results", "short_body", {}, "result_cut_short"),
    ],
)
def test_a_fault_that_stays_ends_the_run_when_its_retries_are_used_up(
    fakes: FakePorts, endpoint: Any, kind: Any, given: dict[str, Any], code: str
) -> None:
    with world(fakes) as here:
        here.sandbox.faults.add(endpoint, kind, times=3, **given)
        here.go_on()
        assert (here.run.status, here.run.error_code) == (Status.FAILED, code)
        step = ENDPOINTS[endpoint]
        assert here.failures == [(step, "retried", code), (step, "retried", code), (step, "failed", code)]
        assert fakes.store.files == {}


@pytest.mark.parametrize(
    ("endpoint", "kind", "given", "code", "says"),
    [
        ("submit", "status_code", {"status": 400}, "fireant_400", "400"),
        ("submit", "status_code", {"status": 422, "text": f"ncores? {KEY}"}, "fireant_422", "ncores? ***"),
        ("submit", "status_code", {"status": 401}, "configuration", "FIREANT_API_KEY"),
        ("status", "status_code", {"status": 403}, "configuration", "FIREANT_API_KEY"),
        ("submit", "no_job_id", {}, "no_job_id", "Check in Fireant whether the job exists"),
        ("submit", "malformed_json", {}, "no_job_id", "Check in Fireant whether the job exists"),
        ("status", "not_found", {}, "job_unknown", "does not know job 1"),
        ("status", "status_code", {"status": 410}, "fireant_410", "410"),
        ("results", "not_found", {}, "no_result", "has no result for job 1"),
        ("results", "status_code", {"status": 403}, "configuration", "FIREANT_API_KEY"),
    ],
)
def test_a_definite_refusal_ends_the_run_at_once_with_its_reason(
    fakes: FakePorts, endpoint: Any, kind: Any, given: dict[str, Any], code: str, says: str
) -> None:
    with world(fakes) as here:
        here.sandbox.faults.add(endpoint, kind, **given)
        here.go_on()
        assert (here.run.status, here.run.error_code) == (Status.FAILED, code)
        assert says in here.run.error
        assert here.failures == [(ENDPOINTS[endpoint], "failed", code)]
        assert len(here.sandbox.jobs) <= 1


def the_date() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1001), usegmt=True)


@pytest.mark.parametrize("header", [lambda: "1000", the_date], ids=["seconds", "date"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_wait_that_a_429_requests_is_kept(fakes: FakePorts, endpoint: Any, header: Callable[[], str]) -> None:
    with world(fakes) as here:
        here.sandbox.faults.add(endpoint, "status_code", status=429, retry_after=header())
        while here.run.error_code != "fireant_429":
            here.move()
        assert here.run.wake_at is not None
        assert here.run.wake_at - fakes.clock.now > timedelta(seconds=990)
        here.go_on()
        assert here.run.status == Status.SUCCEEDED


def test_a_fireant_that_refuses_connections_has_taken_nothing(fakes: FakePorts) -> None:
    with world(fakes) as here:
        here.sandbox.stop()
        here.move()
        assert here.failures == [(SUBMIT, "retried", "fireant_unreachable")]
        here.sandbox.start()
        here.go_on()
        assert (here.run.status, here.run.possibly_submitted_twice) == (Status.SUCCEEDED, False)
        assert len(here.sandbox.jobs) == 1


def test_a_connection_that_is_not_made_in_time_has_taken_nothing(fakes: FakePorts) -> None:
    with world(fakes) as here, socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        for _ in range(3):  # the queue of a listener that accepts nobody is full; further calls are not answered
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        settings = replace(here.settings, fireant_api_url=url, timeout=timedelta(seconds=HASTY))
        client = FireantClient(settings)
        stack.callback(client.close)
        beside = replace(here, ports=replace(here.ports, fireant=client))
        beside.move()
        assert here.failures == [(SUBMIT, "retried", "fireant_unreachable")]
        assert "did not accept the connection in time" in here.run.error
        here.go_on()
        assert (here.run.status, here.run.possibly_submitted_twice) == (Status.SUCCEEDED, False)


def test_an_unknown_status_is_reported_once_and_is_no_end(fakes: FakePorts) -> None:
    with world(fakes) as here:
        here.sandbox.faults.add("status", "unknown_status", text="Pondering", times=2)
        here.go_on()
        assert (here.run.status, here.failures) == (Status.SUCCEEDED, [])
        assert here.events.count("unknown_job_status") == 1
        assert here.sandbox.requests["status"] == 3


def test_a_job_that_failed_ends_the_run_with_fireants_words(fakes: FakePorts) -> None:
    with world(fakes, {"fail_names": (REPORT,)}) as here:
        here.go_on()
        assert (here.run.status, here.run.error_code) == (Status.FAILED, "fireant_job_failed")
        assert here.sandbox.requests["results"] == 0


def test_a_job_that_never_ends_times_the_run_out(fakes: FakePorts) -> None:
    with world(fakes, {"never_finish_names": (REPORT,)}) as here:
        here.go_on()
        assert here.run.status == Status.TIMED_OUT
        assert here.sandbox.requests["status"] == 4
        assert len(here.sandbox.jobs) == 1


def test_an_unknown_status_that_stays_times_the_run_out(fakes: FakePorts) -> None:
    with world(fakes) as here:
        here.sandbox.faults.add("status", "unknown_status", times=4)
        here.go_on()
        assert here.run.status == Status.TIMED_OUT


def test_a_result_that_is_too_large_ends_the_run_and_leaves_no_file(fakes: FakePorts) -> None:
    with world(fakes, {"result_bytes": 5000}, MAX_RESULT_BYTES=4999) as here:
        here.go_on()
        assert (here.run.status, here.run.error_code) == (Status.FAILED, "result_too_large")
        assert fakes.store.files == {}


@pytest.mark.parametrize(("policy", "submits"), [("resubmit", 2), ("hold", 1)])
def test_a_submission_that_stays_without_an_answer_waits_for_a_person(
    fakes: FakePorts, policy: str, submits: int
) -> None:
    with world(fakes, FIREANT_ON_UNKNOWN=policy) as here:
        here.sandbox.faults.add("submit", "reset_after_work", times=submits)
        here.go_on()
        assert (here.run.status, here.run.error_code) == (Status.FAILED, "submission_unknown")
        assert "may exist under reference" in here.run.error
        assert len(here.sandbox.jobs) == submits


@pytest.mark.parametrize(
    ("policy", "status", "code", "submits"),
    [("resubmit", Status.SUCCEEDED, "", 2), ("hold", Status.FAILED, "submission_unknown", 1)],
)
def test_a_503_to_a_submission_is_waited_out_unless_a_person_is_to_decide(
    fakes: FakePorts, policy: str, status: Status, code: str, submits: int
) -> None:
    with world(fakes, FIREANT_ON_UNKNOWN=policy) as here:
        here.sandbox.faults.add("submit", "status_code", status=503)
        here.go_on()
        assert (here.run.status, here.run.error_code) == (status, code)
        assert here.sandbox.requests["submit"] == submits
        assert not here.run.possibly_submitted_twice


def test_a_fireant_that_is_down_for_long_costs_nothing_once_the_circuit_is_open(fakes: FakePorts) -> None:
    with world(fakes, FIREANT_CIRCUIT_FAILURES=2) as here:
        here.sandbox.faults.add("status", "status_code", status=503, times=9)
        here.go_on()
        assert here.run.status == Status.SUCCEEDED
        assert here.failures == [(STATUS, "retried", "fireant_503")]
        assert here.sandbox.requests["status"] == 10
