"""The list `results` is found at the top of a document, wherever the pieces are cut, and only once."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_orchestrator.adapters.delta.rows import UnfitError, shape_of
from report_orchestrator.adapters.json_completeness import TopLevelText

TEXT = st.text(alphabet='a"\\[]{}:,é', max_size=5)
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
CUTS = [1, 2, 3, 7, 1000]


def pieces(content: bytes, cut: int) -> list[bytes]:
    return [content[at : at + cut] for at in range(0, len(content), cut)]


def emptied(value: Any) -> Any:
    return type(value)() if isinstance(value, dict | list) else value


@given(VALUES, st.sampled_from(CUTS), st.booleans())
def test_nested_values_are_left_out(value: Any, cut: int, ascii_only: bool) -> None:
    text = TopLevelText()

    seen = b"".join(map(text.see, pieces(json.dumps(value, ensure_ascii=ascii_only).encode(), cut)))

    if isinstance(value, dict):
        value = {key: emptied(inner) for key, inner in value.items()}
    elif isinstance(value, list):
        value = [emptied(inner) for inner in value]
    assert json.loads(seen) == value


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("first", ['[{"a": 1}]', "[]"])
@pytest.mark.parametrize("between", ["", '"x": 1, ', '"x": [{"results": []}], "y": "]}", '])
@pytest.mark.parametrize("key", ["results", "res\\u0075lts"])
@pytest.mark.parametrize("second", ['[{"a": 2}, {"a": 3}]', "[]", "null", "5", "{}"])
def test_results_twice_are_refused(first: str, between: str, key: str, second: str, cut: int) -> None:
    content = f'{{"results": {first}, {between}"{key}": {second}}}'.encode()

    with pytest.raises(UnfitError, match="`results` more than once"):
        shape_of(pieces(content, cut), pa.schema([]), [])


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    "content",
    [
        b'{"results": [{"results": 1, "a": "\\"results\\": ["}], "metadata": {"results": []}, "x": "results"}',
        b'{"x": {"results": [1]}, "y": ["results"], "results": [{"results": 2}]}',
        b'{"x": "\\\\", "results": [{"results": "\\\\\\""}], "y": "\\\\"}',
    ],
)
def test_results_within_other_values_are_no_second_ones(content: bytes, cut: int) -> None:
    assert shape_of(pieces(content, cut), pa.schema([]), []).rows == 1
