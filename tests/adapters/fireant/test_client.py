"""The Fireant client against the local Fireant: the contract, and every fault with its own plain error."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.adapters.http.headers import retry_after
from report_orchestrator.domain.payload import Payload, build_payload, json_payload
from report_orchestrator.domain.reports import EventKind, Modifier
from report_orchestrator.exceptions import (
    ConfigurationError,
    FireantError,
    OrchestratorError,
    SubmissionUnknownError,
    TransientError,
)
from report_orchestrator.ports import JobState
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from report_orchestrator.testing import START, geo_report
from tests.support.settings_factory import SettingsFactory

KEY = "k-123456"
MODIFIER = Modifier(id=1, as_at_date=START.date(), fx_date=START.date())
PAYLOAD: Payload = json_payload(build_payload(geo_report(), MODIFIER), "report 1")


@pytest.fixture
def sandbox() -> Iterator[FireantSandbox]:
    with FireantSandbox(SandboxOptions(api_key=KEY)) as running:
        yield running
        running.faults.assert_all_fired()


@pytest.fixture
def client(sandbox: FireantSandbox) -> Iterator[FireantClient]:
    yield from made(sandbox.url)


def made(url: str, **given: object) -> Iterator[FireantClient]:
    options = {"FIREANT_API_KEY": KEY, "TIMEOUT_SECONDS": 2, **given}
    made_client = FireantClient(SettingsFactory.make(FIREANT_API_URL=url, **options))
    yield made_client
    made_client.close()


def submit(client: FireantClient, reference: str = "ref-1") -> str:
    return client.submit(EventKind.GEO, PAYLOAD, reference=reference)


def body(client: FireantClient, job_id: str) -> bytes:
    with client.results(job_id) as pieces:
        return b"".join(pieces)


def test_a_job_is_submitted_polled_and_downloaded(sandbox: FireantSandbox, client: FireantClient) -> None:
    job_id = submit(client)
    [job] = sandbox.jobs
    assert (job.id, job.kind, job.payload, job.idempotency_key) == (job_id, "geo", PAYLOAD, "ref-1")
    assert client.status(job_id).state is JobState.FINISHED
    assert b'"results"' in body(client, job_id)


@pytest.mark.parametrize("integer_ids", [True, False])
@pytest.mark.parametrize("wrap_data", [True, False])
def test_ids_and_answers_of_both_forms_are_understood(integer_ids: bool, wrap_data: bool) -> None:
    options = SandboxOptions(api_key=KEY, integer_ids=integer_ids, wrap_data=wrap_data)
    with FireantSandbox(options) as sandbox:
        for client in made(sandbox.url):
            job_id = submit(client)
            assert isinstance(job_id, str)
            assert client.status(job_id).state is JobState.FINISHED


def test_an_unknown_status_is_reported_and_no_end(sandbox: FireantSandbox, client: FireantClient) -> None:
    job_id = submit(client)
    sandbox.faults.add("status", "unknown_status", text="Pondering")
    status = client.status(job_id)
    assert (status.state, status.reported) == (JobState.UNKNOWN, "Pondering")


def test_a_result_of_no_byte_is_a_result() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY, result_bytes=0)) as sandbox:
        for client in made(sandbox.url):
            assert body(client, submit(client)) == b""


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("endpoint", ["submit", "status", "results"])
def test_a_refused_key_is_a_matter_of_configuration(
    sandbox: FireantSandbox, client: FireantClient, endpoint: str, status: int
) -> None:
    job_id = submit(client)
    sandbox.faults.add(endpoint, "status_code", status=status)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="FIREANT_API_KEY"):
        call(client, endpoint, job_id)


def call(client: FireantClient, endpoint: str, job_id: str) -> None:
    match endpoint:
        case "submit":
            submit(client, "ref-2")
        case "status":
            client.status(job_id)
        case _:
            body(client, job_id)


@pytest.mark.parametrize(
    ("endpoint", "kind", "options", "error", "code"),
    [
        ("submit", "status_code", {"status": 503}, TransientError, "fireant_503"),
        ("submit", "status_code", {"status": 429}, TransientError, "fireant_429"),
        ("submit", "status_code", {"status": 500}, SubmissionUnknownError, "submission_failed"),
        ("submit", "status_code", {"status": 504}, SubmissionUnknownError, "submission_unknown"),
        ("submit", "status_code", {"status": 422}, FireantError, "fireant_422"),
        ("submit", "reset", {}, SubmissionUnknownError, "submission_unknown"),
        ("submit", "reset_after_work", {}, SubmissionUnknownError, "submission_unknown"),
        ("submit", "stall", {"seconds": 30}, SubmissionUnknownError, "submission_unknown"),
        ("submit", "malformed_json", {}, FireantError, "no_job_id"),
        ("submit", "no_job_id", {}, FireantError, "no_job_id"),
        ("status", "status_code", {"status": 503}, TransientError, "fireant_503"),
        ("status", "status_code", {"status": 500}, TransientError, "fireant_500"),
        ("status", "status_code", {"status": 400}, FireantError, "fireant_400"),
        ("status", "not_found", {}, FireantError, "job_unknown"),
        ("status", "reset", {}, TransientError, "fireant_no_answer"),
        ("status", "stall", {"seconds": 30}, TransientError, "fireant_no_answer"),
        ("status", "malformed_json", {}, TransientError, "malformed_answer"),
        ("results", "status_code", {"status": 502}, TransientError, "fireant_502"),
        ("results", "not_found", {}, FireantError, "no_result"),
        ("results", "reset", {}, TransientError, "fireant_no_answer"),
        ("results", "reset_mid_body", {}, TransientError, "result_cut_short"),
        ("results", "short_body", {}, TransientError, "result_cut_short"),
        ("results", "stall", {"seconds": 30}, TransientError, "fireant_no_answer"),
    ],
)
def test_each_fault_has_its_own_error(
    sandbox: FireantSandbox,
    client: FireantClient,
    endpoint: str,
    kind: str,
    options: dict[str, int],
    error: type[OrchestratorError],
    code: str,
) -> None:
    job_id = submit(client)
    sandbox.faults.add(endpoint, kind, **options)  # type: ignore[arg-type]
    with pytest.raises(error) as caught:
        call(client, endpoint, job_id)
    assert caught.value.code == code
    assert KEY not in str(caught.value)


def test_a_refused_connection_is_transient_and_surely_not_submitted() -> None:
    with FireantSandbox() as gone:
        url = gone.url
    for client in made(url):
        with pytest.raises(TransientError) as caught:
            submit(client)
        assert caught.value.code == "fireant_unreachable"


@pytest.mark.parametrize("header", ["120", "Wed, 01 Jul 2026 12:02:00 GMT"])
def test_both_forms_of_retry_after_are_read(header: str) -> None:
    assert retry_after(header, now=START) == timedelta(seconds=120)


@pytest.mark.parametrize(
    ("header", "wait"),
    [(None, None), ("soon", None), ("", None), ("Wed, 01 Jul 2020 12:02:00 GMT", timedelta(0)), ("-5", None)],
)
def test_a_retry_after_that_makes_no_sense_is_let_be(header: str | None, wait: timedelta | None) -> None:
    assert retry_after(header, now=datetime(2026, 7, 1, tzinfo=UTC)) == wait


def test_the_wait_that_fireant_requests_travels_with_the_error(sandbox: FireantSandbox, client: FireantClient) -> None:
    sandbox.faults.add("submit", "status_code", status=429, retry_after="77")
    with pytest.raises(TransientError) as caught:
        submit(client)
    assert caught.value.retry_after == timedelta(seconds=77)


def test_an_error_keeps_the_beginning_of_the_answer_without_the_key(
    sandbox: FireantSandbox, client: FireantClient
) -> None:
    sandbox.faults.add("submit", "status_code", status=422, text=f"bad ncores; you sent {KEY} " + "x" * 9000)
    with pytest.raises(FireantError) as caught:
        submit(client)
    assert "bad ncores; you sent ***" in str(caught.value)
    assert len(str(caught.value)) < 2300


def test_a_result_larger_than_the_limit_is_refused() -> None:
    with FireantSandbox(SandboxOptions(api_key=KEY, result_bytes=5000)) as sandbox:
        for client in made(sandbox.url, MAX_RESULT_BYTES=4999):
            job_id = submit(client)
            with pytest.raises(FireantError, match="MAX_RESULT_BYTES"):
                body(client, job_id)


def test_a_netrc_of_the_machine_does_not_replace_the_key(
    sandbox: FireantSandbox,
    client: FireantClient,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert submit(client)


@pytest.mark.parametrize("header", ["\u00b2", "9" * 5000, "Wed, 01 Jul 99999 12:02:00 GMT"])
def test_a_hostile_retry_after_is_no_error(header: str) -> None:
    wait = retry_after(header, now=START)
    assert wait is None or wait > timedelta(0)


@pytest.mark.parametrize(
    "text", ['{"job_id": "a\\u0000b"}', '{"job_id": "\\ud800"}', '{"job_id": "' + "x" * 201 + '"}', "[" * 100_000]
)
def test_an_id_that_no_database_holds_is_no_id(sandbox: FireantSandbox, client: FireantClient, text: str) -> None:
    sandbox.faults.add("submit", "malformed_json", text=text)
    with pytest.raises(FireantError) as caught:
        submit(client)
    assert caught.value.code == "no_job_id"


def test_zero_bytes_of_an_answer_do_not_come_as_far_as_the_database(
    sandbox: FireantSandbox, client: FireantClient
) -> None:
    sandbox.faults.add("submit", "status_code", status=400, text="bad\x00gateway")
    with pytest.raises(FireantError) as caught:
        submit(client)
    assert "\x00" not in str(caught.value)


def test_an_answer_that_drips_is_a_time_out(sandbox: FireantSandbox, client: FireantClient) -> None:
    job_id = submit(client)
    sandbox.faults.add("status", "trickle", seconds=0.5)
    with pytest.raises(TransientError) as caught:
        client.status(job_id)
    assert caught.value.code == "fireant_no_answer"


def test_a_plain_server_behind_https_is_transient_and_no_matter_of_trust(sandbox: FireantSandbox) -> None:
    for client in made(sandbox.url.replace("http://", "https://")):
        with pytest.raises(TransientError):
            client.status("1")
