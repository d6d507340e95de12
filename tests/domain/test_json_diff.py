"""Two JSON values are compared by path, and lists as collections."""

from __future__ import annotations

import pytest

from report_orchestrator.domain.json_diff import ABSENT, JsonDifference, json_differences
from report_orchestrator.domain.reports import Json


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        ({"a": 1, "b": [1, {"c": None}]}, {"b": [1, {"c": None}], "a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": 1}, {"b": 1}, [("a", 1, ABSENT), ("b", ABSENT, 1)]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, [("a.b", "x", "y")]),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
        ([1, 2, 3], [3, 1, 2], []),
        ([1, 1], [1], [("[1]", 1, ABSENT)]),
        ({"geos": ["x"]}, {"geos": ["new", "x"]}, [("geos[0]", ABSENT, "new")]),
        ({"rings": [{"r": 1}, {"r": 2}]}, {"rings": [{"r": 1}, {"r": 5}]}, [("rings[1].r", 2, 5)]),
        ({"a": [1]}, {"a": {"b": 1}}, [("a", [1], {"b": 1})]),
        ("x", "y", [("", "x", "y")]),
    ],
)
def test_differences_are_told_by_path(before: Json, after: Json, differences: list[tuple[str, object, object]]) -> None:
    assert list(json_differences(before, after)) == [JsonDifference(*each) for each in differences]


def test_many_entries_are_compared_quickly() -> None:
    before: Json = [{"id": number} for number in range(20_000)]
    after: Json = [{"id": number} for number in range(20_000, 0, -1)]

    assert list(json_differences(before, after)) == [JsonDifference("[0].id", 0, 20_000)]
