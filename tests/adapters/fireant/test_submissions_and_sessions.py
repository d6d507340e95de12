"""Submissions of unknown outcome, and the sessions of threads and processes."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.domain.payload import Payload
from report_orchestrator.domain.reports import EventKind
from report_orchestrator.exceptions import ConfigurationError, FireantError, SubmissionUnknownError, TransientError
from report_orchestrator.ports import JobState
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from tests.support.fireant_calls import CALLS, KEY, ask, client_of, failure, submit
from tests.support.raw_server import answer, raw_server, says

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("status", [500, 502, 503, 504, 508, 511, 520, 522, 524, 599])
def test_a_gateways_error_leaves_open_whether_the_job_exists(status: int) -> None:
    with raw_server(says(answer(f"{status} x", b'{"job_id": 7}'))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert isinstance(raised, SubmissionUnknownError)
    own_codes = {500: "submission_failed", 503: "fireant_503"}
    assert raised.code == own_codes.get(status, "submission_unknown")


@pytest.mark.parametrize("status", ["501 x", "505 x", "503 x\r\nRetry-After: 7", "429 x", "408 x"])
def test_an_error_that_says_that_nothing_was_done_is_definite(status: str) -> None:
    with raw_server(says(answer(status))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert (type(raised), raised.code) == (TransientError, f"fireant_{status[:3]}")


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "299 x"])
def test_any_success_that_names_a_job_is_taken(status: str) -> None:
    with raw_server(says(answer(status, b'{"job_id": 7}'))) as server, client_of(server.url) as client:
        assert submit(client) == "7"


@pytest.mark.parametrize(
    ("status", "body"), [("202 Accepted", b""), ("201 Created", b'{"id": 7}'), ("204 No Content", b"")]
)
def test_a_success_of_another_kind_without_a_job_leaves_open_whether_there_is_one(status: str, body: bytes) -> None:
    with raw_server(says(answer(status, body))) as server, client_of(server.url) as client:
        raised = failure(submit, client)
    assert (type(raised), raised.code) == (SubmissionUnknownError, "submission_unknown")


def test_threads_share_one_session_and_its_connections() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox, client_of(sandbox.url) as client:
        job_id = submit_good(client)
        threads = [threading.Thread(target=lambda: [client.status(job_id) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sandbox.requests["status"] == 160
        assert len(client._session._sessions) == 1


def submit_good(client: FireantClient) -> str:
    payload: Payload = {
        "as_at_date": "2026-07-01",
        "fx_date": "2026-07-01",
        "geos": [{"id": 1, "event_type": "geo"}],
        "meta": {"report_id": 1},
    }
    return client.submit(EventKind.GEO, payload, reference="ref-1")


def test_a_child_of_a_fork_has_a_session_of_its_own() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox, client_of(sandbox.url) as client:
        job_id = submit_good(client)
        context: Any = multiprocessing.get_context("fork")
        reported = context.SimpleQueue()

        def in_child() -> None:
            before = dict(client._session._sessions)
            state = client.status(job_id).state.value
            reported.put((state, len(before), len(client._session._sessions)))

        child = context.Process(target=in_child)
        child.start()
        child.join(20)
        assert reported.get() == ("Finished", 1, 2)
        assert client.status(job_id).state is JobState.FINISHED


def test_the_client_shows_no_key() -> None:
    with client_of("http://127.0.0.1:1") as client:
        failure(ask, client)
        shown = [repr(client), str(client), repr(vars(client)), repr(client._session._own.auth), repr(client._settings)]
    assert not [text for text in shown if KEY in text]


def test_nothing_is_repeated_by_the_client_itself() -> None:
    with raw_server(lambda one: None) as server, client_of(server.url) as client:
        for call in CALLS.values():
            failure(call, client)
        assert len(server.requests) == 3


def test_a_probe_shows_whether_the_key_is_accepted_and_submits_nothing() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as sandbox:
        with client_of(sandbox.url) as client:
            probed = client.probe()
            assert (probed.detail, probed.doubt) == ("responded 404 to a test request", "")
            assert probed.ahead is not None
            assert abs(probed.ahead) < timedelta(seconds=3)
        with client_of(sandbox.url, FIREANT_API_KEY="wrong") as client:
            assert isinstance(failure(lambda one: one.probe(), client), ConfigurationError)
        assert sandbox.jobs == ()


def test_a_probe_that_meets_a_web_page_says_so() -> None:
    with raw_server(says(answer("404 Not Found", b"<html>"))) as server, client_of(server.url) as client:
        assert "FIREANT_API_URL" in client.probe().doubt


def test_a_definite_refusal_is_an_error_of_fireants(tmp_path: Path) -> None:
    with raw_server(says(answer("422 Unprocessable", b"no"))) as server, client_of(server.url) as client:
        assert isinstance(failure(submit, client), FireantError)
