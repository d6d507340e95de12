"""Writers that meet, end or find the lake failing leave a run's rows once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from report_orchestrator.adapters.delta.table import DeltaResults, _AbandonedError, _write_in_background
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import ConfigurationError, LeaseLostError, TransientError
from report_orchestrator.ports import AppendResult
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.demo.environment import ROOT, free_port
from tests.support.delta_rows import COLUMNS, append, document, kept, rows_of

pytestmark = pytest.mark.slow


class TestTwoWriters:
    @pytest.mark.parametrize("stands", [False, True])
    def test_of_one_run_leave_its_rows_once(self, table: DeltaResults, stands: bool) -> None:
        """Both have looked, and found the run missing, before either commits."""
        if stands:
            append(table, "r0")
        reported = self.at_once(table, "r1", "r1")

        assert sorted(each.rows or 0 for each in reported) in (
            [0, 2],
            [2, 2],
        )  # the second may learn it from the conflict
        assert [row["run_reference"] for row in rows_of(table)].count("r1") == 2

    def test_of_two_runs_leave_the_rows_of_both(self, table: DeltaResults) -> None:
        append(table, "r0")

        self.at_once(table, "r1", "r2")

        assert [row["run_reference"] for row in rows_of(table)] == ["r0", "r0", "r1", "r1", "r2", "r2"]

    def test_that_make_the_table_at_once_make_one(self, tmp_path: Path) -> None:
        """delta-rs would make a second version of it, with the columns of the second alone."""
        for number in range(20):
            table = DeltaResults(str(tmp_path / str(number)))
            ready = threading.Barrier(2, timeout=60)

            def make(column: str, table: DeltaResults = table, ready: threading.Barrier = ready) -> int:
                ready.wait()
                return table._create(pa.schema([pa.field(column, pa.string())]), lambda: None).version()

            with ThreadPoolExecutor() as writers:
                assert list(writers.map(make, ("a", "b"))) == [0, 0]
            assert DeltaTable(table._address).version() == 0

    def at_once(self, table: DeltaResults, *runs: str) -> list[AppendResult]:
        both_have_looked = threading.Barrier(2, timeout=60)

        def write(run: str) -> AppendResult:
            reads = 0

            def read() -> Iterator[bytes]:
                nonlocal reads
                reads += 1
                yield document()
                if reads == 2:  # the second reading goes into the commit
                    both_have_looked.wait()

            return table.append(run, {**COLUMNS, "run_reference": run}, read, kept)

        with ThreadPoolExecutor() as writers:
            return list(writers.map(write, runs))


class TestAWriterThatEnds:
    @pytest.mark.parametrize("error", [LeaseLostError(), TransientError("the lake is silent"), SystemExit()])
    def test_while_its_rows_are_read_leaves_none(self, table: DeltaResults, error: BaseException) -> None:
        reads = 0

        def read() -> Iterator[bytes]:
            nonlocal reads
            reads += 1
            yield document()
            if reads == 2:
                raise error

        with pytest.raises(type(error)):
            table.append("r1", COLUMNS, read, kept)

        assert rows_of(table) == []
        assert append(table).rows == 2
        assert len(rows_of(table)) == 2

    def test_is_asked_about_its_lease_in_its_own_thread(self, table: DeltaResults) -> None:
        requested: list[threading.Thread] = []

        table.append("r1", COLUMNS, lambda: iter([document()]), lambda: requested.append(threading.current_thread()))

        assert len(requested) >= 2
        assert set(requested) == {threading.current_thread()}

    def test_killed_between_its_commit_and_its_word_is_not_repeated(self, tmp_path: Path) -> None:
        table = DeltaResults(str(tmp_path / "report_results"))
        code = f"""
import os, signal
from datetime import UTC, date, datetime
from report_orchestrator.adapters.delta import table as delta_table
from tests.support.delta_rows import append
def commit_and_die(*given, **options):
    write(*given, **options)
    os.kill(os.getpid(), signal.SIGKILL)
write, delta_table.write_deltalake = delta_table.write_deltalake, commit_and_die
append(delta_table.DeltaResults({table._address!r}))
"""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            check=False,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.host.settings"},
        )
        assert done.returncode == -signal.SIGKILL
        version = DeltaTable(table._address).version()

        result = append(table)

        assert result.rows is None
        assert DeltaTable(table._address).version() == version
        assert len(rows_of(table)) == 2


class TestALakeThatFails:
    @pytest.mark.parametrize("endpoint", ["list_blobs", "put_blob", "read"])
    @pytest.mark.parametrize("kind", ["reset", "reset_after_work", "status_code"])
    def test_gets_the_rows_once_all_the_same(
        self, lake: OneLakeSandbox, request: pytest.FixtureRequest, endpoint: Any, kind: Any
    ) -> None:
        table: DeltaResults = request.getfixturevalue("onelake")
        append(table, "r0")
        lake.faults.add(endpoint, kind, status=503 if kind == "status_code" else None)

        self.until_done(lambda: append(table))

        lake.faults.assert_all_fired()
        assert [row["run_reference"] for row in rows_of(table)] == ["r0", "r0", "r1", "r1"]

    @pytest.mark.parametrize("endpoint", ["list_blobs", "put_blob", "read"])
    def test_by_refusing_is_a_matter_of_configuration(
        self, lake: OneLakeSandbox, request: pytest.FixtureRequest, endpoint: Any
    ) -> None:
        table: DeltaResults = request.getfixturevalue("onelake")
        append(table, "r0")
        lake.faults.add(endpoint, "status_code", status=403)

        with pytest.raises(ConfigurationError, match="FABRIC_WORKSPACE_ID"):
            append(table)

        lake.faults.assert_all_fired()
        assert append(table).rows == 2

    def test_by_not_taking_a_token_any_more_is_tried_again(
        self, lake: OneLakeSandbox, request: pytest.FixtureRequest
    ) -> None:
        table: DeltaResults = request.getfixturevalue("onelake")
        append(table, "r0")
        lake.faults.add("put_blob", "status_code", status=401)

        with pytest.raises(TransientError):
            append(table)

        lake.faults.assert_all_fired()
        assert append(table).rows == 2

    def test_by_being_away_is_transient_and_is_not_taken_for_having_no_table(
        self, lake: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table = self.reached_over(f"https://127.0.0.1:{free_port()}", lake, monkeypatch)

        with pytest.raises(TransientError, match="cannot be written") as raised:
            append(table)
        assert raised.value.code == "table"
        with pytest.raises(TransientError):
            table._open(lambda: None)

    def until_done(self, attempt: Callable[[], AppendResult]) -> Iterable[AppendResult]:
        """As a run does: an attempt that failed in passing is followed by another."""
        for _ in range(3):
            try:
                return [attempt()]
            except TransientError:
                continue
        pytest.fail("three attempts failed")

    @pytest.fixture
    def onelake(self, lake: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch) -> DeltaResults:
        lake.clear()
        return self.reached_over(lake.url, lake, monkeypatch)

    def reached_over(self, url: str, lake: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch) -> DeltaResults:
        monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
        given = {**lake.settings_overrides(), "TIMEOUT_SECONDS": 5, "FABRIC_ACCOUNT_URL": url}
        settings, problems = parse_settings(given, {})
        assert problems == []
        return DeltaResults(*table_location(settings))


class TestAWriter:
    def test_that_takes_each_batch_slowly_keeps_the_lease(self) -> None:
        batch, beats, written = pa.record_batch({"a": [1]}), list[int](), list[int]()

        def slow(reader: pa.RecordBatchReader) -> None:
            for _batch in reader:
                written.append(len(beats))

        _write_in_background(iter([batch] * 9), batch.schema, slow, lambda: beats.append(len(written)))

        assert len(written) == 9
        assert len(beats) >= 9

    def test_of_a_canceled_run_neither_holds_up_its_worker_nor_commits(self) -> None:
        release, outcome = threading.Event(), Future[str]()

        def silent(reader: pa.RecordBatchReader) -> None:
            release.wait(10)
            try:
                outcome.set_result(f"committed {reader.read_all().num_rows} rows")
            except Exception as error:
                outcome.set_exception(error)
                raise

        def rows() -> Iterator[pa.RecordBatch]:
            yield batch
            raise LeaseLostError

        batch = pa.record_batch({"a": [1]})
        with pytest.raises(LeaseLostError):
            _write_in_background(rows(), batch.schema, silent, lambda: None)

        assert not outcome.done()
        release.set()
        with pytest.raises(_AbandonedError):
            outcome.result(10)

    def test_that_is_silent_does_not_hold_up_a_worker_that_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("report_orchestrator.adapters.delta.table.HEARTBEAT_SECONDS", 0.01)
        release, ended = threading.Event(), threading.Event()

        def silent(_reader: pa.RecordBatchReader) -> None:
            release.wait(10)
            ended.set()

        def heartbeat() -> NoReturn:
            raise SystemExit

        batch = pa.record_batch({"a": [1]})
        with pytest.raises(SystemExit):
            _write_in_background(iter([batch] * 9), batch.schema, silent, heartbeat)

        assert not ended.is_set()
        release.set()
        assert ended.wait(10)
