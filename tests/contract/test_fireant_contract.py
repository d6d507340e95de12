"""What a `Fireant` owes, of whichever kind: the fake and the real client over the local Fireant behave alike in each scenario.

The real Fireant, which cannot be scripted, has what of this can be asked of it in `test_fireant_live.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Protocol

import pytest

from report_orchestrator.adapters.fireant import FireantClient
from report_orchestrator.domain.payload import Payload, build_payload
from report_orchestrator.domain.reports import EventKind, Modifier
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import Fireant, JobState, JobStatus
from report_orchestrator.sandbox.faults import Endpoint
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.testing import START, FakeFireant, geo_report
from tests.conftest import SettingsFactory

KEY = "k3y-of-the-contract"
PAYLOAD: Payload = build_payload(geo_report(), Modifier(id=1, as_at_date=START.date(), fx_date=START.date()))
WAIT = timedelta(seconds=77)


class Side(Protocol):
    """One kind of `Fireant`, and how a test arranges what is to happen to it."""

    fireant: Fireant

    def is_busy(self, method: Endpoint) -> None:
        """Answers the next call with 503, and asks for 77 seconds."""
        ...

    def refuses_the_key(self, method: Endpoint) -> None:
        """Answers the next call with 401."""
        ...

    def loses_the_answer(self, method: Endpoint) -> None:
        """Does what the next call asks, and says nothing."""
        ...

    def refuses(self, method: Endpoint) -> None:
        """Answers the next call with 422."""
        ...

    def says_of(self, job_id: str, *words: str) -> None:
        """Answers the next questions about the job with these words."""
        ...

    def cuts_the_result(self) -> None:
        """Breaks off in the middle of the next result."""
        ...

    def took(self) -> list[tuple[str, Mapping[str, object], str]]:
        """The jobs that it has: kind, payload, reference."""
        ...


class Faked:
    """The fake of `report_orchestrator.testing`."""

    def __init__(self) -> None:
        self.fake = FakeFireant()
        self.fireant: Fireant = self.fake

    def is_busy(self, method: Endpoint) -> None:
        self.fake.fail(method, TransientError("busy", code="fireant_503", retry_after=WAIT))

    def refuses_the_key(self, method: Endpoint) -> None:
        self.fake.fail(method, ConfigurationError("the key was refused"))

    def loses_the_answer(self, method: Endpoint) -> None:
        lost = {"submit": SubmissionUnknownError("no answer")}
        self.fake.fail(method, lost.get(method) or TransientError("no answer", code="fireant_no_answer"))

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


class Local:
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


@pytest.fixture(params=["fake", "local"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "fake":
        yield Faked()
        return
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        settings = SettingsFactory.make(FIREANT_API_URL=sandbox.url, FIREANT_API_KEY=KEY, TIMEOUT_SECONDS=2)
        client = FireantClient(settings)
        yield Local(sandbox, client)
        client.close()
        sandbox.faults.assert_all_fired()


def submit(side: Side, reference: str = "ref-1", kind: EventKind = EventKind.GEO) -> str:
    return side.fireant.submit(kind, PAYLOAD, reference=reference)


def call(side: Side, method: Endpoint, job_id: str) -> object:
    match method:
        case "submit":
            return submit(side, "ref-2")
        case "status":
            return side.fireant.status(job_id)
        case "results":
            with side.fireant.results(job_id) as pieces:
                return b"".join(pieces)


def failure(side: Side, method: Endpoint, job_id: str) -> OrchestratorError:
    with pytest.raises(OrchestratorError) as caught:
        call(side, method, job_id)
    return caught.value


METHODS = pytest.mark.parametrize("method", ["submit", "status", "results"])


def test_a_job_goes_from_its_payload_to_its_result(side: Side) -> None:
    job_id = submit(side)
    assert side.took() == [("geo", PAYLOAD, "ref-1")]
    assert side.fireant.status(job_id).state is JobState.FINISHED
    assert b'"results"' in bytes(call(side, "results", job_id))  # type: ignore[call-overload]


def test_each_submission_is_a_job_of_its_own_with_an_id_of_its_own_as_text(side: Side) -> None:
    ids = [submit(side, reference) for reference in ("ref-1", "ref-2", "ref-2")]
    assert [type(job_id) for job_id in ids] == [str, str, str]
    assert len(set(ids)) == 3


def test_a_question_and_a_download_can_be_repeated(side: Side) -> None:
    job_id = submit(side)
    assert side.fireant.status(job_id) == side.fireant.status(job_id)
    assert call(side, "results", job_id) == call(side, "results", job_id)


def test_words_of_the_contract_are_states_and_others_are_unknown(side: Side) -> None:
    job_id = submit(side)
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


def test_a_job_that_nobody_submitted_is_unknown_and_has_no_result(side: Side) -> None:
    raised = [failure(side, method, "4711") for method in ("status", "results")]
    assert [(type(error), error.code) for error in raised] == [
        (FireantError, "job_unknown"),
        (FireantError, "no_result"),
    ]


@METHODS
def test_a_busy_fireant_is_transient_and_names_its_wait(side: Side, method: Endpoint) -> None:
    job_id = submit(side)
    side.is_busy(method)
    raised = failure(side, method, job_id)
    assert type(raised) is TransientError
    assert (raised.code, raised.retry_after) == ("fireant_503", WAIT)
    assert call(side, method, job_id)


@METHODS
def test_a_refused_key_is_a_matter_of_configuration(side: Side, method: Endpoint) -> None:
    job_id = submit(side)
    side.refuses_the_key(method)
    assert type(failure(side, method, job_id)) is ConfigurationError


@METHODS
def test_a_refusal_is_definite(side: Side, method: Endpoint) -> None:
    job_id = submit(side)
    side.refuses(method)
    raised = failure(side, method, job_id)
    assert (type(raised), raised.code) == (FireantError, "fireant_422")


@METHODS
def test_a_lost_answer_is_transient_and_of_a_submission_unknown(side: Side, method: Endpoint) -> None:
    job_id = submit(side)
    side.loses_the_answer(method)
    raised = failure(side, method, job_id)
    wanted = (
        (SubmissionUnknownError, "submission_unknown")
        if method == "submit"
        else (TransientError, "fireant_no_answer")
    )
    assert (type(raised), raised.code) == wanted


def test_a_result_that_breaks_off_says_so_while_it_is_read(side: Side) -> None:
    job_id = submit(side)
    side.cuts_the_result()
    with side.fireant.results(job_id) as pieces:
        with pytest.raises(TransientError) as caught:
            b"".join(pieces)
        assert caught.value.code == "result_cut_short"
    assert call(side, "results", job_id)


def test_a_result_that_nobody_reads_harms_nothing(side: Side) -> None:
    job_id = submit(side)
    with side.fireant.results(job_id):
        pass
    assert side.fireant.status(job_id).state is JobState.FINISHED
