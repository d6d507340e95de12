"""Rows of a result are in the table once, with the columns of their run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from report_orchestrator.adapters.delta.rows import STEP, UnfitError, shape_of
from report_orchestrator.adapters.delta.table import DeltaResults
from tests.support.delta_rows import COLUMNS, append, document, kept, rows_of

pytestmark = pytest.mark.slow


class TestRows:
    def test_carry_the_runs_columns(self, table: DeltaResults) -> None:
        result = append(table)

        assert (result.rows, result.note) == (2, "")
        assert rows_of(table) == [
            {"location": "Miami", "exposure": 1.0, "is_coastal": None, **COLUMNS},
            {"location": "Tampa", "exposure": 2.5, "is_coastal": True, **COLUMNS},
        ]

    def test_of_a_run_are_there_once_however_often_they_are_appended(self, table: DeltaResults) -> None:
        append(table)
        append(table, "r2")

        reported = [append(table, run) for run in ("r1", "r2", "r1")]

        assert [each.rows for each in reported] == [None, None, None]
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
        assert table._open(lambda: None) is None

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "not valid JSON"),
            (b"a,b\n1,2", "not valid JSON"),
            (b'{"results": [{"a": 1}', "not valid JSON"),
            (b"{}", "no `results`"),
            (b"[]", "no `results`"),
            (b'{"metadata": {"results": [{"a": 1}]}}', "no `results`"),
            (b'{"results": {"a": 1}}', "not a list"),
            (b'{"results": 5}', "not a list"),
            (b'{"results": [1, 2]}', "not objects"),
            (b'{"results": [{"a": 1}, null]}', "not objects"),
            (b'{"results": [{"a": 1}, 2]}', "conflicting types"),
            (b'{"results": [{"a": {"b": 1}}]}', "nested lists or objects"),
            (b'{"results": [{"a": [1]}]}', "nested lists or objects"),
            (b'{"results": [{"a": 1}, {"a": "x"}]}', "conflicting types"),
            (b'{"results": [{"a": 9007199254740993}]}', "exactly"),
            (b'{"results": [{"a": 123456789012345678901234567890}]}', "too large for any column"),
            (b'{"results": [{"a b": 1, "a,b": 2}]}', "another column"),
            (b'{"results": [{"run_DATE": 1}]}', "another column"),
        ],
    )
    def test_that_are_none_are_reported_and_make_no_table(self, table: DeltaResults, body: bytes, why: str) -> None:
        result = append(table, body=body)

        assert why in result.note
        assert result.rows is None
        assert table._open(lambda: None) is None

    @pytest.mark.parametrize("value", ["text", True])
    def test_that_change_a_columns_kind_are_reported(self, table: DeltaResults, value: object) -> None:
        append(table)

        result = append(table, "r2", document([{"exposure": value}]))

        assert "the column 'exposure' mixes" in result.note
        assert len(rows_of(table)) == 2

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            pytest.param(b'{"results": [{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}]}", "nested deeper", id="lists"),
            pytest.param(
                b'{"results": [{"a": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}]}", "nested deeper", id="objects"
            ),
            pytest.param(
                b'{"metadata": ' + b"[" * 2000 + b"]" * 2000 + b', "results": [{"a": 1}]}',
                "nested deeper",
                id="run_in_thread",
            ),
            pytest.param(b"[" * 2000, "nested deeper", id="never closed"),
            pytest.param(document([{f"k{key}": 1 for key in range(2000)}]), "columns", id="a wide row"),
            pytest.param(document([{f"k{key}": 1} for key in range(2000)]), "columns", id="other names in each row"),
            pytest.param(
                document([{"a": {f"k{key}": 1}} for key in range(2000)]),
                "nested lists or objects",
                id="other names within each row",
            ),
            pytest.param(
                b'{"results": [{"a": 1' + b"0" * 5000 + b"}]}", "too large for any column", id="a long number"
            ),
        ],
    )
    def test_that_would_take_the_worker_down_are_reported(self, tmp_path: Path, body: bytes, why: str) -> None:
        table = DeltaResults(str(tmp_path))

        result = append(table, body=body)

        assert why in result.note
        assert table._open(lambda: None) is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"results": [{"a": 1, "b": "Harbour Street"}, nonsense "Harbour Street"]}',
            document([{"a": 1}, {"a": "Harbour Street"}]),
            document([{"a": "Harbour Street"}, {"a": 1}]),
        ],
    )
    def test_are_reported_without_what_the_result_says(self, tmp_path: Path, body: bytes) -> None:
        result = append(DeltaResults(str(tmp_path)), body=body)

        assert result.note
        assert "Harbour" not in result.note

    def test_are_reported_in_words_that_a_database_takes(self, tmp_path: Path) -> None:
        result = append(DeltaResults(str(tmp_path)), body=rb'{"results": [{"a\u0000b": [1]}]}')

        assert "'a_b'" in result.note

    def test_with_letters_that_no_name_may_have_are_appended(self, table: DeltaResults) -> None:
        append(table, body=rb'{"results": [{"a\u0000b": 1, "c\u001fd": 2}]}')

        assert [(row["a_b"], row["c_d"]) for row in rows_of(table)] == [(1.0, 2.0)]

    def test_of_many_columns_are_held_a_few_at_a_time(self, tmp_path: Path) -> None:
        rows = [{f"k{(row + key * 10) % 900}": 1 for key in range(2)} for row in range(9000)]

        result = append(DeltaResults(str(tmp_path)), body=document(rows))

        assert (result.rows, result.note) == (len(rows), "")

    def test_of_many_steps_are_all_there(self, table: DeltaResults) -> None:
        wanted = [{"location": f"place {number:06}", "exposure": number / 2} for number in range(20_000)]
        body = document(wanted)
        assert len(body) > 2 * STEP

        assert append(table, body=body).rows == len(wanted)

        assert [row["location"] for row in rows_of(table)] == [row["location"] for row in wanted]

    def test_that_are_too_large_to_hold_are_refused_before_they_are_held(self) -> None:
        given = 0

        def endless() -> Iterator[bytes]:
            nonlocal given
            yield b'{"results": [{"a": {"b": ['
            while True:
                given += 1
                yield b"1," * 500_000

        with pytest.raises(UnfitError, match="larger than"):
            shape_of(endless(), pa.schema([]), [])
        assert given < 20

    def test_with_a_note_are_read_to_their_end_once(self, tmp_path: Path) -> None:
        """The end of the reading shows whether the bytes are those that were stored."""
        opened, ended = 0, 0

        def read() -> Iterator[bytes]:
            nonlocal opened, ended
            opened += 1
            yield b'{"results": [1, '
            yield from [b"2, "] * 20
            yield b"3]}"
            ended += 1

        assert "not objects" in DeltaResults(str(tmp_path)).append("r1", {}, read, kept).note
        assert (opened, ended) == (1, 1)
