"""Durations in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from report_orchestrator.admin.ui.format import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (1.26, "1.3 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_durations_are_reported_in_their_two_largest_units(seconds: float, shown: str) -> None:
    assert shown == duration(timedelta(seconds=seconds))
