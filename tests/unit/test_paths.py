"""A run's one place in the lake."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from report_orchestrator.domain.paths import result_path

RUN = UUID("4fe0e486-5ea1-4b7c-82c7-2616fa514119")
DAY = date(2026, 7, 1)


def test_a_result_lies_under_its_report_and_date() -> None:
    assert result_path(report_key="42", run_date=DAY, reference=RUN) == f"42/2026-07-01/{RUN}.json"


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
