"""The local Fireant keeps the contract of the real one, and misbehaves exactly as it is told."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from django.core.management import CommandError, call_command

from report_orchestrator.management.commands.fireant_sandbox import Command
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.sandbox.jobs import JobTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from report_orchestrator.sandbox.faults import Endpoint, FaultKind

KEY = "a-key-of-the-test"
SECONDS_TO_ANSWER = 10
SECONDS_TOO_FEW = 0.2
FOR_EVER = 3600.0

EVENTS: dict[str, dict[str, Any]] = {
    "geo": {"geos": [{"id": 1, "name": "South Florida", "event_type": "geo", "area": "FL"}]},
    "ring": {"rings": [{"id": 2, "name": "Miami", "event_type": "ring", "radius": 50.0}]},
    "box": {"boxes": [{"id": 3, "name": "Gulf", "event_type": "box", "max_lat": 30.0}]},
}

RUN_THE_COMMAND = """
import sys
from django.conf import settings
settings.configure()
from report_orchestrator.management.commands.fireant_sandbox import Command
Command().run_from_argv(["manage.py", "fireant_sandbox", *sys.argv[1:]])
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Sends what a host would, over one kept connection, and never through a proxy."""

    def __init__(self, sandbox: FireantSandbox, key: str | None = None) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def send(
        self, method: str, path: str, *, timeout: float = SECONDS_TO_ANSWER, **given: Any
    ) -> requests.Response:
        return self.session.request(method, self.sandbox.url + path, timeout=timeout, **given)

    def submit(
        self, kind: str = "geo", *, timeout: float = SECONDS_TO_ANSWER, **changes: Any
    ) -> requests.Response:
        return self.send("POST", f"/job_exposure_{kind}_agg", json=payload(kind, **changes), timeout=timeout)

    def submitted_id(self, kind: str = "geo", **changes: Any) -> str:
        return str(self.submit(kind, **changes).json()["job_id"])

    def status(self, job_id: str) -> requests.Response:
        return self.send("GET", f"/get_job_status/{job_id}?is_get_results=false&is_newline=true")

    def state(self, job_id: str) -> str:
        return str(self.status(job_id).json()["data"]["status"])

    def results(self, job_id: str, **given: Any) -> requests.Response:
        return self.send("GET", f"/jobs/results/{job_id}", **given)

    def request(self, endpoint: Endpoint, job_id: str) -> requests.Response:
        match endpoint:
            case "submit":
                return self.submit()
            case "status":
                return self.status(job_id)
            case "results":
                return self.results(job_id)


def payload(kind: str = "geo", **changes: Any) -> dict[str, Any]:
    return {
        "name": "Windstorm accumulation",
        "as_at_date": "2026-07-01",
        "fx_date": "2026-07-01",
        "meta": {"report_id": 1, "event_group_id": 1, "modifier_id": 1},
        **EVENTS[kind],
        **changes,
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[FireantSandbox]:
    with FireantSandbox(clock=clock) as running:
        yield running


@pytest.fixture
def client(sandbox: FireantSandbox) -> Iterator[Client]:
    client = Client(sandbox)
    with client.session:
        yield client


class Serving:
    """A sandbox with options of its own, and a client of it."""

    def __init__(self, clock: Clock | None = None, **options: Any) -> None:
        self.client = Client(FireantSandbox(SandboxOptions(**options), clock=clock or Clock()))

    def __enter__(self) -> Client:
        self.client.sandbox.start()
        return self.client

    def __exit__(self, *raised: object) -> None:
        self.client.session.close()
        self.client.sandbox.stop()


class TestSubmission:
    @pytest.mark.parametrize("kind", ["geo", "ring", "box"])
    def test_a_job_of_each_kind_is_accepted_and_recorded(self, client: Client, kind: str) -> None:
        answer = client.submit(kind)

        assert (answer.status_code, answer.json()) == (200, {"job_id": 1})
        (job,) = client.sandbox.jobs
        assert (job.id, job.kind, job.payload) == ("1", kind, payload(kind))
        assert job.report_name == "Windstorm accumulation"

    def test_every_job_has_an_id_of_its_own(self, client: Client) -> None:
        assert [client.submitted_id() for _ in range(3)] == ["1", "2", "3"]

    def test_ids_can_be_text(self) -> None:
        with Serving(integer_ids=False) as client:
            assert client.submit().json()["job_id"] == "job-000001"
            assert client.state("job-000001") == "Finished"

    def test_the_idempotency_key_is_recorded_but_by_default_not_honoured(self, client: Client) -> None:
        client.session.headers["idempotency-key"] = "run-7"

        assert client.submitted_id() == "1"
        assert client.submitted_id() == "2"
        assert [job.idempotency_key for job in client.sandbox.jobs] == ["run-7", "run-7"]
        assert client.sandbox.jobs[0].headers["Idempotency-Key"] == "run-7"

    def test_a_repeated_idempotency_key_gets_the_first_job_where_the_option_says_so(self) -> None:
        with Serving(honours_idempotency_key=True) as client:
            client.session.headers["Idempotency-Key"] = "run-7"
            assert client.submitted_id() == "1"
            assert client.submitted_id() == "1"
            client.session.headers["Idempotency-Key"] = "run-8"
            assert client.submitted_id() == "2"
            del client.session.headers["Idempotency-Key"]
            assert client.submitted_id() == "3"
            assert client.submitted_id() == "4"

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"geos": []}, "'geos'"),
            ({"geos": "Florida"}, "'geos'"),
            ({"geos": [{"name": "Miami", "event_type": "ring"}]}, "event_type 'geo'"),
            ({"geos": ["Miami"]}, "event_type 'geo'"),
            ({"rings": EVENTS["ring"]["rings"]}, "'rings'"),
            ({"as_at_date": None}, "'as_at_date'"),
            ({"as_at_date": "soon"}, "'as_at_date'"),
            ({"fx_date": 20260701}, "'fx_date'"),
            ({"meta": None}, "'meta'"),
            ({"meta": {"report_id": None}}, "'report_id'"),
        ],
    )
    def test_a_payload_of_the_wrong_shape_is_refused_with_what_is_wrong(
        self, client: Client, changes: dict[str, Any], named: str
    ) -> None:
        answer = client.submit(**changes)

        assert answer.status_code == 422
        assert named in answer.json()["error"]
        assert client.sandbox.jobs == ()

    @pytest.mark.parametrize(
        ("body", "named"), [("{", "not JSON"), ("[]", "JSON object"), ('{"dr": NaN}', "NaN is not JSON")]
    )
    def test_a_body_that_is_no_json_object_is_refused(self, client: Client, body: str, named: str) -> None:
        answer = client.send("POST", "/job_exposure_geo_agg", data=body)

        assert answer.status_code == 422
        assert named in answer.json()["error"]

    def test_events_of_one_kind_are_refused_at_the_endpoint_of_another(self, client: Client) -> None:
        answer = client.send("POST", "/job_exposure_box_agg", json=payload("geo"))

        assert (answer.status_code, "'boxes'" in answer.json()["error"]) == (422, True)

    def test_a_body_without_a_length_is_refused_and_the_connection_ends(self, client: Client) -> None:
        answer = client.send("POST", "/job_exposure_geo_agg", data=iter([b"{}"]))

        assert (answer.status_code, answer.headers["Connection"]) == (411, "close")


class TestStatus:
    def test_a_job_waits_runs_and_finishes_by_the_clock(self, clock: Clock) -> None:
        with Serving(clock, seconds_queued=10, seconds_running=20) as client:
            job_id = client.submitted_id()
            seen = []
            for now in (100, 109, 110, 120, 129.99, 130):
                clock.now = now
                told = client.status(job_id).json()["data"]
                seen.append((told["status"], told["progress"]))

        expected = [("Queued", 0), ("Queued", 0), ("Running", 0), ("Running", 0.5), ("Running", 0.99)]
        assert seen == [*expected, ("Finished", 1)]

    def test_a_finished_job_tells_where_its_results_are(self, client: Client) -> None:
        told = client.status(client.submitted_id()).json()["data"]

        assert (told["error"], told["results_url"]) == ("", f"{client.sandbox.url}/jobs/results/1")
        assert client.session.get(told["results_url"], timeout=SECONDS_TO_ANSWER).status_code == 200

    def test_a_status_can_be_answered_bare(self) -> None:
        with Serving(wrap_data=False) as client:
            assert client.status(client.submitted_id()).json()["status"] == "Finished"

    def test_a_named_report_fails_with_an_error(self) -> None:
        with Serving(fail_names=("Flood",)) as client:
            client.submitted_id()
            told = client.status(client.submitted_id(name="Flood")).json()["data"]

            assert (told["status"], told["results_url"]) == ("Failed", "")
            assert "Flood" in told["error"]
            assert client.state("1") == "Finished"

    def test_a_named_report_never_finishes(self, clock: Clock) -> None:
        with Serving(clock, never_finish_names=("Flood",)) as client:
            job_id = client.submitted_id(name="Flood")
            clock.now += 1_000_000
            assert client.state(job_id) == "Running"

    def test_the_same_seed_fails_the_same_jobs(self) -> None:
        def failures(seed: int) -> list[bool]:
            table = JobTable(SandboxOptions(failure_rate=0.3, seed=seed), Clock())
            return [table.accept(kind="geo", payload={}, headers={}).will_fail for _ in range(1000)]

        assert failures(1) == failures(1) != failures(2)
        assert 250 < sum(failures(1)) < 350

    def test_an_unknown_job_is_not_found(self, client: Client) -> None:
        answer = client.status("77")

        assert (answer.status_code, answer.json()["error"]) == (404, "there is no job 77")

    def test_ten_thousand_jobs_in_flight_take_no_thread(self) -> None:
        before = threading.active_count()
        table = JobTable(SandboxOptions(seconds_running=FOR_EVER), Clock())
        jobs = [table.accept(kind="geo", payload={}, headers={}) for _ in range(10_000)]

        assert {table.progress(job).status for job in jobs} == {"Running"}
        assert threading.active_count() == before


class TestResults:
    def test_a_small_result_has_a_row_for_each_event_and_never_changes(self, client: Client) -> None:
        events = [{"name": name, "event_type": "geo"} for name in ("New York", "Miami")]
        job_id = client.submitted_id(geos=events)
        first, second = client.results(job_id), client.results(job_id)

        assert first.content == second.content
        assert [row["location"] for row in first.json()["results"]] == ["New York", "Miami"]
        assert all(row["exposure"] > 0 for row in first.json()["results"])
        assert first.json()["metadata"] == {"total_locations": 2, "processing_time": "45.2s"}

    @pytest.mark.parametrize("size", [256, 257, 999, 1000, 1001, 65_536, 1_000_003])
    def test_a_synthetic_result_has_exactly_the_size_asked_for(self, size: int) -> None:
        with Serving(result_bytes=size) as client:
            answer = client.results(client.submitted_id())

        assert len(answer.content) == int(answer.headers["Content-Length"]) == size
        assert answer.json()["metadata"]["total_locations"] == len(answer.json()["results"])

    def test_a_result_can_be_empty(self) -> None:
        with Serving(result_bytes=0) as client:
            answer = client.results(client.submitted_id())

        assert (answer.status_code, answer.content) == (200, b"")

    def test_a_job_that_has_not_finished_has_no_result(self, clock: Clock) -> None:
        with Serving(clock, seconds_running=10) as client:
            answer = client.results(client.submitted_id())

        assert (answer.status_code, answer.json()["error"]) == (404, "job 1 is Running and has no result")

    def test_a_failed_job_has_no_result(self) -> None:
        with Serving(failure_rate=1) as client:
            assert client.results(client.submitted_id()).status_code == 404

    def test_an_unknown_job_has_no_result(self, client: Client) -> None:
        assert client.results("77").status_code == 404


class TestKey:
    @pytest.mark.parametrize("header", [None, "", KEY, f"Basic {KEY}", "Bearer another", f"Bearer {KEY}é"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/job_exposure_geo_agg"),
            ("GET", "/get_job_status/1"),
            ("GET", "/jobs/results/1"),
            ("GET", "/sandbox/jobs"),
            ("POST", "/sandbox/faults"),
        ],
    )
    def test_a_request_without_the_right_key_is_refused(
        self, method: str, path: str, header: str | None
    ) -> None:
        with Serving(api_key=KEY) as client:
            headers = {} if header is None else {"Authorization": header}
            answer = client.send(method, path, json=payload(), headers=headers)

            assert (answer.status_code, list(answer.json())) == (401, ["error"])
            assert KEY not in answer.text
            assert client.sandbox.jobs == ()

    def test_the_right_key_is_accepted_and_not_recorded(self) -> None:
        with Serving(api_key=KEY) as client:
            client.session.headers["Authorization"] = f"Bearer {KEY}"
            client.submitted_id()

            assert KEY not in repr(client.sandbox.jobs)
            assert KEY not in client.send("GET", "/sandbox/jobs").text
            assert KEY not in repr(client.sandbox.options)

    def test_a_request_without_the_key_uses_up_no_fault(self) -> None:
        with Serving(api_key=KEY) as client:
            client.sandbox.faults.add(endpoint="submit", kind="reset")
            assert client.submit().status_code == 401
            assert len(client.sandbox.faults.pending()) == 1


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

    def test_a_large_result_is_cut_after_the_bytes_asked_for(self) -> None:
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

    def test_a_status_can_be_one_that_nobody_knows(self, client: Client) -> None:
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
            ("submit", "explode", {}, "no such kind"),
            ("moon", "reset", {}, "only at: submit, status, results"),
            ("status", "no_job_id", {}, "only at: submit"),
            ("submit", "unknown_status", {}, "only at: status"),
            ("submit", "status_code", {}, "needs status"),
            ("submit", "stall", {}, "needs seconds"),
            ("submit", "reset", {"seconds": 1.0, "text": "x"}, "takes no seconds, text"),
            ("submit", "reset", {"times": 0}, "times"),
            ("submit", "status_code", {"status": 200}, "between 400 and 599"),
            ("submit", "status_code", {"status": 429, "retry_after": "1\r\nX: 1"}, "one header"),
            ("submit", "stall", {"seconds": -1.0}, "seconds"),
            ("submit", "stall", {"seconds": float("inf")}, "seconds"),
            ("results", "short_body", {"after_bytes": -1}, "after_bytes"),
        ],
    )
    def test_a_fault_that_cannot_happen_is_refused(
        self,
        client: Client,
        endpoint: Endpoint,
        kind: FaultKind,
        parameters: dict[str, Any],
        said: str,
    ) -> None:
        with pytest.raises(ValueError, match=said):
            client.sandbox.faults.add(endpoint, kind, **parameters)
        assert client.sandbox.faults.pending() == ()

    def test_a_fault_can_be_added_and_looked_up_over_http(self, client: Client) -> None:
        fault = {"endpoint": "submit", "kind": "status_code", "times": 2, "status": 429, "retry_after": "1"}

        answer = client.send("POST", "/sandbox/faults", json=fault)
        assert (answer.status_code, answer.json()) == (201, {"pending": [fault], "fired": []})
        assert [client.submit().status_code for _ in range(3)] == [429, 429, 200]
        told = client.send("GET", "/sandbox/faults").json()
        assert told == {"pending": [], "fired": [{"endpoint": "submit", "kind": "status_code", "times": 2}]}

    @pytest.mark.parametrize(
        ("document", "said"),
        [
            ([], "JSON object"),
            ({"endpoint": "submit"}, "needs kind"),
            ({"endpoint": "submit", "kind": "reset", "when": 1}, "no when"),
            ({"endpoint": "submit", "kind": ["reset"]}, "kind must be str"),
            ({"endpoint": "submit", "kind": "reset", "times": True}, "times must be int"),
            ({"endpoint": "submit", "kind": "stall", "seconds": "1"}, "seconds must be int or float"),
            ({"endpoint": "submit", "kind": "explode"}, "no such kind"),
        ],
    )
    def test_a_document_that_is_no_fault_is_refused(
        self, client: Client, document: object, said: str
    ) -> None:
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

        told = client.send("GET", "/sandbox/requests").json()
        assert told == {"requests": {"submit": 1, "status": 2, "results": 0}}
        assert client.sandbox.requests["status"] == 2

    def test_clearing_forgets_jobs_counters_and_faults(self, client: Client) -> None:
        client.submitted_id()
        client.sandbox.faults.add("status", "reset")
        client.sandbox.clear()

        assert (client.sandbox.jobs, client.sandbox.faults.pending(), client.sandbox.requests) == ((), (), {})

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/job_exposure_geo_agg"),
            ("POST", "/job_exposure_hexagon_agg"),
            ("DELETE", "/x"),
        ],
    )
    def test_what_no_endpoint_takes_is_not_found(self, client: Client, method: str, path: str) -> None:
        answer = client.send(method, path)

        assert (answer.status_code, answer.json()["error"]) == (404, f"there is no {method} {path} here")


class TestServer:
    def test_one_connection_serves_many_requests(self, client: Client) -> None:
        before = threading.active_count()
        for _ in range(5):
            client.submitted_id()

        assert threading.active_count() == before + 1

    def test_many_clients_at_once_are_all_served(self, sandbox: FireantSandbox) -> None:
        def submit_some() -> None:
            client = Client(sandbox)
            with client.session:
                for _ in range(5):
                    client.submitted_id()

        threads = [threading.Thread(target=submit_some) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [job.id for job in sandbox.jobs] == [str(number) for number in range(1, 101)]

    def test_stopping_ends_idle_and_stalled_connections_and_all_threads(self) -> None:
        before = threading.active_count()
        sandbox = FireantSandbox().start()
        idle, stalled = Client(sandbox), Client(sandbox)
        sandbox.faults.add("submit", "stall", seconds=FOR_EVER)
        with idle.session, stalled.session:
            idle.send("GET", "/sandbox/health")
            with pytest.raises(requests.ReadTimeout):
                stalled.submit(timeout=SECONDS_TOO_FEW)
            sandbox.stop()
            sandbox.stop()

            assert threading.active_count() == before
            with pytest.raises(requests.ConnectionError):
                idle.send("GET", "/sandbox/health")

    def test_an_outage_ends_with_the_same_address_and_jobs(self, client: Client) -> None:
        job_id, url = client.submitted_id(), client.sandbox.url
        client.sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            client.status(job_id)

        client.sandbox.start()

        assert (client.sandbox.url, client.state(job_id)) == (url, "Finished")

    def test_a_client_that_leaves_in_mid_download_is_no_news(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with Serving(result_bytes=50_000_000) as client:
            with client.results(client.submitted_id(), stream=True) as answer:
                assert len(next(answer.iter_content(1000))) == 1000
            client.session.close()
            assert client.send("GET", "/sandbox/health").status_code == 200

        assert (caplog.records, tuple(capfd.readouterr())) == ([], ("", ""))

    def test_a_client_that_leaves_in_mid_request_submits_nothing(self, sandbox: FireantSandbox) -> None:
        address = sandbox.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), SECONDS_TO_ANSWER) as connection:
            connection.sendall(b"POST /job_exposure_geo_agg HTTP/1.1\r\nContent-Length: 50\r\n\r\n{")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""

        assert sandbox.jobs == ()

    def test_a_defect_is_logged_and_not_answered(
        self, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(JobTable, "accept")

        with pytest.raises(requests.ConnectionError):
            client.submit()
        client.sandbox.stop()
        assert caplog.messages == ["The Fireant sandbox could not answer a request"]

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104
    def test_an_address_that_others_can_reach_is_refused_unless_meant(self, host: str) -> None:
        with pytest.raises(ValueError, match="other machines"):
            FireantSandbox(host=host)
        FireantSandbox(host=host, allow_remote=True)

    def test_there_is_no_address_before_the_first_start(self) -> None:
        with pytest.raises(RuntimeError, match="first start"):
            _ = FireantSandbox().url

    def test_it_serves_the_loopback_of_ipv6(self) -> None:
        try:
            sandbox = FireantSandbox(host="::1").start()
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        with sandbox, requests.Session() as session:
            session.trust_env = False
            assert sandbox.url.startswith("http://[::1]:")
            assert session.get(f"{sandbox.url}/sandbox/health", timeout=SECONDS_TO_ANSWER).ok

    def test_a_line_is_told_for_each_request_without_its_query(self) -> None:
        lines: list[str] = []
        with FireantSandbox(on_request=lines.append) as sandbox:
            client = Client(sandbox)
            with client.session:
                job_id = client.submitted_id()
                client.status(job_id)
                client.results(job_id)
                client.status("77")
                sandbox.faults.add("status", "reset")
                with pytest.raises(requests.ConnectionError):
                    client.status(job_id)

        assert lines[:4] == [
            "POST /job_exposure_geo_agg 200 job 1",
            "GET /get_job_status/1 200 Finished 100%",
            f"GET /jobs/results/1 200 {lines[2].split()[-2]} bytes",
            "GET /get_job_status/77 404 there is no job 77",
        ]
        assert lines[4].startswith("GET /get_job_status/1 fault: reset")

    @pytest.mark.parametrize(
        "options",
        [
            {"failure_rate": 1.1},
            {"seconds_queued": -1},
            {"seconds_running": float("nan")},
            {"result_bytes": 10},
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            SandboxOptions(**options)


class Console(io.StringIO):
    """A terminal whose user presses Ctrl+C once the sandbox is up."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if "is up" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return written


class TestCommand:
    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", RUN_THE_COMMAND, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FIREANT_API_KEY": "", **environment},
        )

    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
    def test_it_serves_until_it_is_told_to_end_and_never_prints_the_key(self, end: signal.Signals) -> None:
        with self.start(FIREANT_API_KEY=KEY) as process:
            assert process.stdout is not None
            url = process.stdout.readline().partition("FIREANT_API_URL=")[2].split()[0]
            headers = {"Authorization": f"Bearer {KEY}"}
            with requests.Session() as session:
                session.trust_env = False
                get = f"{url}/sandbox/health"
                assert session.get(get, timeout=SECONDS_TO_ANSWER).status_code == 401
                assert session.get(get, headers=headers, timeout=SECONDS_TO_ANSWER).status_code == 200
                lines = [process.stdout.readline() for _ in range(2)]
                process.send_signal(end)
                output, errors = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert (process.returncode, output, errors) == (0, "", "")
        assert lines[0] == "GET /sandbox/health 401 the bearer key is missing or wrong\n"
        assert lines[1] == "GET /sandbox/health 200\n"

    def test_its_options_reach_the_sandbox(self) -> None:
        arguments = ["--seconds-queued", "0", "--seconds-running", "0", "--fail", "Flood", "Hail"]
        more = ["--text-ids", "--bare-status", "--never-finish", "Quake", "--result-bytes", "300", "--quiet"]
        with self.start(*arguments, *more, "--api-key", KEY) as process:
            assert process.stdout is not None
            url = process.stdout.readline().partition("FIREANT_API_URL=")[2].split()[0]
            sandbox = FireantSandbox(port=int(url.rpartition(":")[2]))
            client = Client(sandbox, KEY)
            with client.session:
                ids = [client.submitted_id(name=name) for name in ("Flood", "Quake", "Wind")]
                states = [client.status(job_id).json()["status"] for job_id in ids]
                size = len(client.results(ids[2]).content)
                process.terminate()
                output, errors = process.communicate(timeout=SECONDS_TO_ANSWER)

        assert (ids[0], states, size) == ("job-000001", ["Failed", "Running", "Finished"], 300)
        assert (process.returncode, output, errors) == (0, "", "")

    def test_an_interrupt_ends_it_and_gives_the_signals_back(self) -> None:
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        threads = threading.active_count()

        call_command("fireant_sandbox", port=0, stdout=Console())

        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        assert threading.active_count() == threads

    def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(self, sandbox: FireantSandbox) -> None:
        taken = int(sandbox.url.rpartition(":")[2])

        with pytest.raises(CommandError, match="choose another --port") as raised:
            call_command("fireant_sandbox", port=taken, stdout=Console())
        assert raised.value.returncode == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--failure-rate", "2"], "a share from 0 to 1"),
            (["--seconds-running", "-1"], "a number of seconds"),
            (["--seconds-queued", "nan"], "a number of seconds"),
            (["--port", "70000"], "a port from 0 to 65535"),
            (["--port", "http"], "a port from 0 to 65535"),
            (["--unheard-of"], "unrecognized arguments"),
            (["--host", "192.0.2.1"], "--allow-remote"),
            (["--result-bytes", "10"], "result_bytes"),
        ],
    )
    def test_wrong_usage_exits_with_2(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as raised:
            Command().run_from_argv(["manage.py", "fireant_sandbox", *arguments])

        assert raised.value.code == 2
        assert said in capsys.readouterr().err

    def test_its_help_teaches_with_an_example(self) -> None:
        told = Command().create_parser("manage.py", "fireant_sandbox").format_help()

        assert "\n  FIREANT_API_URL=http://127.0.0.1:8099 manage.py qcluster\n" in told
        assert json.loads(told.partition("-d '")[2].partition("'")[0])["kind"] == "status_code"
