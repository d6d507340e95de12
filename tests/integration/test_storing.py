"""The last step: a result and its description are stored once, whenever the worker dies, and nothing is asked for twice."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from deltalake import DeltaTable
from django.db.models import BigIntegerField

from report_orchestrator import testing
from report_orchestrator.adapters.delta_table import DeltaResults
from report_orchestrator.domain.runs import Status, Step
from report_orchestrator.exceptions import ConfigurationError, FireantError, TransientError
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import NOBODY, Follower, Ports, StoredResult, Upload
from report_orchestrator.services import maintenance
from report_orchestrator.services.execution import advance
from report_orchestrator.services.intervention import retry_run
from report_orchestrator.services.sweeping import MOST, OLDER_THAN, sweep_if_due
from report_orchestrator.signals import schedule_event
from report_orchestrator.testing import FakeFireant, FakePorts, FakeStore
from report_orchestrator.wiring import build_ports
from tests.conftest import SettingsFactory

pytestmark = pytest.mark.django_db

SETTINGS = SettingsFactory.make()
BODY = b'{"results": [1, 2]}'
NewRun = Callable[..., ReportRun]


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of ours catches it."""


class FatalStore(FakeStore):
    """A store whose writer dies before or after a certain write."""

    die_before = ""
    die_after = ""

    def write(self, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY) -> StoredResult:
        name = "manifest" if path.endswith(".manifest.json") else "result"
        self._die(name, "die_before")
        stored = super().write(path, chunks, follower)
        self._die(name, "die_after")
        return stored

    def _die(self, name: str, moment: str) -> None:
        if getattr(self, moment) == name:
            setattr(self, moment, "")
            raise Killed


@pytest.fixture
def fatal(fakes: FakePorts) -> FakePorts:
    fakes.fireant.bodies["101"] = BODY
    object.__setattr__(fakes, "store", FatalStore())
    return fakes


def go(run: ReportRun, fakes: FakePorts) -> ReportRun:
    advance(run.pk, ports=fakes.ports, settings=SETTINGS)
    run.refresh_from_db()
    return run


def killed_at(run: ReportRun, fakes: FakePorts, **moment: str) -> ReportRun:
    """A run whose worker died there, and whose lease has run out since."""
    for name, value in moment.items():
        setattr(fakes.store, name, value)
    with pytest.raises(Killed):
        go(run, fakes)
    run.refresh_from_db()
    assert (run.status, run.step) == (Status.RUNNING, Step.RESULTS_STORAGE)
    fakes.clock.advance(minutes=10)
    return run


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
    [
        {"die_before": "result"},
        {"die_after": "result"},
        {"die_before": "manifest"},
        {"die_after": "manifest"},
    ],
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


def test_a_description_of_other_bytes_is_not_left_beside_a_result_without_a_word(
    new_run: NewRun, fatal: FakePorts
) -> None:
    run = killed_at(new_run(), fatal, die_after="manifest")
    del fatal.store.files[run.result_path]  # by a person, who has seen that it is wrong
    fatal.fireant.bodies["101"] = b'{"results": []}'

    assert (go(run, fatal).status, run.error_code) == (Status.FAILED, "storage")
    assert run.manifest_path in run.error

    del fatal.store.files[run.manifest_path]
    retry_run(run.pk, actor="person", ports=fatal.ports)
    assert go(run, fatal).status == Status.SUCCEEDED
    assert json.loads(fatal.store.files[run.manifest_path])["sha256"] == run.result_sha256


def test_an_upload_is_noted_on_the_run_and_given_to_the_next_attempt(
    new_run: NewRun, fatal: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = killed_at(new_run(), fatal, die_after="result")
    noted = Upload(etag=run.result_etag, size=len(BODY), sha256=run.result_sha256)
    assert (noted.sha256, run.result_size, run.results_path) == (
        hashlib.sha256(BODY).hexdigest(),
        len(BODY),
        "",
    )
    assert noted.etag
    known: list[Upload | None] = []
    write = FatalStore.write

    def remember(
        store: FatalStore, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY
    ) -> StoredResult:
        known.append(follower.uploaded)
        return write(store, path, chunks, follower)

    monkeypatch.setattr(FatalStore, "write", remember)
    go(run, fatal)
    assert known == [noted, None]  # the result's, and the manifest's


def test_the_store_is_swept_once_a_day_and_spares_what_runs_write(new_run: NewRun, fatal: FakePorts) -> None:
    writing, done, waiting = killed_at(new_run(), fatal, die_before="result"), go(new_run(), fatal), new_run()
    assert {run.status for run in (writing, done, waiting)} == {"running", "succeeded", "queued"}

    for _ in range(3):
        sweep_if_due(ports=fatal.ports)
        fatal.clock.advance(hours=9)
    assert fatal.store.sweeps == [(OLDER_THAN, frozenset({writing.result_path}))]

    sweep_if_due(ports=fatal.ports)
    assert len(fatal.store.sweeps) == 2


def test_a_store_with_much_to_sweep_is_swept_a_part_a_minute(fakes: FakePorts) -> None:
    long_ago = time.monotonic() - 2 * OLDER_THAN.total_seconds()
    left = (testing._Unfinished(path=f"{number}.json", touched_at=long_ago) for number in range(2 * MOST + 1))
    fakes.store.unfinished = set(left)
    removed = []
    for _ in range(4):
        removed.append(sweep_if_due(ports=fakes.ports))
        fakes.clock.advance(minutes=1)
    assert removed == [MOST, MOST, 1, 0]


def test_a_tick_sweeps(fakes: FakePorts) -> None:
    maintenance.tick(ports=fakes.ports, settings=SETTINGS, until=fakes.clock.now + timedelta(seconds=1))
    assert fakes.store.sweeps == [(OLDER_THAN, frozenset())]


def test_a_sweep_that_fails_is_told_and_tried_again_within_the_day(
    fakes: FakePorts, django_capture_on_commit_callbacks: Any
) -> None:
    told: list[dict[str, object]] = []

    def hear(*, event: str, fields: dict[str, object], **_kwargs: object) -> None:
        told.append({"event": event, **fields})

    fakes.store.failures.append(TransientError("the lake is at capacity", code="onelake_at_capacity"))
    schedule_event.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert sweep_if_due(ports=fakes.ports) == 0
    finally:
        schedule_event.disconnect(hear)
    expected = {"error_code": "onelake_at_capacity", "error": "the lake is at capacity"}
    assert told == [{"event": "sweep_failed", **expected}]
    assert fakes.store.sweeps == []

    fakes.clock.advance(hours=1)
    sweep_if_due(ports=fakes.ports)
    assert len(fakes.store.sweeps) == 1


class TestATable:
    @pytest.fixture
    def tabled(self, fakes: FakePorts, tmp_path: Path) -> Ports:
        return replace(fakes.ports, table=DeltaResults(str(tmp_path / "report_results")))

    def rows(self, ports: Ports) -> list[dict[str, Any]]:
        assert isinstance(ports.table, DeltaResults)
        rows: list[dict[str, Any]] = DeltaTable(ports.table._address).to_pyarrow_table().to_pylist()
        return rows

    def go(self, run: ReportRun, ports: Ports) -> ReportRun:
        advance(run.pk, ports=ports, settings=SETTINGS)
        run.refresh_from_db()
        return run

    def learned(self, run: ReportRun) -> Any:
        return run.steps.get(step=Step.RESULTS_STORAGE, result="completed").metadata

    def test_gets_the_rows_with_the_runs_columns(
        self, new_run: NewRun, fakes: FakePorts, tabled: Ports
    ) -> None:
        fakes.fireant.bodies["101"] = b'{"results": [{"location": "Miami", "exposure": 5}]}'
        run = self.go(new_run(), tabled)
        assert run.status == Status.SUCCEEDED
        assert self.learned(run)["rows"] == 1
        assert self.rows(tabled) == [
            {
                "location": "Miami",
                "exposure": 5.0,
                "run_reference": str(run.reference),
                "run_report_key": "1",
                "run_date": run.run_date,
                "run_scheduled_for": run.scheduled_for,
                "run_fireant_job_id": "101",
            }
        ]

    def test_that_cannot_take_a_result_says_so_and_the_run_succeeds(
        self, new_run: NewRun, fakes: FakePorts, tabled: Ports
    ) -> None:
        fakes.fireant.bodies["101"] = BODY
        run = self.go(new_run(), tabled)
        assert run.status == Status.SUCCEEDED
        assert self.learned(run)["rows_note"] == "Not appended to the table: its rows are not all objects."

    def test_that_cannot_be_reached_has_the_step_tried_again(
        self, new_run: NewRun, fakes: FakePorts, tabled: Ports
    ) -> None:
        assert isinstance(tabled.table, DeltaResults)
        in_the_way = Path(tabled.table._address)
        in_the_way.write_text("a file where the table should be")
        fakes.fireant.bodies["101"] = b'{"results": [{"a": 1}]}'
        run = self.go(new_run(), tabled)
        assert run.status == Status.UP_FOR_RETRY

        in_the_way.unlink()
        fakes.clock.advance(minutes=1)
        assert self.go(run, tabled).status == Status.SUCCEEDED
        assert len(self.rows(tabled)) == 1

    def test_that_stays_away_fails_the_run_once_its_retries_are_used_up_and_a_persons_retry_appends(
        self, new_run: NewRun, fakes: FakePorts, tabled: Ports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nothing is submitted, downloaded or stored a second time for it."""
        assert isinstance(tabled.table, DeltaResults)
        downloads = self.downloads_of(monkeypatch)
        in_the_way = Path(tabled.table._address)
        in_the_way.write_text("a file where the table should be")
        fakes.fireant.bodies["101"] = b'{"results": [{"a": 1}]}'

        run = self.go(new_run(), tabled)
        tries = 1
        while run.status == Status.UP_FOR_RETRY:
            fakes.clock.advance(hours=2)
            run, tries = self.go(run, tabled), tries + 1
        stored = dict(fakes.store.files)

        assert (run.status, run.error_code, tries) == (Status.FAILED, "table", SETTINGS.max_retries + 1)
        assert run.results_path == f"memory://{run.result_path}"
        assert stored.keys() == {run.result_path, run.manifest_path}

        in_the_way.unlink()
        fakes.clock.advance(hours=2)
        retry_run(run.pk, actor="person", ports=tabled)
        assert self.go(run, tabled).status == Status.SUCCEEDED
        assert [row["run_reference"] for row in self.rows(tabled)] == [str(run.reference)]
        assert (len(fakes.fireant.submitted), downloads) == (1, ["101"])
        assert fakes.store.files == stored

    def test_that_has_the_rows_of_a_worker_that_was_killed_gets_no_others(
        self, new_run: NewRun, fakes: FakePorts, tabled: Ports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        downloads = self.downloads_of(monkeypatch)
        fakes.fireant.bodies["101"] = b'{"results": [{"a": 1}]}'
        run = new_run()
        append = DeltaResults.append

        def append_and_die(*given: Any) -> NoReturn:
            append(*given)
            raise Killed

        with monkeypatch.context() as dying:
            dying.setattr(DeltaResults, "append", append_and_die)
            with pytest.raises(Killed):
                self.go(run, tabled)
        fakes.clock.advance(minutes=10)

        assert self.go(run, tabled).status == Status.SUCCEEDED
        assert self.learned(run)["rows"] is None
        assert len(self.rows(tabled)) == 1
        assert (len(fakes.fireant.submitted), downloads) == (1, ["101"])

    def downloads_of(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The jobs whose results are asked for from now on."""
        asked: list[str] = []
        results = FakeFireant.results

        def ask(fireant: FakeFireant, job_id: str) -> AbstractContextManager[Iterator[bytes]]:
            asked.append(job_id)
            return results(fireant, job_id)

        monkeypatch.setattr(FakeFireant, "results", ask)
        return asked

    def test_is_put_together_from_the_settings(self, tmp_path: Path) -> None:
        given = {"RESULT_TABLES": "true", "RESULT_ROOT": tmp_path, "FABRIC_RESULTS_PATH": "teams/risk"}
        table = build_ports(SettingsFactory.make(**given)).table
        assert isinstance(table, DeltaResults)
        assert table._address == str(tmp_path / "Tables" / "risk")
        assert build_ports(SettingsFactory.make()).table is None

    def test_of_onelake_is_addressed_over_its_blob_half(self) -> None:
        lake = {"RESULT_STORE": "onelake", "FABRIC_WORKSPACE_ID": "Sales", "FABRIC_LAKEHOUSE_ID": "Risk"}
        table = build_ports(SettingsFactory.make(RESULT_TABLES="true", **lake)).table
        assert isinstance(table, DeltaResults)
        assert table._address == (
            "abfss://Sales@onelake.dfs.fabric.microsoft.com/Risk.Lakehouse/Tables/report_results"
        )

    def test_beside_a_store_of_ones_own_is_refused(self) -> None:
        settings = SettingsFactory.make(
            RESULT_TABLES="true", RESULT_STORE="report_orchestrator.testing.FakeStore"
        )
        with pytest.raises(ConfigurationError, match="RESULT_TABLES"):
            build_ports(settings)

    def test_without_its_libraries_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "report_orchestrator.adapters.delta_table", None)
        with pytest.raises(ConfigurationError, match=r"report-orchestrator\[delta\]"):
            build_ports(SettingsFactory.make(RESULT_TABLES="true"))
