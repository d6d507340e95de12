"""The doctor tries a folder of results, and leaves it as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_django import Settings as DjangoSettings

from tests.support.doctor import KEY, change, examined
from tests.support.store_kinds import refuse_links

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


def test_the_result_store_is_left_as_it_was(tmp_path: Path) -> None:
    examined()
    assert not (tmp_path / "lake").exists()
    (tmp_path / "lake" / "report_results" / "7").mkdir(parents=True)
    examined()
    left = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "lake").rglob("*"))
    assert left == ["lake/report_results", "lake/report_results/7"]


def test_a_table_in_a_folder_is_tried_and_left_as_it_was(settings: DjangoSettings, tmp_path: Path) -> None:
    change(settings, RESULT_TABLES=True)
    finding = examined()["result table"]
    assert finding["level"] == "ok"
    assert "one row appended and read, table removed" in finding["detail"]
    assert not (tmp_path / "lake").exists()


def test_a_table_in_a_schema_is_tried_there_and_left_as_it_was(settings: DjangoSettings, tmp_path: Path) -> None:
    change(settings, RESULT_TABLES=True, RESULT_TABLE="dbo/results")
    finding = examined()["result table"]
    assert (finding["level"], "/Tables/dbo/_doctor_" in finding["detail"]) == ("ok", True)
    assert not (tmp_path / "lake").exists()


def test_a_path_in_which_a_table_cannot_be_is_reported(settings: DjangoSettings, tmp_path: Path) -> None:
    change(settings, RESULT_TABLES=True, RESULT_ROOT=tmp_path / "lake [prod]")
    failed = [finding for finding in examined().values() if finding["level"] == "fail"]
    assert any("RESULT_ROOT" in finding["detail"] for finding in failed)


def test_a_table_whose_folder_cannot_be_is_reported(settings: DjangoSettings, tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "Tables").write_text("in the way")
    change(settings, RESULT_TABLES=True)
    findings = examined()
    assert (findings["result store"]["level"], findings["result table"]["level"]) == ("ok", "fail")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_reported(settings: DjangoSettings, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o500)
    change(settings, RESULT_ROOT=sealed)
    assert "RESULT_ROOT" in examined()["result store"]["hint"]


def test_a_folder_that_is_a_file_is_reported(settings: DjangoSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    change(settings, RESULT_ROOT=tmp_path / "file")
    finding = examined()["result store"]
    assert (finding["level"], "RESULT_ROOT" in finding["hint"]) == ("fail", True)


def test_a_folder_without_hard_links_is_well_where_renames_spare_what_stands(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert (finding["level"], "read and removed" in finding["detail"]) == ("ok", True)
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


def test_a_folder_that_can_neither_link_nor_spare_is_reported(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    monkeypatch.setattr("report_orchestrator.adapters.local.atomic_rename._SPARING", 1 << 20)  # it answers EINVAL
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert finding["hint"].startswith("RESULT_ROOT is on a file system")
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


def test_a_folder_that_gives_a_taken_name_away_is_reported(
    settings: DjangoSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    monkeypatch.setattr("report_orchestrator.adapters.local.atomic_rename._SPARING", 0)  # the flag is not heeded
    change(settings, RESULT_ROOT=tmp_path / "lake")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert "replaces existing files on rename" in finding["hint"]
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []


class Unprobed:
    """A host's own store, which cannot be tried."""

    def __init__(self, settings: object) -> None:
        """Takes the settings, as every store."""


class Broken(Unprobed):
    """A host's own store, which can."""

    def probe(self) -> object:
        """Fails."""
        from report_orchestrator.exceptions import StorageError

        raise StorageError("The tape is full. Put in another.")


class Careless(Unprobed):
    """A host's own store that lets its library's error through, with everything the library knows."""

    def probe(self) -> object:
        """Fails."""
        raise RuntimeError(f"PUT failed, X-Api-Key: {KEY}")


def test_a_store_of_the_hosts_own_that_raises_anything_is_reported_without_a_secret(settings: DjangoSettings) -> None:
    change(settings, RESULT_STORE=f"{__name__}.Careless")
    finding = examined()["result store"]
    assert finding["level"] == "fail"
    assert finding["detail"].startswith("check failed (RuntimeError: PUT failed")


@pytest.mark.parametrize(
    ("store", "level", "hint"),
    [("Unprobed", "warn", "Give the store a method 'probe'"), ("Broken", "fail", "The tape is full. Put in another.")],
)
def test_a_store_of_the_hosts_own_is_asked_where_it_can_be(
    settings: DjangoSettings, store: str, level: str, hint: str
) -> None:
    change(settings, RESULT_STORE=f"{__name__}.{store}")
    finding = examined()["result store"]
    assert (finding["level"], finding["hint"].startswith(hint)) == (level, True)
