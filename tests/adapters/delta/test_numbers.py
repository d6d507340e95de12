"""A number in a table is the number in the result, or the result is not appended."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import example, given, settings
from hypothesis import strategies as st

from report_orchestrator.adapters.delta.rows import UnfitError, batches, shape_of
from report_orchestrator.adapters.delta.table import DeltaResults
from tests.support.delta_rows import COLUMNS, append

INTEGERS = {pa.int8(): 8, pa.int16(): 16, pa.int32(): 32, pa.int64(): 64}
FLOATS = {pa.float32(): 24, pa.float64(): 53}
SCALES = [(5, 0), (10, 2), (18, 9), (38, 0), (38, 38)]
KINDS = [*INTEGERS, *FLOATS, *(pa.decimal128(precision, scale) for precision, scale in SCALES)]


def stored(number: str, kind: pa.DataType) -> Any:
    """Return the value in a column of this type. Raises `UnfitError` if it is refused."""
    content = [b'{"results": [{"a": null}, {"b": 0.1, "a": %s}]}' % number.encode()]
    shape = shape_of(content, pa.schema([pa.field("a", kind)]), [])
    [batch] = batches(content, shape, {})
    assert batch.schema.field("a").type == kind
    assert batch.to_pydict()["b"] == [None, 0.1]
    assert batch.to_pydict()["a"][0] is None
    return batch.to_pydict()["a"][1]


def is_exact(number: str, kind: pa.DataType) -> bool:
    """Return True if a column of this type holds the number: the rule, by the number's own digits."""
    value = Decimal(number)
    if kind in INTEGERS:
        return value == value.to_integral_value() and -(2 ** (INTEGERS[kind] - 1)) <= value < 2 ** (INTEGERS[kind] - 1)
    if pa.types.is_decimal(kind):
        scaled = value.scaleb(kind.scale)
        return scaled == scaled.to_integral_value() and abs(scaled) < Decimal(10) ** kind.precision
    if "." in number or "e" in number:  # the nearest double, as for every reader of JSON
        return bool(kind == pa.float64() or pa.scalar(float(value)).cast(pa.float32()).as_py() == float(value))
    odd = abs(int(value))
    while odd and odd % 2 == 0:
        odd //= 2
    return odd.bit_length() <= FLOATS[kind]


whole = st.integers(-(2**63) + 1, 2**63 - 1).map(str) | st.integers(-300, 300).map(str)
near_powers = st.builds(lambda power, near: str(2**power + near), st.integers(0, 62), st.integers(-1, 1))
fractions = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=2).map(
    lambda value: f"{value:f}"
)
doubles = st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda value: repr(value).replace("e+", "e"))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.sampled_from(KINDS), whole | near_powers | fractions | doubles)
@example(pa.decimal128(10, 2), "1.255")
@example(pa.decimal128(10, 2), "1234567.891")
@example(pa.decimal128(10, 2), "1.25")
@example(pa.decimal128(10, 2), "1.250")
@example(pa.decimal128(10, 2), "99999999.99")
@example(pa.decimal128(10, 2), "100000000")
@example(pa.decimal128(38, 0), "12345678901234567890123456789012345678")
@example(pa.decimal128(38, 38), "0.12345678901234567890123456789012345678")
@example(pa.decimal128(10, 2), "-0.0")
@example(pa.int64(), "-9223372036854775809.0")
@example(pa.int64(), "9223372036854775808.0")
@example(pa.int64(), "1e2")
@example(pa.int64(), "1e-999999999")
@example(pa.int8(), "128")
@example(pa.float32(), "0.1")
@example(pa.float32(), "0.5")
@example(pa.float32(), "1e39")
@example(pa.float32(), "16777217")
@example(pa.float64(), "9007199254740993")
@example(pa.float64(), "0.1")
@example(pa.float64(), "1152921504606846976")
@example(pa.float64(), "9223372036854775807")
def test_a_number_is_stored_exactly_or_refused(kind: pa.DataType, number: str) -> None:
    if is_exact(number, kind):
        assert Decimal(repr(stored(number, kind)) if kind in FLOATS else stored(number, kind)) == (
            Decimal(repr(float(number))) if kind in FLOATS else Decimal(number)
        )
    else:
        with pytest.raises(UnfitError, match=r"^the column 'a' holds a number that \S+.* cannot hold exactly$"):
            stored(number, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e999999999", "1" + "0" * 400])
def test_a_number_beyond_every_column_is_refused(kind: pa.DataType, number: str) -> None:
    with pytest.raises(UnfitError):
        stored(number, kind)


@pytest.mark.parametrize("kind", [pa.decimal128(10, 2), pa.int32()])
@pytest.mark.parametrize(("value", "what"), [('"1.25"', "text"), ("true", "true or false")])
def test_another_kind_of_value_is_refused(kind: pa.DataType, value: str, what: str) -> None:
    with pytest.raises(UnfitError, match=f"mixes {what} with numbers"):
        stored(value, kind)


def test_a_table_of_the_project_keeps_its_types_and_gets_exact_numbers(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.decimal128(10, 2)), ("b", pa.int32()), ("c", pa.float32())])
    write_deltalake(str(tmp_path / "t"), pa.Table.from_pylist([], schema=schema))
    table = DeltaResults(str(tmp_path / "t"))
    assert append(table, "r1", b'{"results": [{"a": 1.25, "b": 7.0, "c": 0.5, "d": 0.1}]}').rows == 1
    refused = append(table, "r2", b'{"results": [{"a": 1.255}]}')
    assert (refused.rows, refused.note) == (
        None,
        "Not appended to the table: the column 'a' holds a number that decimal128(10, 2) cannot hold exactly.",
    )
    [row] = DeltaTable(str(tmp_path / "t")).to_pyarrow_table().to_pylist()
    assert row == {"a": Decimal("1.25"), "b": 7, "c": 0.5, "d": 0.1, **COLUMNS}
