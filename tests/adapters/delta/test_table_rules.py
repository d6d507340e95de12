"""A table that exists has rules, names and features of its own: a note or an error in words, and no worker lost."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from django.db import OperationalError

from report_orchestrator.adapters.delta import table as delta_table
from report_orchestrator.adapters.delta.rows import UnfitError, shape_of
from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, TransientError
from tests.support.delta_rows import COLUMNS, append, document, kept, rows_of


def made(folder: Path, *fields: pa.Field) -> DeltaResults:
    """Return a table with these columns and the run's."""
    constants = pa.Table.from_pylist([COLUMNS]).schema
    DeltaTable.create(str(folder), pa.schema([*fields, *constants]))
    return DeltaResults(str(folder))


def with_features(
    table: DeltaResults,
    writer: list[str],
    reader: list[str] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda _metadata: None,
) -> None:
    """Declare features in the table's first commit, as Spark does."""
    commit = Path(table._address, "_delta_log", f"{0:020}.json")
    protocol = {"minReaderVersion": 3 if reader else 1, "minWriterVersion": 7, "writerFeatures": writer}
    if reader:
        protocol["readerFeatures"] = reader
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    changed = [{"protocol": protocol} if "protocol" in action else action for action in actions]
    for action in actions:
        if "metaData" in action:
            change(action["metaData"])
    commit.write_text("\n".join(map(json.dumps, changed)))


class TestAName:
    @pytest.mark.parametrize("name", ["Location", "LOCATION", "loCation"])
    def test_that_differs_from_the_tables_in_case_only_is_noted(self, tmp_path: Path, name: str) -> None:
        table = made(tmp_path, pa.field("location", pa.string()))

        result = append(table, body=document([{name: "Tampa", "TIV": 2}]))

        assert result.note == f"Not appended to the table: the column '{name}' has the same name as another column."
        assert rows_of(table) == []

    def test_of_the_table_itself_is_taken(self, tmp_path: Path) -> None:
        table = made(tmp_path, pa.field("Location", pa.string()))

        assert append(table, body=document([{"Location": "Tampa"}])).rows == 1


class TestARule:
    @pytest.fixture(params=["constraint", "not null"])
    def ruled(self, request: pytest.FixtureRequest, tmp_path: Path) -> DeltaResults:
        if request.param == "not null":
            return made(tmp_path, pa.field("insured", pa.string()), pa.field("a", pa.float64(), nullable=False))
        table = made(tmp_path, pa.field("insured", pa.string()), pa.field("a", pa.float64()))
        DeltaTable(table._address).alter.add_constraint({"positive": "a > 0"})
        return table

    def test_that_a_row_breaks_is_noted_without_the_row(self, ruled: DeltaResults) -> None:
        result = append(ruled, body=document([{"insured": "Harbour Street", "a": None}, {"insured": "x", "a": -1}]))

        assert "a row breaks a rule of the table" in result.note
        assert "Harbour" not in result.note
        assert rows_of(ruled) == []

    def test_that_the_rows_keep_takes_them(self, ruled: DeltaResults) -> None:
        assert append(ruled, body=document([{"insured": "x", "a": 1}])).rows == 1


class TestAFeature:
    @pytest.mark.parametrize(
        ("writer", "reader"),
        [
            (["clustering", "domainMetadata"], None),
            (["identityColumns"], None),
            (["rowTracking", "domainMetadata"], None),
            (["inCommitTimestamp"], None),
            (["aFeatureOfTomorrow"], None),
            (["aFeatureOfTomorrow"], ["aFeatureOfTomorrow"]),
        ],
    )
    def test_that_the_library_lacks_ends_the_run_by_its_name(
        self, tmp_path: Path, writer: list[str], reader: list[str] | None
    ) -> None:
        table = made(tmp_path, pa.field("a", pa.float64()))
        with_features(table, writer, reader)

        with pytest.raises(ConfigurationError) as caught:
            append(table, body=document([{"a": 1}]))

        plain = caught.value.message.casefold()
        assert all(name[:7].casefold() in plain for name in writer[:1])
        assert "retry the run" in plain


class TestColumnMapping:
    @pytest.fixture(params=["name", "id"])
    def mapped(self, request: pytest.FixtureRequest, tmp_path: Path) -> DeltaResults:
        table = made(tmp_path, pa.field("a", pa.float64()), pa.field("b", pa.string()))

        def use_other_names(metadata: dict[str, Any]) -> None:
            schema = json.loads(metadata["schemaString"])
            for number, field in enumerate(schema["fields"], 1):
                field["metadata"] = {
                    "delta.columnMapping.id": number,
                    "delta.columnMapping.physicalName": f"col-{number}",
                }
            metadata["schemaString"] = json.dumps(schema)
            metadata["configuration"] = {
                "delta.columnMapping.mode": request.param,
                "delta.columnMapping.maxColumnId": str(len(schema["fields"])),
            }

        with_features(table, ["columnMapping"], ["columnMapping"], use_other_names)
        if version("deltalake").startswith("1.1."):
            pytest.skip("deltalake of this version does not write such tables")
        return table

    @pytest.mark.parametrize("row", [{"a": 1, "b": "x"}, {"b": "x"}, {"a": 1}])
    def test_takes_the_tables_columns(self, mapped: DeltaResults, row: dict[str, object]) -> None:
        result = append(mapped, body=document([row]))

        assert (result.rows, result.note) == (1, "")
        opened = mapped._open(kept)
        assert opened is not None
        found = pa.table(QueryBuilder().register("t", opened).execute("select * from t").read_all()).to_pylist()
        assert found == [{"a": None, "b": None, **row, **COLUMNS}]
        (file,) = Path(mapped._address).rglob("*.parquet")
        assert set(pq.read_schema(file).names) == {f"col-{number}" for number in range(1, 6)}

    def test_takes_no_new_ones(self, mapped: DeltaResults) -> None:
        result = append(mapped, body=document([{"a": 1, "c": 2}]))

        assert result.note == (
            "Not appended to the table: the column 'c' is new, and a table with column mapping accepts no new ones."
        )


class TestAPanic:
    def test_is_an_error_of_the_run(self, tmp_path: Path) -> None:
        folder = tmp_path / "lake [prod]" / "Tables"

        with pytest.raises(TransientError) as caught:
            append(DeltaResults(str(folder)))

        assert (caught.value.code, str(folder) in caught.value.message) == (ErrorCode.TABLE, True)

    def test_while_rows_are_written_is_one_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class PanicException(BaseException):
            """As pyo3's."""

        def write(*_given: object, **_options: object) -> None:
            raise PanicException("Forked process detected")

        monkeypatch.setattr(delta_table, "write_deltalake", write)
        with pytest.raises(TransientError, match="Forked process detected"):
            append(DeltaResults(str(tmp_path)))


class TestAnError:
    @pytest.mark.parametrize("kind", [Exception, OSError, ValueError])
    def test_is_told_by_its_end_without_rows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
    ) -> None:
        rows = "Preview: +-------+\n| Harbour Street |\n+-------+"

        def write(*_given: object, **_options: object) -> None:
            raise kind("error sending request " * 60 + "client error (Connect): the reason " + rows)

        monkeypatch.setattr(delta_table, "write_deltalake", write)
        with pytest.raises(TransientError, match="the reason") as caught:
            append(DeltaResults(str(tmp_path)))

        assert "Harbour" not in "".join(traceback.format_exception(caught.value))

    def test_of_an_unknown_authority_names_the_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def write(*_given: object, **_options: object) -> None:
            raise OSError("after 2 retries: " + "x " * 400 + "invalid peer certificate: UnknownIssuer")

        monkeypatch.setattr(delta_table, "write_deltalake", write)
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            append(DeltaResults(str(tmp_path)))


class TestATable:
    def test_has_a_checkpoint_every_ten_commits(self, tmp_path: Path) -> None:
        append(DeltaResults(str(tmp_path)))

        assert DeltaTable(str(tmp_path)).metadata().configuration["delta.checkpointInterval"] == "10"

    @pytest.mark.parametrize(("interval", "checkpoints"), [(None, [9, 19]), ("7", [6, 13, 20])])
    def test_that_exists_has_one_as_often_unless_it_says_otherwise(
        self, tmp_path: Path, interval: str | None, checkpoints: list[int]
    ) -> None:
        rows = pa.Table.from_pylist([{"location": "Miami", **COLUMNS}])
        DeltaTable.create(
            str(tmp_path), rows.schema, configuration={delta_table.CHECKPOINT_SETTING: interval} if interval else {}
        )

        for number in range(1, 23):
            assert append(DeltaResults(str(tmp_path)), f"r{number}").rows == 2

        written = sorted(path.name for path in (tmp_path / "_delta_log").glob("*.checkpoint.parquet"))
        assert written == [f"{version:020}.checkpoint.parquet" for version in checkpoints]

    def test_keeps_rows_whose_checkpoint_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(delta_table, "CHECKPOINT_INTERVAL", 1)
        made(tmp_path)
        (tmp_path / "_delta_log" / f"{1:020}.checkpoint.parquet").mkdir()

        assert append(DeltaResults(str(tmp_path))).rows == 2
        assert append(DeltaResults(str(tmp_path)), "r2").rows == 2

    def test_is_opened_anew_when_its_token_was_renewed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tokens, used = iter(range(100)), list[Mapping[str, str]]()
        table = DeltaResults(str(tmp_path), lambda: {"azure_storage_token": str(next(tokens))})
        append(DeltaResults(str(tmp_path)), "r0")
        opened = DeltaResults._open

        def open_and_note(self: DeltaResults, heartbeat: Callable[[], None]) -> DeltaTable | None:
            used.append(self._options())
            return opened(self, heartbeat)

        monkeypatch.setattr(DeltaResults, "_open", open_and_note)
        assert append(table).rows == 2
        assert len(used) == 2

    def test_that_others_write_to_costs_no_retry_of_the_run(self, tmp_path: Path) -> None:
        """Another writer brings a new column between each look and its commit, a few times."""
        table, others = DeltaResults(str(tmp_path)), 0
        append(table, "r0")

        def read() -> Iterator[bytes]:
            nonlocal others
            yield document([{"mine": 1}])
            others += 1
            if others in (2, 4, 6):
                rows = pa.table({f"theirs_{others}": [1.0]})
                write_deltalake(str(tmp_path), rows, mode="append", schema_mode="merge")

        result = table.append("r1", {**COLUMNS, "run_reference": "r1"}, read, kept)

        assert (result.rows, others) == (1, 8)


class TestText:
    @pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
    @pytest.mark.parametrize(
        ("value", "is_whole"),
        [
            (rb"\ud800", False),
            (rb"\uDFFF", False),
            (rb"\ud83d\ude00", True),
            (rb"\ud83d\ud83d\ude00", False),
            (rb"\ude00\ud83d", False),
            (rb"\\ud800", True),
            (rb"\\\ud800", False),
            (rb"\ud800\n", False),
            (rb"\u00e9\\", True),
        ],
    )
    def test_with_half_a_character_is_refused(self, value: bytes, is_whole: bool, cut: int) -> None:
        content = b'{"results": [{"v": "%s"}]}' % value
        pieces = [content[at : at + cut] for at in range(0, len(content), cut)]

        if is_whole:
            assert shape_of(pieces, pa.schema([]), []).rows == 1
            return
        with pytest.raises(UnfitError, match="half a character"):
            shape_of(pieces, pa.schema([]), [])

    @pytest.mark.parametrize("cut", [1, 2, 1000])
    def test_after_a_byte_order_mark_is_read(self, cut: int) -> None:
        content = b'\xef\xbb\xbf{"results": [{"location": "Bom"}]}'

        shape = shape_of([content[at : at + cut] for at in range(0, len(content), cut)], pa.schema([]), [])

        assert (shape.rows, list(shape.names)) == (1, ["location"])


class TestANumber:
    @pytest.mark.parametrize("digits", ["1e400999999999999999999999999999999", "-1e99999999999999999999"])
    @pytest.mark.parametrize("body", [b"%s", b'{"results": [{"a": %s}]}', b'{"x": %s, "results": []}'])
    @pytest.mark.parametrize("known", [[], [pa.field("a", pa.decimal128(5, 2))]])
    def test_with_an_endless_exponent_is_refused(self, digits: str, body: bytes, known: list[pa.Field]) -> None:
        with pytest.raises(UnfitError):
            shape_of([body % digits.encode()], pa.schema(known), [])


@pytest.mark.parametrize("error", [OperationalError("column is not null, unsupported"), ValueError("Schema error")])
def test_an_error_of_the_heartbeat_is_not_the_tables(tmp_path: Path, error: Exception) -> None:
    table = DeltaResults(str(tmp_path / "t"))
    append(table)
    chunks = [bytes([byte]) for byte in document()]
    beats = iter(range(2 * len(chunks)))

    def fail_in_the_second_reading() -> None:
        if next(beats) > len(chunks):
            raise error

    with pytest.raises(type(error)) as raised:
        table.append("r2", {**COLUMNS, "run_reference": "r2"}, lambda: iter(chunks), fail_in_the_second_reading)
    assert raised.value is error
