"""The last step: a result and its manifest are stored once, whenever the worker dies, and nothing is downloaded twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from django.db.models import BigIntegerField

from report_orchestrator import testing
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import FireantError
from report_orchestrator.models import ReportRun, RunPayload
from report_orchestrator.ports import NO_OBSERVER, StoredResult, Upload, WriteObserver
from report_orchestrator.services.operator_actions import retry_run
from report_orchestrator.services.running.worker import advance
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.result_stores import BODY, SETTINGS, FatalStore, go, killed_at, with_fatal_store

pytestmark = pytest.mark.django_db

NewRun = Callable[..., ReportRun]


@pytest.fixture
def fatal(fakes: FakePorts) -> FakePorts:
    return with_fatal_store(fakes)


def test_a_result_is_described_beside_it(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.bodies["101"] = BODY
    run = go(new_run(), fakes)
    described = json.loads(fakes.store.files[run.manifest_path])
    assert described == {
        "format": 1,
        "report_key": "1",
        "report_name": run.report_name,
        "run_id": run.pk,
        "run": str(run.reference),
        "run_date": "2026-07-01",
        "trigger": "manual",
        "scheduled_for": run.scheduled_for.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "stored_at": fakes.clock.now.isoformat(),
        "fireant_job_id": "101",
        "client_reference": run.client_reference,
        "payload_sha256": run.payload_digest,
        "result": f"{run.reference}.json",
        "size": len(BODY),
        "sha256": run.result_sha256,
    }


def test_a_slow_store_of_the_manifest_keeps_the_lease(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes.fireant.bodies["101"] = BODY
    run = new_run()
    write = type(fakes.store).write
    is_held: list[bool] = []

    def write_slowly(
        store: testing.FakeStore, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER
    ) -> StoredResult:
        if path == run.manifest_path:
            for _second in range(3):
                fakes.clock.advance(seconds=SETTINGS.lease.total_seconds() * 0.6)
                observer.heartbeat()
                is_held.append(not ReportRun.objects.claimable(fakes.clock.now).filter(pk=run.pk).exists())
        return write(store, path, chunks, observer)

    monkeypatch.setattr(type(fakes.store), "write", write_slowly)
    assert go(run, fakes).status == Status.SUCCEEDED
    assert is_held == [True, True, True]


def test_a_result_beyond_four_gib_is_counted_to_the_byte(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 5 * 2**30 + 1
    fakes.fireant.bodies["101"] = BODY
    counted = testing._upload
    monkeypatch.setattr(
        testing, "_upload", lambda content: replace(counted(content), size=size if content == BODY else 0)
    )

    run = go(new_run(), fakes)

    assert (run.status, run.result_size) == (Status.SUCCEEDED, size)
    assert isinstance(ReportRun._meta.get_field("result_size"), BigIntegerField)  # SQLite would take any
    assert json.loads(fakes.store.files[run.manifest_path])["size"] == size
    assert run.steps.get(step=Step.RESULTS_STORAGE).metadata["bytes"] == size


def test_a_description_is_hidden_from_readers_of_the_results(new_run: NewRun, fakes: FakePorts) -> None:
    """Spark and Hadoop skip names that begin with an underscore; a shell's glob can say so too."""
    run = go(new_run(), fakes)
    assert run.manifest_path == f"1/2026-07-01/_{run.reference}.manifest.json"


@pytest.mark.parametrize(
    "moment",
    [{"die_before": "result"}, {"die_after": "result"}, {"die_before": "manifest"}, {"die_after": "manifest"}],
    ids=lambda moment: " ".join(f"{when} {what}" for when, what in moment.items()),
)
def test_a_worker_that_was_killed_is_followed_by_one_that_completes_it(
    new_run: NewRun, fatal: FakePorts, moment: dict[str, str]
) -> None:
    run = go(killed_at(new_run(), fatal, **moment), fatal)
    assert (run.status, run.result_size) == (Status.SUCCEEDED, len(BODY))
    assert list(fatal.store.files) == [run.result_path, run.manifest_path]
    assert fatal.store.files[run.result_path] == BODY
    assert json.loads(fatal.store.files[run.manifest_path])["sha256"] == run.result_sha256


def test_a_stored_result_is_adopted_though_fireant_has_dropped_it(new_run: NewRun, fatal: FakePorts) -> None:
    run = killed_at(new_run(), fatal, die_after="result")
    fatal.fireant.fail("results", FireantError("gone", code="no_result"))
    assert go(run, fatal).status == Status.SUCCEEDED
    assert len(fatal.fireant.failures["results"]) == 1  # it was not asked


def test_a_manifest_of_other_bytes_next_to_a_result_is_reported(new_run: NewRun, fatal: FakePorts) -> None:
    run = killed_at(new_run(), fatal, die_after="manifest")
    del fatal.store.files[run.result_path]  # by a person, who has seen that it is wrong
    fatal.fireant.bodies["101"] = b'{"results": []}'

    assert (go(run, fatal).status, run.error_code) == (Status.FAILED, "storage")
    assert run.manifest_path in run.error

    del fatal.store.files[run.manifest_path]
    retry_run(run.pk, actor="person", runtime=make_runtime(fatal.ports))
    assert go(run, fatal).status == Status.SUCCEEDED
    assert json.loads(fatal.store.files[run.manifest_path])["sha256"] == run.result_sha256


class TestARunThatIsSubmittedAgain:
    """A worker of the first job may come back at any time, for example after its machine was stopped."""

    @pytest.fixture
    def resubmitted(self, new_run: NewRun, fatal: FakePorts) -> ReportRun:
        run = killed_at(new_run(), fatal, die_before="result")
        fatal.fireant.fail("results", FireantError("gone", code="no_result"))
        assert go(run, fatal).status == Status.FAILED
        fatal.fireant.bodies["102"] = b'{"results": [102]}'
        retry_run(run.pk, actor="person", runtime=make_runtime(fatal.ports))
        run.refresh_from_db()
        return run

    def test_stores_the_result_of_its_own_job(self, resubmitted: ReportRun, fatal: FakePorts) -> None:
        first = replace_submission(resubmitted, 1)
        fatal.store.files[first.result_path] = BODY  # the first job's worker goes on
        run = go(resubmitted, fatal)

        assert (run.status, run.fireant_job_id, run.submission) == (Status.SUCCEEDED, "102", 2)
        assert b"".join(fatal.store.read(run.result_path)) == b'{"results": [102]}'
        assert run.result_sha256 == hashlib.sha256(b'{"results": [102]}').hexdigest()
        described = json.loads(fatal.store.files[run.manifest_path])
        assert (described["fireant_job_id"], described["result"]) == ("102", f"{run.reference}-2.json")
        assert described["sha256"] == run.result_sha256

    def test_fails_where_its_own_place_has_other_bytes(self, resubmitted: ReportRun, fatal: FakePorts) -> None:
        run = killed_at(resubmitted, fatal, die_after="result")
        fatal.store.files[run.result_path] = BODY
        run = go(run, fatal)
        assert (run.status, run.error_code) == (Status.FAILED, "storage")
        assert "SHA-256" in run.error
        assert run.manifest_path not in fatal.store.files

    def test_keeps_the_name_of_a_result_stored_before_names_had_the_submission(self, resubmitted: ReportRun) -> None:
        resubmitted.results_path = (
            f"https://lake.example/W/L.Lakehouse/Files/r/1/2026-07-01/{resubmitted.reference}.json"
        )
        assert resubmitted.result_path == f"1/2026-07-01/{resubmitted.reference}.json"


def replace_submission(run: ReportRun, submission: int) -> ReportRun:
    other = ReportRun.objects.get(pk=run.pk)
    other.submission = submission
    return other


def test_a_manifest_of_another_job_fails_the_run_though_the_bytes_are_equal(new_run: NewRun, fatal: FakePorts) -> None:
    run = killed_at(new_run(), fatal, die_after="manifest")
    described = json.loads(fatal.store.files[run.manifest_path]) | {"fireant_job_id": "7"}
    fatal.store.files[run.manifest_path] = json.dumps(described).encode()
    assert (go(run, fatal).status, run.error_code) == (Status.FAILED, "storage")


def test_a_worker_that_lost_its_run_while_it_stored_writes_no_manifest(new_run: NewRun, fatal: FakePorts) -> None:
    run = new_run()
    write = fatal.store.write

    def write_and_lose(path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        stored = write(path, chunks, observer)
        ReportRun.objects.get(pk=run.pk).write(wake_at=fatal.clock.now)  # as another worker's claim does
        return stored

    object.__setattr__(fatal.store, "write", write_and_lose)
    go(run, fatal)
    assert list(fatal.store.files) == [run.result_path]


def test_a_worker_that_lost_its_run_leaves_the_payload_as_it_is(new_run: NewRun, fakes: FakePorts) -> None:
    run = new_run()

    def build_and_lose(*_given: Any) -> dict[str, object]:
        ReportRun.objects.get(pk=run.pk).write(wake_at=fakes.clock.now)
        RunPayload.objects.create(run=run, body={"of": "the later worker"})
        return {"of": "the worker that lost the run"}

    advance(run.pk, runtime=make_runtime(replace(fakes.ports, build_payload=build_and_lose), SETTINGS))
    assert RunPayload.objects.get(run=run).body == {"of": "the later worker"}


def test_an_upload_is_noted_on_the_run_and_given_to_the_next_attempt(
    new_run: NewRun, fatal: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = killed_at(new_run(), fatal, die_after="result")
    noted = Upload(etag=run.result_etag, size=len(BODY), sha256=run.result_sha256)
    assert (noted.sha256, run.result_size, run.results_path) == (hashlib.sha256(BODY).hexdigest(), len(BODY), "")
    assert noted.etag
    known: list[Upload | None] = []
    write = FatalStore.write

    def remember(
        store: FatalStore, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER
    ) -> StoredResult:
        known.append(observer.known_upload)
        return write(store, path, chunks, observer)

    monkeypatch.setattr(FatalStore, "write", remember)
    go(run, fatal)
    assert known == [noted, None]  # the result's, and the manifest's
