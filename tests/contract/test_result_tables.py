"""A result's rows are in the table once or not at all, in a folder as in OneLake, whoever writes them and whenever they die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from report_orchestrator.adapters.delta_table import DeltaResults, _written_beside
from report_orchestrator.adapters.onelake_tables import onelake_table
from report_orchestrator.adapters.result_rows import STEP
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import ConfigurationError, LeaseLostError, TransientError
from report_orchestrator.ports import Appended
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.demo.place import ROOT, free_port

COLUMNS: dict[str, str | date | datetime] = {
    "run_reference": "r1",
    "run_date": date(2026, 7, 1),
    "run_at": datetime(2026, 7, 1, 6, tzinfo=UTC),
}
ROWS = [{"location": "Miami", "exposure": 1}, {"location": "Tampa", "exposure": 2.5, "is_coastal": True}]


def document(rows: object = ROWS) -> bytes:
    return json.dumps({"metadata": {"results": 1}, "results": rows, "more": [1]}).encode()


def kept() -> None:
    """The lease is never lost."""


def append(table: DeltaResults, run: str = "r1", body: bytes | None = None) -> Appended:
    content = document() if body is None else body
    return table.append(run, {**COLUMNS, "run_reference": run}, lambda: iter([content]), kept)


def rows_of(table: DeltaResults) -> list[dict[str, Any]]:
    opened = table._open()
    assert opened is not None
    rows: list[dict[str, Any]] = opened.to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: (row["run_reference"], str(row.get("location"))))


@pytest.fixture(scope="module")
def lake() -> Iterator[OneLakeSandbox]:
    with OneLakeSandbox() as sandbox:
        yield sandbox


@pytest.fixture(params=["local", "onelake"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> DeltaResults:
    """The local one beside the one that delta-rs reaches over the sandbox's Blob half, with a token of its Entra."""
    if request.param == "local":
        return DeltaResults(str(tmp_path / "Tables" / "report_results"))
    sandbox: OneLakeSandbox = request.getfixturevalue("lake")
    sandbox.clear()
    # The environment of delta-rs is read when it first connects, and is that of the process.
    request.getfixturevalue("monkeypatch").setenv("SSL_CERT_FILE", str(sandbox.ca_file))
    settings, problems = parse_settings({**sandbox.settings_overrides(), "TIMEOUT_SECONDS": 10}, {})
    assert problems == []
    return onelake_table(settings)


class TestRows:
    def test_carry_the_runs_columns(self, table: DeltaResults) -> None:
        told = append(table)

        assert (told.rows, told.note) == (2, "")
        assert rows_of(table) == [
            {"location": "Miami", "exposure": 1.0, "is_coastal": None, **COLUMNS},
            {"location": "Tampa", "exposure": 2.5, "is_coastal": True, **COLUMNS},
        ]

    def test_of_a_run_are_there_once_however_often_they_are_appended(self, table: DeltaResults) -> None:
        append(table)
        append(table, "r2")

        told = [append(table, run) for run in ("r1", "r2", "r1")]

        assert [each.rows for each in told] == [None, None, None]
        assert [row["run_reference"] for row in rows_of(table)] == ["r1", "r1", "r2", "r2"]

    def test_bring_new_columns_along(self, table: DeltaResults) -> None:
        append(table)

        append(table, "r2", document([{"depth in m": 2, "exposure": None}]))

        newest = rows_of(table)[-1]
        assert (newest["depth_in_m"], newest["location"], newest["exposure"]) == (2.0, None, None)
        assert rows_of(table)[0]["depth_in_m"] is None

    @pytest.mark.parametrize("body", [b'{"results": []}', b'{"metadata": {}, "results": []}'])
    def test_may_be_none_and_then_make_no_table(self, table: DeltaResults, body: bytes) -> None:
        assert append(table, body=body).rows == 0
        assert table._open() is None

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "not JSON"),
            (b"a,b\n1,2", "not JSON"),
            (b'{"results": [{"a": 1}', "not JSON"),
            (b"{}", "no `results`"),
            (b"[]", "no `results`"),
            (b'{"metadata": {"results": [{"a": 1}]}}', "no `results`"),
            (b'{"results": {"a": 1}}', "no list"),
            (b'{"results": 5}', "no list"),
            (b'{"results": [1, 2]}', "not all objects"),
            (b'{"results": [{"a": 1}, null]}', "not all objects"),
            (b'{"results": [{"a": 1}, 2]}', "do not go together"),
            (b'{"results": [{"a": {"b": 1}}]}', "not flat"),
            (b'{"results": [{"a": [1]}]}', "not flat"),
            (b'{"results": [{"a": 1}, {"a": "x"}]}', "do not go together"),
            (b'{"results": [{"a": 9007199254740993}]}', "exactly"),
            (b'{"results": [{"a": 123456789012345678901234567890}]}', "not JSON that can be read"),
            (b'{"results": [{"a b": 1, "a,b": 2}]}', "another column"),
            (b'{"results": [{"run_DATE": 1}]}', "another column"),
        ],
    )
    def test_that_are_none_are_told_and_make_no_table(
        self, table: DeltaResults, body: bytes, why: str
    ) -> None:
        told = append(table, body=body)

        assert why in told.note
        assert told.rows is None
        assert table._open() is None

    @pytest.mark.parametrize("value", ["text", True])
    def test_that_change_a_columns_kind_are_told(self, table: DeltaResults, value: object) -> None:
        append(table)

        told = append(table, "r2", document([{"exposure": value}]))

        assert "the column 'exposure' holds" in told.note
        assert len(rows_of(table)) == 2

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            pytest.param(
                b'{"results": [{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}]}", "nested deeper", id="lists"
            ),
            pytest.param(
                b'{"results": [{"a": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}]}",
                "nested deeper",
                id="objects",
            ),
            pytest.param(
                b'{"metadata": ' + b"[" * 2000 + b"]" * 2000 + b', "results": [{"a": 1}]}',
                "nested deeper",
                id="beside",
            ),
            pytest.param(b"[" * 2000, "nested deeper", id="never closed"),
            pytest.param(document([{f"k{key}": 1 for key in range(2000)}]), "columns", id="a wide row"),
            pytest.param(
                document([{f"k{key}": 1} for key in range(2000)]), "columns", id="other names in each row"
            ),
            pytest.param(
                document([{"a": {f"k{key}": 1}} for key in range(2000)]),
                "not flat",
                id="other names within each row",
            ),
            pytest.param(
                b'{"results": [{"a": 1' + b"0" * 5000 + b"}]}",
                "not JSON that can be read",
                id="a long number",
            ),
        ],
    )
    def test_that_would_take_the_worker_down_are_told(self, tmp_path: Path, body: bytes, why: str) -> None:
        table = DeltaResults(str(tmp_path))

        told = append(table, body=body)

        assert why in told.note
        assert table._open() is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"results": [{"a": 1, "b": "Harbour Street"}, nonsense "Harbour Street"]}',
            document([{"a": 1}, {"a": "Harbour Street"}]),
            document([{"a": "Harbour Street"}, {"a": 1}]),
        ],
    )
    def test_are_told_without_what_the_result_says(self, tmp_path: Path, body: bytes) -> None:
        told = append(DeltaResults(str(tmp_path)), body=body)

        assert told.note
        assert "Harbour" not in told.note

    def test_are_told_in_words_that_a_database_takes(self, tmp_path: Path) -> None:
        told = append(DeltaResults(str(tmp_path)), body=rb'{"results": [{"a\u0000b": [1]}]}')

        assert "'a_b'" in told.note

    def test_with_letters_that_no_name_may_have_are_appended(self, table: DeltaResults) -> None:
        append(table, body=rb'{"results": [{"a\u0000b": 1, "c\u001fd": 2}]}')

        assert [(row["a_b"], row["c_d"]) for row in rows_of(table)] == [(1.0, 2.0)]

    def test_of_many_columns_are_held_a_few_at_a_time(self, tmp_path: Path) -> None:
        rows = [{f"k{(row + key * 10) % 900}": 1 for key in range(2)} for row in range(9000)]

        told = append(DeltaResults(str(tmp_path)), body=document(rows))

        assert (told.rows, told.note) == (len(rows), "")

    def test_of_many_steps_are_all_there(self, table: DeltaResults) -> None:
        wanted = [{"location": f"place {number:06}", "exposure": number / 2} for number in range(20_000)]
        body = document(wanted)
        assert len(body) > 2 * STEP

        assert append(table, body=body).rows == len(wanted)

        assert [row["location"] for row in rows_of(table)] == [row["location"] for row in wanted]

    def test_that_are_too_large_to_hold_are_told_before_they_are_held(self, tmp_path: Path) -> None:
        given = 0

        def endless() -> Iterator[bytes]:
            nonlocal given
            yield b'{"results": [{"a": {"b": ['
            while True:
                given += 1
                yield b"1," * 500_000

        told = DeltaResults(str(tmp_path)).append("r1", {}, endless, kept)

        assert "larger than" in told.note
        assert given < 20


class TestTwoWriters:
    @pytest.mark.parametrize("stands", [False, True])
    def test_of_one_run_leave_its_rows_once(self, table: DeltaResults, stands: bool) -> None:
        """Both have looked, and found the run missing, before either commits."""
        if stands:
            append(table, "r0")
        told = self.at_once(table, "r1", "r1")

        assert sorted(each.rows or 0 for each in told) in (
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
                return table._create(pa.schema([pa.field(column, pa.string())])).version()

            with ThreadPoolExecutor() as writers:
                assert list(writers.map(make, ("a", "b"))) == [0, 0]
            assert DeltaTable(table._address).version() == 0

    def at_once(self, table: DeltaResults, *runs: str) -> list[Appended]:
        both_have_looked = threading.Barrier(2, timeout=60)

        def write(run: str) -> Appended:
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
        asked: list[threading.Thread] = []

        table.append(
            "r1", COLUMNS, lambda: iter([document()]), lambda: asked.append(threading.current_thread())
        )

        assert len(asked) >= 2
        assert set(asked) == {threading.current_thread()}

    def test_killed_between_its_commit_and_its_word_is_not_repeated(self, tmp_path: Path) -> None:
        table = DeltaResults(str(tmp_path / "report_results"))
        code = f"""
import os, signal
from datetime import UTC, date, datetime
from report_orchestrator.adapters import delta_table
from tests.contract.test_result_tables import append
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

        told = append(table)

        assert told.rows is None
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

        with pytest.raises(TransientError, match="cannot be written now") as raised:
            append(table)
        assert raised.value.code == "table"
        with pytest.raises(TransientError):
            table._open()

    def until_done(self, attempt: Callable[[], Appended]) -> Iterable[Appended]:
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
        return onelake_table(settings)


class TestAWriter:
    def test_that_is_silent_does_not_hold_up_a_worker_that_is_ended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("report_orchestrator.adapters.delta_table.BEAT", 0.01)
        release, ended = threading.Event(), threading.Event()

        def silent(_reader: pa.RecordBatchReader) -> None:
            release.wait(10)
            ended.set()

        def keep() -> NoReturn:
            raise SystemExit

        batch = pa.record_batch({"a": [1]})
        with pytest.raises(SystemExit):
            _written_beside(iter([batch] * 9), batch.schema, silent, keep)

        assert not ended.is_set()
        release.set()
        assert ended.wait(10)
