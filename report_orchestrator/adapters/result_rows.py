"""The rows of a JSON result, streamed: a few hundred thousand at a time as Arrow batches, never the document as a whole.

Fit is a document whose `results` is a list of flat objects: text, numbers, true and false, null. Numbers become doubles, so that
a column does not change its type from one run to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ijson
import pyarrow as pa

from report_orchestrator.adapters.json_brackets import DEEPEST, Depth

STEP = 256 * 1024
"""Bytes that are parsed at once; each gives one batch."""
LARGEST_ROW = 16 * 1024 * 1024
"""Bytes without the end of a row: more is no flat row, and would have to be held in memory."""
MOST_COLUMNS = 1000
MOST_CELLS = 1_000_000
"""Values of a batch, nulls included: rows that each have other names would fill the memory with nulls."""
_REFUSED = re.compile(r"[ ,;{}()=\x00-\x1f\x7f]")
"""Letters that a column's name must not have: Delta Lake refuses some, and no database or log takes the others."""
_SAID = re.compile(r"'.*'|\{.*\}|\[.*\]|\".*\"", re.DOTALL)
"""What a library quotes of the rows: a log or a page must not show it."""


class UnfitError(Exception):
    """The document cannot be a table's rows. The message says why, to a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What all rows have in common. `fields` are the columns that hold anything; `names` leads from JSON's names to them."""

    rows: int
    fields: tuple[pa.Field, ...]
    names: Mapping[str, str]


def shape_of(chunks: Iterable[bytes], known: pa.Schema, taken: Iterable[str]) -> Shape:
    """Reads all rows once. `known` is the table's schema as it is, `taken` are names that no row may use.

    Raises:
        UnfitError: they are not flat rows, or do not go together with each other or with the table.
    """
    rows, types, names = 0, dict[str, pa.DataType](), dict[str, str]()
    for batch in _structs(chunks):
        rows += len(batch)
        for field in batch.type:
            _add_name(names, field.name, taken)
            _add_type(types, names[field.name], batch.field(field.name), known)
    return Shape(rows=rows, fields=tuple(pa.field(name, kind) for name, kind in types.items()), names=names)


def batches(
    chunks: Iterable[bytes], shape: Shape, constants: Mapping[str, pa.Scalar]
) -> Iterator[pa.RecordBatch]:
    """The rows again, in the shape that they have, each with the constants behind it."""
    schema = schema_of(shape, constants)
    for struct in _structs(chunks):
        present = {shape.names[field.name]: struct.field(field.name) for field in struct.type}
        columns = [
            _cast(present[field.name], field.type)
            if field.name in present
            else pa.nulls(len(struct), field.type)
            for field in shape.fields
        ]
        columns += [pa.repeat(value, len(struct)) for value in constants.values()]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def schema_of(shape: Shape, constants: Mapping[str, pa.Scalar]) -> pa.Schema:
    """The batches' schema."""
    return pa.schema([*shape.fields, *(pa.field(name, value.type) for name, value in constants.items())])


def _add_name(names: dict[str, str], name: str, taken: Iterable[str]) -> None:
    if name in names:
        return
    column = _column(name)
    # Spark does not tell apart what differs in case only.
    if column.casefold() in {other.casefold() for other in (*names.values(), *taken)}:
        raise UnfitError(f"the name '{column[:100]}' would meet another column's")
    if len(names) == MOST_COLUMNS:
        raise UnfitError(f"they have more than {MOST_COLUMNS:,} columns")
    names[name] = column


def _column(name: str) -> str:
    return _REFUSED.sub("_", name) or "_"


def _add_type(types: dict[str, pa.DataType], column: str, values: pa.Array, known: pa.Schema) -> None:
    if pa.types.is_null(values.type):
        return
    wanted = types.get(column)
    if wanted is None:
        index = known.get_field_index(column)
        wanted = types[column] = _usual(values.type, column) if index < 0 else known.field(index).type
    if _kind(wanted) != _kind(values.type) or _kind(wanted) == "other":
        raise UnfitError(
            f"the column '{column[:100]}' holds {_kind(values.type)} where {_kind(wanted)} stands elsewhere"
        )
    try:
        _cast(values, wanted)
    except pa.ArrowInvalid as error:
        raise UnfitError(
            f"the column '{column[:100]}' holds a number that {wanted} cannot hold exactly"
        ) from error


def _usual(kind: pa.DataType, column: str) -> pa.DataType:
    match _kind(kind):
        case "text":
            return pa.string()
        case "numbers":
            return pa.float64()
        case "true or false":
            return pa.bool_()
        case _:
            raise UnfitError(f"the column '{column[:100]}' holds lists or objects, so the rows are not flat")


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numbers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "other"


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _structs(chunks: Iterable[bytes]) -> Iterator[pa.StructArray]:
    for rows in _portions(chunks):
        try:
            struct = pa.array(rows)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise UnfitError(f"its rows do not go together: {_told(error)}") from error
        if not pa.types.is_struct(struct.type) or struct.null_count:
            raise UnfitError("its rows are not all objects")
        yield struct


def _portions(chunks: Iterable[bytes]) -> Iterator[list[Any]]:
    """Rows with values that can be columns, no more at once than a batch may have values."""
    for rows in _rows(chunks):
        names = set[str]()
        for row in rows:
            if isinstance(row, dict):
                names.update(row)
                _refuse_nested(row)
        if len(names) > MOST_COLUMNS:
            raise UnfitError(f"they have more than {MOST_COLUMNS:,} columns")
        most = MOST_CELLS // max(len(names), 1)
        for start in range(0, len(rows), most):
            yield rows[start : start + most]


def _refuse_nested(row: dict[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, dict | list):
            raise UnfitError(
                f"the column '{_column(name)[:100]}' holds lists or objects, so the rows are not flat"
            )


def _rows(chunks: Iterable[bytes]) -> Iterator[list[Any]]:
    """The items of `results`, as many at once as a step of bytes holds."""
    found: list[Any] = ijson.sendable_list()
    parser = ijson.items_coro(found, "results.item", use_float=True)
    top, depth, since = _Top(), Depth(), 0
    try:
        for step in _steps(chunks):
            if depth.is_too_great(step):
                raise UnfitError(f"it is nested deeper than {DEEPEST} levels")
            top.see(step)
            parser.send(step)
            since = 0 if found or not top.is_list else since + len(step)
            if since > LARGEST_ROW:
                raise UnfitError(f"a row is larger than {LARGEST_ROW:,} bytes")
            if found:
                yield list(found)
                found.clear()
        parser.close()
        top.expect_list()
    except (ijson.JSONError, SystemError) as error:
        # A number of thousands of digits is a ValueError of Python's, out of which the parser makes a SystemError.
        raise UnfitError(f"it is not JSON that can be read: {_told(error.__cause__ or error)}") from error
    if found:
        yield list(found)


class _Top:
    """Looks for `results` at the top of the document until it is found, and no further: this parser is the slow one."""

    def __init__(self) -> None:
        self.is_list = False
        self._events: list[tuple[str, Any]] = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._depth = 0
        self._is_next = False

    def see(self, step: bytes) -> None:
        """Takes the next bytes."""
        if self.is_list:
            return
        self._parser.send(step)
        for event, value in self._events:
            if self._is_next and event != "start_array":
                raise UnfitError("its `results` is no list")
            if self._is_next:
                self.is_list = True
                return
            self._is_next = event == "map_key" and self._depth == 1 and value == "results"
            self._depth += event.startswith("start_") - event.startswith("end_")
        self._events.clear()

    def expect_list(self) -> None:
        """At the end of the document."""
        if not self.is_list:
            raise UnfitError("it has no `results`")


def _told(error: BaseException) -> str:
    """A library's words on one line, without what it quotes of the rows."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return _SAID.sub("…", first)[:200].rstrip(".")


def _steps(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), STEP):
            yield chunk[start : start + STEP]
