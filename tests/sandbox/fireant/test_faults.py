"""The local Fireant fails exactly as it is scripted to."""

from __future__ import annotations

import itertools
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from report_orchestrator.sandbox.fireant import FireantSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from report_orchestrator.sandbox.fireant.api import Endpoint, FaultKind
from tests.support.fireant_client import FOR_EVER, SECONDS_TO_ANSWER, SECONDS_TOO_FEW, Client, Serving, payload


class TestFaults:
    @pytest.fixture(autouse=True)
    def every_fault_fires(self, sandbox: FireantSandbox) -> Iterator[None]:
        yield
        sandbox.faults.assert_all_fired()

    @pytest.mark.parametrize("endpoint", ["submit", "status", "results"])
    def test_an_error_status_stands_in_for_the_work(self, client: Client, endpoint: Endpoint) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add(endpoint, "status_code", status=503, retry_after="7", times=2)

        for _ in range(2):
            answer = client.request(endpoint, job_id)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
            assert answer.json()["error"]
        assert len(client.sandbox.jobs) == 1
        assert client.request(endpoint, job_id).status_code == 200
        assert client.sandbox.faults.fired == {(endpoint, "status_code"): 2}

    def test_an_error_status_can_carry_any_body(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "status_code", status=400, text="<html>No</html>")

        answer = client.submit()

        assert (answer.status_code, answer.text) == (400, "<html>No</html>")
        assert "Retry-After" not in answer.headers

    @pytest.mark.parametrize("endpoint", ["status", "results"])
    def test_a_known_job_is_not_found(self, client: Client, endpoint: Endpoint) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add(endpoint, "not_found")

        assert client.request(endpoint, job_id).status_code == 404
        assert client.request(endpoint, job_id).status_code == 200

    @pytest.mark.parametrize("endpoint", ["submit", "status", "results"])
    def test_a_reset_comes_before_any_answer_or_work(self, client: Client, endpoint: Endpoint) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add(endpoint, "reset")

        with pytest.raises(requests.ConnectionError, match="ConnectionResetError"):
            client.request(endpoint, job_id)
        assert len(client.sandbox.jobs) == 1
        assert client.request(endpoint, job_id).status_code == 200

    def test_a_reset_after_the_work_leaves_a_job_that_nobody_was_told_of(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "reset_after_work")

        with pytest.raises(requests.ConnectionError, match="ConnectionResetError"):
            client.submit()
        assert [job.id for job in client.sandbox.jobs] == ["1"]

    def test_a_stall_outlasts_the_client_after_the_work_is_done(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "stall", seconds=FOR_EVER)

        with pytest.raises(requests.ReadTimeout):
            client.submit(timeout=SECONDS_TOO_FEW)
        assert len(client.sandbox.jobs) == 1

    def test_a_stall_that_ends_is_followed_by_the_answer(self, client: Client) -> None:
        client.sandbox.faults.add("status", "stall", seconds=0.01)

        assert client.state(client.submitted_id()) == "Finished"

    def test_a_trickle_sends_the_whole_body_byte_by_byte(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "trickle", seconds=0.001)
        started = time.monotonic()

        assert client.submit().json() == {"job_id": 1}
        assert time.monotonic() - started >= 0.001 * len('{"job_id": 1}')

    def test_a_reset_in_mid_body_comes_after_part_of_it(self, client: Client) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add("results", "reset_mid_body", after_bytes=10)

        with client.results(job_id, stream=True) as answer:
            assert int(answer.headers["Content-Length"]) > 10
            blocks = answer.iter_content(1)
            assert b"".join(itertools.islice(blocks, 10)) == b'{"results"'
            with pytest.raises(requests.RequestException, match="ConnectionResetError"):
                next(blocks)

    def test_a_short_body_ends_cleanly_before_its_length(self, client: Client) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add("results", "short_body")
        address = client.sandbox.url.removeprefix("http://").split(":")

        with socket.create_connection((address[0], int(address[1])), SECONDS_TO_ANSWER) as connection:
            connection.sendall(f"GET /jobs/results/{job_id} HTTP/1.1\r\nHost: sandbox\r\n\r\n".encode())
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")

        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert 0 < len(body) == length // 2

    def test_a_large_result_is_cut_after_the_bytes_requested(self) -> None:
        with Serving(result_bytes=1_000_000) as client:
            job_id = client.submitted_id()
            client.sandbox.faults.add("results", "short_body", after_bytes=300_000)

            with pytest.raises(requests.RequestException, match="300000 bytes read, 700000 more expected"):
                client.results(job_id)
            client.sandbox.faults.assert_all_fired()

    @pytest.mark.parametrize("endpoint", ["submit", "status", "results"])
    def test_malformed_json_comes_with_a_good_status(self, client: Client, endpoint: Endpoint) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add(endpoint, "malformed_json")

        answer = client.request(endpoint, job_id)

        assert answer.status_code == 200
        with pytest.raises(requests.JSONDecodeError):
            answer.json()

    def test_a_job_can_be_accepted_without_its_id(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "no_job_id")

        answer = client.submit()

        assert (answer.status_code, "job_id" in answer.json()) == (200, False)
        assert len(client.sandbox.jobs) == 1

    def test_a_status_can_be_unknown(self, client: Client) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add("status", "unknown_status", text="Paused")
        client.sandbox.faults.add("status", "unknown_status")

        assert [client.state(job_id) for _ in range(3)] == ["Paused", "Hibernating", "Finished"]

    def test_faults_of_an_endpoint_happen_in_order_and_leave_the_others_alone(self, client: Client) -> None:
        job_id = client.submitted_id()
        client.sandbox.faults.add("status", "status_code", status=500)
        client.sandbox.faults.add("status", "malformed_json", text="?")
        client.sandbox.faults.add("status", "status_code", status=429)

        assert client.results(job_id).status_code == 200
        assert [client.status(job_id).status_code for _ in range(4)] == [500, 200, 429, 200]

    def test_a_fault_of_the_answer_waits_for_an_answer_worth_spoiling(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "reset_after_work")

        assert client.submit(geos=[]).status_code == 422
        assert len(client.sandbox.faults.pending()) == 1
        with pytest.raises(requests.ConnectionError):
            client.submit()


class TestFaultScript:
    def test_faults_that_never_fired_are_named(self, client: Client) -> None:
        client.sandbox.faults.add("results", "reset_mid_body", times=3)
        client.sandbox.faults.add("status", "reset")

        assert [(fault.endpoint, fault.times) for fault in client.sandbox.faults.pending()] == [
            ("results", 3),
            ("status", 1),
        ]
        with pytest.raises(AssertionError, match=r"reset_mid_body at results \(3 more\), reset at status"):
            client.sandbox.faults.assert_all_fired()

    @pytest.mark.parametrize(
        ("endpoint", "kind", "parameters", "said"),
        [
            ("submit", "explode", {}, "unknown kind"),
            ("moon", "reset", {}, "only at: submit, status, results"),
            ("status", "no_job_id", {}, "only at: submit"),
            ("submit", "unknown_status", {}, "only at: status"),
            ("submit", "status_code", {}, "needs status"),
            ("submit", "stall", {}, "needs seconds"),
            ("submit", "reset", {"seconds": 1.0, "text": "x"}, "does not accept seconds, text"),
            ("submit", "reset", {"times": 0}, "times"),
            ("submit", "status_code", {"status": 200}, "between 400 and 599"),
            ("submit", "status_code", {"status": 429, "retry_after": "1\r\nX: 1"}, "one header"),
            ("submit", "stall", {"seconds": -1.0}, "seconds"),
            ("submit", "stall", {"seconds": float("inf")}, "seconds"),
            ("results", "short_body", {"after_bytes": -1}, "after_bytes"),
        ],
    )
    def test_a_fault_that_cannot_happen_is_refused(
        self, client: Client, endpoint: Endpoint, kind: FaultKind, parameters: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ValueError, match=said):
            client.sandbox.faults.add(endpoint, kind, **parameters)
        assert client.sandbox.faults.pending() == ()

    def test_a_fault_can_be_added_and_looked_up_over_http(self, client: Client) -> None:
        fault = {"endpoint": "submit", "kind": "status_code", "times": 2, "status": 429, "retry_after": "1"}

        answer = client.send("POST", "/sandbox/faults", json=fault)
        assert (answer.status_code, answer.json()) == (201, {"pending": [fault], "fired": []})
        assert [client.submit().status_code for _ in range(3)] == [429, 429, 200]
        reported = client.send("GET", "/sandbox/faults").json()
        assert reported == {"pending": [], "fired": [{"endpoint": "submit", "kind": "status_code", "times": 2}]}

    def test_faults_are_withdrawn_over_http(self, client: Client) -> None:
        client.sandbox.faults.add("submit", "reset")

        answer = client.send("DELETE", "/sandbox/faults")
        assert (answer.status_code, answer.json()) == (200, {"pending": [], "fired": []})
        assert client.submit().status_code == 200

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ([], "JSON object"),
            ({"endpoint": "submit"}, "needs kind"),
            ({"endpoint": "submit", "kind": "reset", "when": 1}, "unknown keys of a fault: when"),
            ({"endpoint": "submit", "kind": ["reset"]}, "kind must be str"),
            ({"endpoint": "submit", "kind": "reset", "times": True}, "times must be int"),
            ({"endpoint": "submit", "kind": "stall", "seconds": "1"}, "seconds must be int or float"),
            ({"endpoint": "submit", "kind": "explode"}, "unknown kind"),
        ],
    )
    def test_a_document_that_is_no_fault_is_refused(self, client: Client, document: object, said: str) -> None:
        answer = client.send("POST", "/sandbox/faults", json=document)

        assert (answer.status_code, said in answer.json()["error"]) == (422, True)

    def test_a_fault_that_is_not_json_is_refused(self, client: Client) -> None:
        assert client.send("POST", "/sandbox/faults", data="reset").status_code == 422


class TestOwnEndpoints:
    def test_the_sandbox_says_that_it_is_up(self, client: Client) -> None:
        answer = client.send("GET", "/sandbox/health")

        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    def test_jobs_are_listed_as_they_were_submitted(self, client: Client) -> None:
        client.session.headers["Idempotency-Key"] = "run-7"
        client.submitted_id("ring")

        (job,) = client.send("GET", "/sandbox/jobs").json()["jobs"]

        assert tuple(job[name] for name in ("id", "kind", "status", "idempotency_key")) == (
            "1",
            "ring",
            "Finished",
            "run-7",
        )
        assert job["payload"] == payload("ring")

    def test_forgotten_jobs_are_gone_and_their_ids_are_not_used_again(self, client: Client) -> None:
        client.submitted_id()

        assert client.send("DELETE", "/sandbox/jobs").status_code == 200
        assert client.sandbox.jobs == ()
        assert client.status("1").status_code == 404
        assert client.submitted_id() == "2"

    def test_requests_are_counted_by_endpoint_with_the_refused_ones(self, client: Client) -> None:
        client.status(client.submitted_id())
        client.status("77")

        reported = client.send("GET", "/sandbox/requests").json()
        assert reported == {"requests": {"submit": 1, "status": 2, "results": 0}}
        assert client.sandbox.requests["status"] == 2

    def test_clearing_forgets_jobs_counters_and_faults(self, client: Client) -> None:
        client.submitted_id()
        client.sandbox.faults.add("status", "reset")
        client.sandbox.clear()

        assert (client.sandbox.jobs, client.sandbox.faults.pending(), client.sandbox.requests) == ((), (), {})

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/"), ("GET", "/job_exposure_geo_agg"), ("POST", "/job_exposure_hexagon_agg"), ("DELETE", "/x")],
    )
    def test_what_no_endpoint_takes_is_not_found(self, client: Client, method: str, path: str) -> None:
        answer = client.send(method, path)

        assert (answer.status_code, answer.json()["error"]) == (404, f"there is no {method} {path} here")
