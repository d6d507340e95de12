"""Files that another system kept of its jobs belong to the job that their names state, and to no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from report_orchestrator.adapters.local.folder import LocalFolder
from report_orchestrator.domain.payload import Payload
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.ports import RecordedJob
from report_orchestrator.services.evidence import job_files
from report_orchestrator.services.evidence.job_files import JobFiles

UUID = "3f2a77d0-0c1b-4a52-9d6e-0123456789ab"
NO_FILE = (None, "no file of the job")


def job(job_id: str = "77", *, report: str = "12") -> RecordedJob:
    return RecordedJob(report_key=report, fireant_job_id=job_id, created_at=datetime(2026, 7, 1, tzinfo=UTC))


def keep(folder: Path, name: str, **content: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"meta": {}, **content}))


def payload_of(folder: Path, wanted: RecordedJob) -> tuple[Payload | None, str]:
    return JobFiles(LocalFolder(folder)).payload_of(wanted)


@pytest.mark.parametrize(
    "name",
    [
        "77.json",
        "payload-77.json",
        "77_payload.JSON",
        "12_77.json",
        "77_12.json",
        "12_77_20260701T060000.json",
        "12/77_20260701.json",
        "2026/12/payload_77_v2.json",
        "12_job-77.json",
        "5_20260701_job_77.json",
        "job_id=77_20260701.json",
        "jobid77-3.json",
        "fireant_job_77_attempt_2.json",
    ],
)
def test_a_name_belongs_to_the_job_that_it_states(tmp_path: Path, name: str) -> None:
    keep(tmp_path, name)
    assert payload_of(tmp_path, job()) == ({"meta": {}}, "")


@pytest.mark.parametrize(
    "name",
    [
        "77_99.json",  # the job 99 of report 77
        "77/99.json",
        "77_job-99.json",
        "12_77_job-99.json",
        "177.json",
        "77_20260701.json",  # may be a report or a job, and names no report of the job
        "job-99_12_77.json",
    ],
)
def test_a_name_of_another_job_is_no_file_of_this_one(tmp_path: Path, name: str) -> None:
    keep(tmp_path, name)
    assert payload_of(tmp_path, job()) == NO_FILE


def test_a_report_whose_key_equals_the_job_id_collides_with_nothing(tmp_path: Path) -> None:
    keep(tmp_path, "12_77.json", of="the job 77 of report 12")
    keep(tmp_path, "77_12.csv")
    keep(tmp_path, "77_77.json", of="the job 77 of report 77")
    assert payload_of(tmp_path, job("77", report="12"))[0] == {"meta": {}, "of": "the job 77 of report 12"}
    assert payload_of(tmp_path, job("77", report="77"))[0] == {"meta": {}, "of": "the job 77 of report 77"}
    assert payload_of(tmp_path, job("12", report="9")) == NO_FILE


@pytest.mark.parametrize(
    "name", [f"{UUID}.json", f"result-{UUID}.json", f"12_{UUID.upper()}_1.json", f"JOB-{UUID}-1.json"]
)
def test_ids_with_hyphens_are_found(tmp_path: Path, name: str) -> None:
    keep(tmp_path, name)
    assert payload_of(tmp_path, job(UUID)) == ({"meta": {}}, "")


def test_several_payloads_of_one_job_are_named_unless_they_are_equal(tmp_path: Path) -> None:
    keep(tmp_path, "12_job-77.json", dr=1)
    keep(tmp_path, "copy/job-77.json", dr=1)
    assert payload_of(tmp_path, job()) == ({"meta": {}, "dr": 1}, "")
    keep(tmp_path, "9_job-77.json", dr=2.5)
    payload, note = payload_of(tmp_path, job())
    assert payload is None
    assert note == "the job has 3 payloads that differ: 12_job-77.json, 9_job-77.json, copy/job-77.json"


def test_a_result_is_no_payload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "77.json").write_text('{"results": []}')
    (tmp_path / "77.parquet").write_bytes(b"PAR1")
    assert payload_of(tmp_path, job()) == (None, "")
    keep(tmp_path, "77.json")
    monkeypatch.setattr(job_files, "MAX_PAYLOAD_BYTES", 5)
    assert payload_of(tmp_path, job()) == (None, "")


@pytest.mark.parametrize("content", ['{"meta": ', "[" * 100_000, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_parsed_is_named(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "77.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert payload_of(tmp_path, job()) == (None, "no valid JSON: 77.json")


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "MAX_FILES", 2)
    for number in range(3):
        keep(tmp_path, f"{number}.json")
    with pytest.raises(NotPossibleError, match="more than 2 files"):
        JobFiles(LocalFolder(tmp_path))
