"""Numbers of a result in the columns of a table that exists: exactly as in the result, or refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Number: TypeAlias = "int | float | Decimal"

_LONGEST = 76
"""Digits of Arrow's widest decimal."""
_DIGITS = Context(prec=_LONGEST, traps=[Inexact, InvalidOperation])
_INT64 = range(-(2**63), 2**63)
_LARGEST_DOUBLE = 2**63 - 1024
"""Of the doubles within 64 bits."""


class InexactError(ValueError):
    """A column cannot hold a number exactly."""


def digit_columns(fields: Iterable[pa.Field]) -> dict[str, pa.DataType]:
    """Return the columns whose values depend on a number's own digits, which a double does not keep."""
    return {field.name: field.type for field in fields if _is_decimal(field.type) or pa.types.is_integer(field.type)}


def in_column(value: Number, kind: pa.DataType | None) -> Number:
    """Return a number of the result as its column takes it; without a type of the column, for a double.

    Raises:
        InexactError: the column cannot hold it exactly.
    """
    if kind is not None and _is_decimal(kind):
        return _as_decimal(Decimal(value), kind)
    if isinstance(value, Decimal):
        value = _as_double(value) if kind is None else _as_integer(value)
    if isinstance(value, int) and value not in _INT64:
        raise InexactError
    return value


def cast_exactly(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the values in another type.

    Raises:
        InexactError: the type cannot hold one of them exactly.
    """
    if pa.types.is_floating(values.type) and not pc.all(pc.is_finite(values), min_count=0).as_py():
        raise InexactError
    if values.type == kind:
        return values
    # Arrow's own check of whole numbers refuses all above 2^53, and has none of doubles to floats.
    of_integers = pa.types.is_integer(values.type) and pa.types.is_floating(kind)
    try:
        cast = values.cast(kind, safe=not of_integers)
        is_exact = cast.cast(values.type, safe=not of_integers).equals(values)
    except pa.ArrowInvalid as error:
        raise InexactError from error
    if not is_exact or (of_integers and pc.max(values).as_py() > _LARGEST_DOUBLE):
        raise InexactError
    return cast


def _as_decimal(value: Decimal, kind: pa.DataType) -> Decimal:
    try:
        exact = _DIGITS.quantize(value, Decimal(1).scaleb(-kind.scale))
    except DecimalException as error:
        raise InexactError from error
    if exact and exact.adjusted() + 1 + kind.scale > kind.precision:
        raise InexactError
    return exact


def _as_double(value: Decimal) -> float:
    """Return the nearest double, as every reader of JSON does."""
    double = float(value)
    if math.isinf(double) or (double == 0) is not value.is_zero():
        raise InexactError
    return double


def _as_integer(value: Decimal) -> int:
    if value.adjusted() > _LONGEST or value != value.to_integral_value():
        raise InexactError
    return int(value)


def _is_decimal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind))
