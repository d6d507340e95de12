"""Errors that the library really raises are told apart, whatever its version and whatever they quote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.exceptions import ConfigurationError, TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from tests.demo.environment import ROOT
from tests.support.delta_rows import COLUMNS, append, document
from tests.support.onelake_settings import settings_for

IS_OLDEST = version("deltalake").startswith("1.1.")
NOBODY = 65534


def change_first_commit(folder: Path, **changes: dict[str, Any]) -> None:
    """Change actions of a table's first commit, as another writer could have written it."""
    commit = folder / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        for kind, change in changes.items():
            if kind in action:
                action[kind] |= change
    commit.write_text("\n".join(map(json.dumps, actions)))


class TestARunsColumn:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("run_date", pa.bool_()),
            ("run_at", pa.struct([pa.field("x", pa.string())])),
            ("run_at", pa.decimal128(10, 2)),
            ("run_reference", pa.float64()),
            ("run_reference", pa.timestamp("us", "UTC")),
        ],
    )
    def test_of_a_type_that_does_not_take_it_is_noted(self, tmp_path: Path, name: str, kind: pa.DataType) -> None:
        DeltaTable.create(str(tmp_path), pa.schema([pa.field(name, kind)]))

        result = append(DeltaResults(str(tmp_path)))

        assert (
            "a column of the table, possibly one of the run's columns, has a type that cannot hold the value"
            in result.note
        )
        assert DeltaTable(str(tmp_path)).version() == 0

    def test_that_the_table_writes_in_other_case_is_noted(self, tmp_path: Path) -> None:
        DeltaTable.create(str(tmp_path), pa.schema([pa.field("RUN_DATE", pa.date32())]))

        result = append(DeltaResults(str(tmp_path)))

        assert result.note == "Not appended to the table: the column 'run_date' has the same name as another column."


class TestAFeatureThatTheLibraryLacks:
    def test_of_a_generated_column_ends_the_run(self, tmp_path: Path) -> None:
        schema = pa.schema([pa.field("exposure", pa.float64()), pa.field("year", pa.int32())])
        DeltaTable.create(str(tmp_path), schema)
        fields = [
            {"name": "exposure", "type": "double", "nullable": True, "metadata": {}},
            {"name": "run_date", "type": "date", "nullable": True, "metadata": {}},
            {
                "name": "year",
                "type": "integer",
                "nullable": True,
                "metadata": {"delta.generationExpression": "YEAR(run_date)"},
            },
        ]
        change_first_commit(
            tmp_path,
            protocol={"minWriterVersion": 4},
            metaData={"schemaString": json.dumps({"type": "struct", "fields": fields})},
        )
        self.expect_its_end(tmp_path)

    @pytest.mark.skipif(IS_OLDEST, reason="deltalake of this version reads such a table")
    def test_of_a_later_reader_ends_the_run(self, tmp_path: Path) -> None:
        DeltaTable.create(str(tmp_path), pa.schema([pa.field("a", pa.float64())]))
        change_first_commit(tmp_path, protocol={"minReaderVersion": 4, "minWriterVersion": 8})
        self.expect_its_end(tmp_path)

    def test_of_a_protocol_that_contradicts_itself_ends_the_run(self, tmp_path: Path) -> None:
        DeltaTable.create(str(tmp_path), pa.schema([pa.field("a", pa.float64())]))
        features = ["icebergCompatV2", "columnMapping"]
        change_first_commit(tmp_path, protocol={"minWriterVersion": 7, "writerFeatures": features})
        self.expect_its_end(tmp_path)

    def expect_its_end(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="uses a feature that the library deltalake cannot write"):
            append(DeltaResults(str(folder)))


class TestAFolderWithoutPermission:
    @pytest.fixture
    def root(self) -> Iterator[Path]:
        """Return a folder that another user may enter: pytest's own may not."""
        root = Path(tempfile.mkdtemp())
        root.chmod(0o755)
        yield root
        for folder in (root, *root.rglob("*")):
            folder.chmod(0o755)
        shutil.rmtree(root)

    @pytest.mark.parametrize("closed", [".", "_delta_log"])
    @pytest.mark.parametrize("mode", [0o555, 0o000])
    def test_ends_the_run(self, root: Path, closed: str, mode: int) -> None:
        append(DeltaResults(str(root / "t")), "r0")
        self.expect_its_end(root / "t", root / "t" / closed, mode)

    @pytest.mark.parametrize("mode", [0o555, 0o000])
    def test_ends_the_run_that_would_create_the_table(self, root: Path, mode: int) -> None:
        self.expect_its_end(root / "t", root, mode)

    def expect_its_end(self, table: Path, closed: Path, mode: int) -> None:
        closed.chmod(mode)
        with a_plain_user(), pytest.raises(ConfigurationError, match="No permission to write the table"):
            append(DeltaResults(str(table)))


@contextmanager
def a_plain_user() -> Iterator[None]:
    """Give up root's rights for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class TestALake:
    @pytest.fixture
    def table(self, lake: OneLakeSandbox, monkeypatch: pytest.MonkeyPatch) -> DeltaResults:
        lake.clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(lake.ca_file))
        return DeltaResults(*table_location(settings_for(lake)))

    @pytest.mark.parametrize("endpoint", ["list_blobs", "put_blob", "read"])
    def test_that_denies_access_ends_the_run(self, lake: OneLakeSandbox, table: DeltaResults, endpoint: Any) -> None:
        append(table, "r0")
        lake.faults.add(endpoint, "status_code", status=403)

        with pytest.raises(ConfigurationError, match="a write role in the workspace of FABRIC_WORKSPACE_ID"):
            append(table)

        lake.faults.assert_all_fired()

    def test_whose_entra_denies_a_token_is_not_told_as_a_missing_role(
        self, lake: OneLakeSandbox, table: DeltaResults
    ) -> None:
        table._options()  # azure-identity has its token now; delta-rs will ask for its own
        lake.faults.add("token", "status_code", status=403)

        with pytest.raises(TransientError, match="token request"):
            append(table)

        lake.faults.assert_all_fired()

    @pytest.mark.skipif(IS_OLDEST, reason="deltalake of this version does not say why a connection failed")
    def test_that_is_not_trusted_names_the_variable(self, lake: OneLakeSandbox, tmp_path: Path) -> None:
        """In a process of its own: delta-rs reads the environment once."""
        given = {**lake.settings_overrides(), "TIMEOUT_SECONDS": "10"}
        code = f"""
import django; django.setup()
from report_orchestrator.adapters.delta.table import DeltaResults
from report_orchestrator.adapters.onelake.tables import table_location
from report_orchestrator.conf import parse_settings
from tests.support.delta_rows import append
append(DeltaResults(*table_location(parse_settings({given!r}, {{}})[0])))
"""
        environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**environment, "DJANGO_SETTINGS_MODULE": "tests.host.settings"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "ConfigurationError: The certificate of the table" in done.stderr
        assert "Set the environment variable SSL_CERT_FILE" in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "Cast error: Unsupported CAST ",
        "Unsupported table features required: {}",
        "Schema error: not null, violates an Invariant",
        "403 Forbidden, invalid protocol, UnknownIssuer",
    ],
)
def test_a_quoted_path_decides_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a file where the table should be")

    with pytest.raises(TransientError, match="cannot be written"):
        append(DeltaResults(str(tmp_path / name)))


def test_a_quoted_row_decides_nothing(tmp_path: Path) -> None:
    fields = pa.schema(
        [pa.field("insured", pa.string()), pa.field("a", pa.float64()), *pa.Table.from_pylist([COLUMNS]).schema]
    )
    DeltaTable.create(str(tmp_path), fields)
    DeltaTable(str(tmp_path)).alter.add_constraint({"positive": "a > 0"})
    texts = [
        "Permission denied (os error 13)",
        "Kernel error: Unsupported: ",
        "Server returned non-2xx status code 403 Forbidden",
    ]

    for number, text in enumerate(texts):
        result = append(DeltaResults(str(tmp_path)), f"r{number}", document([{"insured": text, "a": -1}]))
        assert "a row breaks a rule of the table" in result.note
