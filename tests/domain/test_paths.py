"""A run's one place in the lake."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_orchestrator.domain.paths import manifest_path, result_path
from report_orchestrator.models import ReportRun

RUN = UUID("4fe0e486-5ea1-4b7c-82c7-2616fa514119")
DAY = date(2026, 7, 1)


def test_a_result_lies_under_its_report_and_date() -> None:
    assert result_path(report_key="42", run_date=DAY, reference=RUN) == f"42/2026-07-01/{RUN}.json"


def test_each_submission_has_a_path_of_its_own() -> None:
    run = ReportRun(reference=RUN, report_key="42", run_date=DAY)
    paths = []
    for submission in (1, 2, 3):
        run.submission = submission
        paths.append((run.result_path, run.manifest_path))
    assert paths == [
        (f"42/2026-07-01/{name}.json", f"42/2026-07-01/_{name}.manifest.json") for name in (RUN, f"{RUN}-2", f"{RUN}-3")
    ]


@given(st.text(min_size=1))
def test_no_key_leaves_its_folder(key: str) -> None:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in key):
        return  # no database stores a lone surrogate
    parts = PurePosixPath(result_path(report_key=key, run_date=DAY, reference=RUN)).parts
    assert len(parts) == 3
    assert not {"..", "."} & set(parts)


@given(
    st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
    st.text(min_size=1, alphabet=st.characters(codec="utf-8")),
)
def test_two_keys_never_share_a_folder(one: str, other: str) -> None:
    same = result_path(report_key=one, run_date=DAY, reference=RUN) == result_path(
        report_key=other, run_date=DAY, reference=RUN
    )
    assert same == (one == other)


def test_results_of_keys_that_differ_only_in_case_stay_apart_on_a_file_system_that_ignores_it() -> None:
    one, other = (result_path(report_key=key, run_date=DAY, reference=uuid4()) for key in "Aa")
    paths = [one, manifest_path(one), other, manifest_path(other)]
    assert len({path.casefold() for path in paths}) == 4


@pytest.mark.parametrize("letter", ["a", "é", "\N{GRINNING FACE}", "/"])
def test_the_longest_key_has_a_folder_that_every_file_system_takes(letter: str) -> None:
    key = letter * 200

    folder, other = (folder_of(each) for each in (key, key[:-1] + "b"))

    assert len(folder.encode()) < 256
    assert unquote(folder, errors="strict").startswith(letter * 5)
    assert folder != other


@pytest.mark.parametrize("length", [159, 160, 161])
def test_a_shortened_key_meets_no_other(length: int) -> None:
    folder = folder_of("a" * length)
    assert folder_of(folder) != folder or length < 161


@pytest.mark.parametrize(
    ("key", "folder"), [("_draft", "%5Fdraft"), (".draft", "%2Edraft"), ("draft.", "draft%2E"), ("a_b.c", "a_b.c")]
)
def test_a_folder_is_hidden_from_no_reader_and_loses_no_dot(key: str, folder: str) -> None:
    assert folder_of(key) == folder


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("CON", "%43ON"),
        ("nul", "%6Eul"),
        ("aux.json", "%61ux%2Ejson"),
        ("Lpt1.a.b", "%4Cpt1%2Ea%2Eb"),
        ("com9", "%63om9"),
        ("prn.ü", "%70rn%2E%C3%BC"),
        ("console", "console"),
        ("com10", "com10"),
        ("a.con", "a.con"),
    ],
)
def test_no_folder_is_named_like_a_device_of_windows(key: str, folder: str) -> None:
    assert (folder_of(key), unquote(folder)) == (folder, key)


def folder_of(key: str) -> str:
    return PurePosixPath(result_path(report_key=key, run_date=DAY, reference=RUN)).parts[0]
