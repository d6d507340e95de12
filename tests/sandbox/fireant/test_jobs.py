"""The local Fireant keeps the contract of the real one: submissions, states, results and the key."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from report_orchestrator.sandbox.fireant import SandboxOptions
from report_orchestrator.sandbox.fireant.jobs import JobTable

if TYPE_CHECKING:
    pass
from tests.support.fireant_client import EVENTS, FOR_EVER, KEY, SECONDS_TO_ANSWER, Client, Clock, Serving, payload


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
                reported = client.status(job_id).json()["data"]
                seen.append((reported["status"], reported["progress"]))

        expected = [("Queued", 0), ("Queued", 0), ("Running", 0), ("Running", 0.5), ("Running", 0.99)]
        assert seen == [*expected, ("Finished", 1)]

    def test_a_finished_job_shows_where_its_results_are(self, client: Client) -> None:
        reported = client.status(client.submitted_id()).json()["data"]

        assert (reported["error"], reported["results_url"]) == ("", f"{client.sandbox.url}/jobs/results/1")
        assert client.session.get(reported["results_url"], timeout=SECONDS_TO_ANSWER).status_code == 200

    def test_a_status_can_be_answered_bare(self) -> None:
        with Serving(wrap_data=False) as client:
            assert client.status(client.submitted_id()).json()["status"] == "Finished"

    def test_a_named_report_fails_with_an_error(self) -> None:
        with Serving(fail_names=("Flood",)) as client:
            client.submitted_id()
            reported = client.status(client.submitted_id(name="Flood")).json()["data"]

            assert (reported["status"], reported["results_url"]) == ("Failed", "")
            assert "Flood" in reported["error"]
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

        assert (answer.status_code, answer.json()["error"]) == (404, "job 77 does not exist")

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
    def test_a_synthetic_result_has_exactly_the_size_requested(self, size: int) -> None:
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
    def test_a_request_without_the_right_key_is_refused(self, method: str, path: str, header: str | None) -> None:
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
