"""The contract of `Fireant`: the fake and the real client over the local Fireant behave alike in each scenario.

The real Fireant cannot be scripted; if configured, it runs the scenarios that need no script. The gate never does this.

FIREANT_LIVE=1 FIREANT_API_URL=https://… FIREANT_API_KEY=… pytest -m integration tests/adapters/fireant/test_contract.py

It submits nothing, unless FIREANT_LIVE_PAYLOAD names a file with a payload as JSON: then that job is submitted, waited for
(FIREANT_LIVE_MINUTES, 30 by default) and its result downloaded. REQUESTS_CA_BUNDLE and proxies are respected. What only the
real one shows (its clock, its key) is in `test_live.py`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.conf import parse_settings
from report_orchestrator.domain.payload import Payload, build_payload, json_payload
from report_orchestrator.domain.reports import EventKind, Modifier
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import Fireant, JobState, JobStatus
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.fireant.api import Endpoint
from report_orchestrator.testing import START, FakeFireant, geo_report
from tests.support.settings_factory import SettingsFactory

# Read now: every test's own environment is without the developer's settings.
ENVIRONMENT = dict(os.environ)
LISTS = {"geos": EventKind.GEO, "rings": EventKind.RING, "boxes": EventKind.BOX}
KEY = "k3y-of-the-contract"
MODIFIER = Modifier(id=1, as_at_date=START.date(), fx_date=START.date())
PAYLOAD: Payload = json_payload(build_payload(geo_report(), MODIFIER), "report 1")
WAIT = timedelta(seconds=77)


class Plain(Protocol):
    """One kind of `Fireant`, with a job that it takes."""

    fireant: Fireant

    def submits(self, reference: str) -> str:
        """Has it take a job; returns the job's id."""
        ...

    def waits_for(self, job_id: str) -> None:
        """Waits until the job has ended."""
        ...


class Side(Plain, Protocol):
    """One kind of `Fireant`, and the means to script it."""

    def is_busy(self, method: Endpoint) -> None:
        """Answers the next call with 503, and asks for 77 seconds."""
        ...

    def refuses_the_key(self, method: Endpoint) -> None:
        """Answers the next call with 401."""
        ...

    def loses_the_answer(self, method: Endpoint) -> None:
        """Do the next request, and send no response."""
        ...

    def refuses(self, method: Endpoint) -> None:
        """Answers the next call with 422."""
        ...

    def says_of(self, job_id: str, *words: str) -> None:
        """Answer the next status requests for the job with these statuses."""
        ...

    def cuts_the_result(self) -> None:
        """Breaks off in the middle of the next result."""
        ...

    def took(self) -> list[tuple[str, Mapping[str, object], str]]:
        """The jobs that it has: kind, payload, reference."""
        ...


class Ready:
    """One whose jobs have ended when they are first asked about."""

    fireant: Fireant

    def submits(self, reference: str) -> str:
        return self.fireant.submit(EventKind.GEO, PAYLOAD, reference=reference)

    def waits_for(self, job_id: str) -> None:
        """There is nothing to wait for."""


class Faked(Ready):
    """The fake of `report_orchestrator.testing`."""

    def __init__(self) -> None:
        self.fake = FakeFireant()
        self.fireant: Fireant = self.fake

    def is_busy(self, method: Endpoint) -> None:
        self.fake.fail(method, TransientError("busy", code="fireant_503", retry_after=WAIT))

    def refuses_the_key(self, method: Endpoint) -> None:
        self.fake.fail(method, ConfigurationError("the key was refused"))

    def loses_the_answer(self, method: Endpoint) -> None:
        lost = {"submit": SubmissionUnknownError("no response")}
        self.fake.fail(method, lost.get(method) or TransientError("no response", code="fireant_no_answer"))

    def refuses(self, method: Endpoint) -> None:
        self.fake.fail(method, FireantError("no", code="fireant_422"))

    def says_of(self, job_id: str, *words: str) -> None:
        known = {state.value: state for state in JobState}
        self.fake.statuses[job_id].extend(
            JobStatus(state=known.get(word, JobState.UNKNOWN), reported=word) for word in words
        )

    def cuts_the_result(self) -> None:
        self.fake.cut_results = 1

    def took(self) -> list[tuple[str, Mapping[str, object], str]]:
        return [(kind.value, payload, reference) for kind, payload, reference in self.fake.submitted]


class Local(Ready):
    """The real client over the local Fireant."""

    def __init__(self, sandbox: FireantSandbox, client: FireantClient) -> None:
        self.sandbox = sandbox
        self.fireant: Fireant = client

    def is_busy(self, method: Endpoint) -> None:
        self.sandbox.faults.add(method, "status_code", status=503, retry_after="77")

    def refuses_the_key(self, method: Endpoint) -> None:
        self.sandbox.faults.add(method, "status_code", status=401)

    def loses_the_answer(self, method: Endpoint) -> None:
        self.sandbox.faults.add(method, "reset_after_work")

    def refuses(self, method: Endpoint) -> None:
        self.sandbox.faults.add(method, "status_code", status=422)

    def says_of(self, job_id: str, *words: str) -> None:
        for word in words:
            self.sandbox.faults.add("status", "unknown_status", text=word)

    def cuts_the_result(self) -> None:
        self.sandbox.faults.add("results", "short_body")

    def took(self) -> list[tuple[str, Mapping[str, object], str]]:
        return [(job.kind, job.payload, str(job.idempotency_key)) for job in self.sandbox.jobs]


class RealFireant:
    """The real client over the real Fireant."""

    def __init__(self, client: FireantClient) -> None:
        self.fireant: Fireant = client

    def submits(self, reference: str) -> str:
        if not ENVIRONMENT.get("FIREANT_LIVE_PAYLOAD"):
            pytest.skip("not run: FIREANT_LIVE_PAYLOAD is not set")
        payload = json.loads(Path(ENVIRONMENT["FIREANT_LIVE_PAYLOAD"]).read_text())
        [kind] = [kind for name, kind in LISTS.items() if payload.get(name)]
        return self.fireant.submit(kind, payload, reference=f"{reference}-{time.time_ns()}")

    def waits_for(self, job_id: str) -> None:
        until = time.monotonic() + 60 * float(ENVIRONMENT.get("FIREANT_LIVE_MINUTES", "30"))
        while (status := self.fireant.status(job_id)).state not in {JobState.FINISHED, JobState.FAILED}:
            assert time.monotonic() < until, f"job {job_id} is still {status.reported}"
            time.sleep(5)


REAL = pytest.param(
    "real",
    marks=[
        pytest.mark.integration,
        pytest.mark.skipif(
            not (ENVIRONMENT.get("FIREANT_LIVE") and ENVIRONMENT.get("FIREANT_API_KEY")),
            reason="not run: no credentials (FIREANT_LIVE and FIREANT_API_KEY are not set)",
        ),
    ],
)


@pytest.fixture(params=["fake", "local", REAL])
def plain(request: pytest.FixtureRequest) -> Iterator[Plain]:
    """Any kind, the real one included."""
    if request.param != "real":
        yield from side_of(request.param)
        return
    settings, problems = parse_settings({}, ENVIRONMENT)
    assert problems == []
    client = FireantClient(settings)
    yield RealFireant(client)
    client.close()


@pytest.fixture(params=["fake", "local"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """Each kind that can be scripted."""
    yield from side_of(request.param)


def side_of(kind: str) -> Iterator[Side]:
    if kind == "fake":
        yield Faked()
        return
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        settings = SettingsFactory.make(FIREANT_API_URL=sandbox.url, FIREANT_API_KEY=KEY, TIMEOUT_SECONDS=2)
        client = FireantClient(settings)
        yield Local(sandbox, client)
        client.close()
        sandbox.faults.assert_all_fired()


def call(side: Plain, method: Endpoint, job_id: str) -> object:
    match method:
        case "submit":
            return side.submits("ref-2")
        case "status":
            return side.fireant.status(job_id)
        case "results":
            with side.fireant.results(job_id) as pieces:
                return b"".join(pieces)


def failure(side: Plain, method: Endpoint, job_id: str) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught:
        call(side, method, job_id)
    return caught.value


METHODS = pytest.mark.parametrize("method", ["submit", "status", "results"])


def test_a_job_goes_from_its_payload_to_its_result(plain: Plain) -> None:
    job_id = plain.submits("ref-1")
    plain.waits_for(job_id)
    status = plain.fireant.status(job_id)
    assert status.state is JobState.FINISHED, status.error
    with plain.fireant.results(job_id) as pieces:
        assert sum(map(len, pieces)) > 0


def test_a_submission_brings_its_kind_payload_and_reference(side: Side) -> None:
    side.submits("ref-1")
    assert side.took() == [("geo", PAYLOAD, "ref-1")]


def test_each_submission_is_a_job_of_its_own_with_an_id_of_its_own_as_text(side: Side) -> None:
    ids = [side.submits(reference) for reference in ("ref-1", "ref-2", "ref-2")]
    assert [type(job_id) for job_id in ids] == [str, str, str]
    assert len(set(ids)) == 3


def test_a_question_and_a_download_can_be_repeated(side: Side) -> None:
    job_id = side.submits("ref-1")
    assert side.fireant.status(job_id) == side.fireant.status(job_id)
    result = call(side, "results", job_id)
    assert isinstance(result, bytes)
    assert b'"results"' in result
    assert call(side, "results", job_id) == result


def test_words_of_the_contract_are_states_and_others_are_unknown(side: Side) -> None:
    job_id = side.submits("ref-1")
    words = ["Queued", "Running", "Hibernating", "Failed", "Finished"]
    side.says_of(job_id, *words)
    answers = [side.fireant.status(job_id) for _ in words]
    assert [(answer.state, answer.reported) for answer in answers] == [
        (JobState.QUEUED, "Queued"),
        (JobState.RUNNING, "Running"),
        (JobState.UNKNOWN, "Hibernating"),
        (JobState.FAILED, "Failed"),
        (JobState.FINISHED, "Finished"),
    ]


def test_a_job_that_nobody_submitted_is_unknown_and_has_no_result(plain: Plain) -> None:
    raised = [failure(plain, method, "0") for method in ("status", "results")]
    assert [(type(error), error.code) for error in raised] == [
        (FireantError, "job_unknown"),
        (FireantError, "no_result"),
    ]


@METHODS
def test_a_busy_fireant_is_transient_and_names_its_wait(side: Side, method: Endpoint) -> None:
    job_id = side.submits("ref-1")
    side.is_busy(method)
    raised = failure(side, method, job_id)
    assert type(raised) is TransientError
    assert (raised.code, raised.retry_after) == ("fireant_503", WAIT)
    assert call(side, method, job_id)


@METHODS
def test_a_refused_key_is_a_matter_of_configuration(side: Side, method: Endpoint) -> None:
    job_id = side.submits("ref-1")
    side.refuses_the_key(method)
    assert type(failure(side, method, job_id)) is ConfigurationError


@METHODS
def test_a_refusal_is_definite(side: Side, method: Endpoint) -> None:
    job_id = side.submits("ref-1")
    side.refuses(method)
    raised = failure(side, method, job_id)
    assert (type(raised), raised.code) == (FireantError, "fireant_422")


@METHODS
def test_a_lost_answer_is_transient_and_of_a_submission_unknown(side: Side, method: Endpoint) -> None:
    job_id = side.submits("ref-1")
    side.loses_the_answer(method)
    raised = failure(side, method, job_id)
    wanted = (
        (SubmissionUnknownError, "submission_unknown") if method == "submit" else (TransientError, "fireant_no_answer")
    )
    assert (type(raised), raised.code) == wanted


def test_a_result_that_breaks_off_says_so_while_it_is_read(side: Side) -> None:
    job_id = side.submits("ref-1")
    side.cuts_the_result()
    with side.fireant.results(job_id) as pieces:
        with pytest.raises(TransientError) as caught:
            b"".join(pieces)
        assert caught.value.code == "result_cut_short"
    assert call(side, "results", job_id)


def test_a_result_that_nobody_reads_harms_nothing(side: Side) -> None:
    job_id = side.submits("ref-1")
    with side.fireant.results(job_id):
        pass
    assert side.fireant.status(job_id).state is JobState.FINISHED
