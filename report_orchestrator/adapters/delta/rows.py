"""Stream the rows of a JSON result as Arrow batches of a few hundred thousand, without holding the document in
memory.

The document must have a list `results` of flat objects: text, numbers, booleans, null. Numbers become doubles, so
that a column keeps its type from run to run.
"""

import codecs
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import ijson
import pyarrow as pa

from report_orchestrator.adapters.delta.numbers import InexactError, cast_exactly, digit_columns, in_column
from report_orchestrator.adapters.json_completeness import DEEPEST, LoneSurrogates, NestingGuard, TopLevelText

STEP = 256 * 1024
"""Bytes parsed at once; each step gives one batch."""
LARGEST_ROW = 16 * 1024 * 1024
"""Bytes without the end of a row: a longer one is not flat, and would be held in memory."""
MOST_COLUMNS = 1000
MOST_CELLS = 1_000_000
"""Values of a batch, nulls included: rows that all have different names would fill the memory with nulls."""
_REFUSED = re.compile(r"[ ,;{}()=\x00-\x1f\x7f]")
"""Characters a column name must not have: Delta Lake refuses some; databases and logs do not take the others."""
_QUOTED_VALUES = re.compile(r"['\"{\[].*+", re.DOTALL)
"""A library's message from the first value of a row that it quotes: logs and pages must not show them."""
LONGEST_ERROR = 2048
"""Characters of a library's message that are searched: it may quote a whole row."""

_HALF_CHARACTER = "it has text that is not valid Unicode, such as half a character (a lone surrogate)"


class UnfitError(Exception):
    """The document cannot become rows of a table. The message gives the reason, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The common shape of all rows. `fields` are the columns with values; `names` maps JSON names to columns."""

    rows: int
    fields: tuple[pa.Field, ...]
    names: Mapping[str, str]


def shape_of(chunks: Iterable[bytes], known: pa.Schema, taken: Collection[str]) -> Shape:
    """Read all rows once and return their shape. `known` is the table's present schema; `taken` are names reserved
    for the run's columns.

    Raises:
        UnfitError: the rows are not flat, or contradict each other or the table.
    """
    for name in taken:
        _refuse_double(name, (other for other in known.names if other != name))
    rows, types, names = 0, dict[str, pa.DataType](), dict[str, str]()
    for batch in _structs(chunks, digit_columns(known)):
        rows += len(batch)
        for field in batch.type:
            _add_name(names, field.name, taken, known.names)
            _add_type(types, names[field.name], batch.field(field.name), known)
    return Shape(rows=rows, fields=tuple(pa.field(name, kind) for name, kind in types.items()), names=names)


def batches(chunks: Iterable[bytes], shape: Shape, constants: Mapping[str, pa.Scalar]) -> Iterator[pa.RecordBatch]:
    """Yield the rows in the given shape, each followed by the run's constants."""
    schema = schema_of(shape, constants)
    for struct in _structs(chunks, digit_columns(shape.fields)):
        present = {shape.names[field.name]: struct.field(field.name) for field in struct.type}
        columns = [
            cast_exactly(present[field.name], field.type)
            if field.name in present
            else pa.nulls(len(struct), field.type)
            for field in shape.fields
        ]
        columns += [pa.repeat(value, len(struct)) for value in constants.values()]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def with_all_columns(shape: Shape, known: pa.Schema, taken: Iterable[str]) -> Shape:
    """Return the shape with all columns of a table that accepts no new ones. `taken` are the run's columns.

    Raises:
        UnfitError: the shape or the run has another column.
    """
    names = [*(field.name for field in shape.fields), *taken]
    if new := [name for name in names if name not in known.names]:
        raise UnfitError(f"the column '{new[0][:100]}' is new, and a table with column mapping accepts no new ones")
    missing = (field for field in known if field.name not in names)
    return replace(shape, fields=(*shape.fields, *missing))


def schema_of(shape: Shape, constants: Mapping[str, pa.Scalar]) -> pa.Schema:
    """Return the schema of the batches."""
    return pa.schema([*shape.fields, *(pa.field(name, value.type) for name, value in constants.items())])


def _add_name(names: dict[str, str], name: str, taken: Iterable[str], known: Iterable[str]) -> None:
    """Add a new name's column. `taken` are the run's columns, `known` the table's, of which it may be one."""
    if name in names:
        return
    column = _column(name)
    _refuse_double(column, (*names.values(), *taken, *(other for other in known if other != column)))
    if len(names) == MOST_COLUMNS:
        raise UnfitError(f"its rows have more than {MOST_COLUMNS:,} columns")
    names[name] = column


def _refuse_double(column: str, others: Iterable[str]) -> None:
    """Raise `UnfitError` for names that differ only in case, which Spark does not distinguish."""
    if column.casefold() in {other.casefold() for other in others}:
        raise UnfitError(f"the column '{column[:100]}' has the same name as another column")


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
        raise UnfitError(f"the column '{column[:100]}' mixes {_kind(values.type)} with {_kind(wanted)}")
    try:
        cast_exactly(values, wanted)
    except InexactError as error:
        raise _inexact(column, wanted) from error


def _inexact(column: str, kind: pa.DataType) -> UnfitError:
    return UnfitError(f"the column '{column[:100]}' holds a number that {kind} cannot hold exactly")


def _usual(kind: pa.DataType, column: str) -> pa.DataType:
    match _kind(kind):
        case "text":
            return pa.string()
        case "numbers":
            return pa.float64()
        case "true or false":
            return pa.bool_()
        case _:
            raise UnfitError(f"the column '{column[:100]}' has nested lists or objects")


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numbers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "other"


def _structs(chunks: Iterable[bytes], digits: Mapping[str, pa.DataType]) -> Iterator[pa.StructArray]:
    for rows in _portions(chunks, digits):
        try:
            struct = pa.array(rows)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise UnfitError(f"its rows have conflicting types: {_describe_error(error)}") from error
        if not pa.types.is_struct(struct.type) or struct.null_count:
            raise UnfitError("some of its rows are not objects")
        yield struct


def _portions(chunks: Iterable[bytes], digits: Mapping[str, pa.DataType]) -> Iterator[list[Any]]:
    """Yield lists of rows with columns, limited to the values a batch may have. `digits` are the columns whose numbers
    are read with all their digits."""
    for rows in _rows(chunks, use_float=not digits):
        names = set[str]()
        for row in rows:
            if isinstance(row, dict):
                names.update(row)
                _refuse_nested(row)
                if digits:
                    _convert_numbers(row, digits)
        if len(names) > MOST_COLUMNS:
            raise UnfitError(f"its rows have more than {MOST_COLUMNS:,} columns")
        most = MOST_CELLS // max(len(names), 1)
        for start in range(0, len(rows), most):
            yield rows[start : start + most]


def _refuse_nested(row: dict[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, dict | list):
            raise UnfitError(f"the column '{_column(name)[:100]}' has nested lists or objects")


def _convert_numbers(row: dict[str, Any], digits: Mapping[str, pa.DataType]) -> None:
    for name, value in row.items():
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            column = _column(name)
            kind = digits.get(column)
            try:
                row[name] = in_column(value, kind)
            except InexactError as error:
                raise _inexact(column, kind or pa.float64()) from error


def _rows(chunks: Iterable[bytes], *, use_float: bool) -> Iterator[list[Any]]:
    """Yield the items of `results`, one list for each parsed step."""
    parsed: list[Any] = ijson.sendable_list()
    parser = ijson.items_coro(parsed, "results.item", use_float=use_float)
    top, since = _Top(), 0
    with _unfit_json():
        for step in _checked(_steps(chunks)):
            top.see(step)
            parser.send(step)
            since = 0 if parsed or not top.is_list else since + len(step)
            if since > LARGEST_ROW:
                raise UnfitError(f"a row is larger than {LARGEST_ROW:,} bytes")
            if parsed:
                yield list(parsed)
                parsed.clear()
        parser.close()
        top.expect_list()
    if parsed:
        yield list(parsed)


def _checked(steps: Iterable[bytes]) -> Iterator[bytes]:
    """Refuse, before the parser has it, what it would read in another way or not survive."""
    depth, surrogates = NestingGuard(), LoneSurrogates()
    for step in steps:
        if surrogates.see(step):
            raise UnfitError(_HALF_CHARACTER)
        if depth.is_too_great(step):
            raise UnfitError(f"it is nested deeper than {DEEPEST} levels")
        yield step
    if surrogates.is_last():
        raise UnfitError(_HALF_CHARACTER)


@contextmanager
def _unfit_json() -> Iterator[None]:
    """Translate the parser's errors."""
    try:
        yield
    except UnicodeError as error:
        raise UnfitError(_HALF_CHARACTER) from error
    except ArithmeticError as error:  # an exponent beyond Python's decimals
        raise UnfitError("it has a number that is too large for any column") from error
    except (ijson.JSONError, SystemError) as error:
        if "overflow" in str(error)[:LONGEST_ERROR]:
            raise UnfitError("it has a number that is too large for any column") from error
        # A number of thousands of digits is a ValueError of Python's, out of which the parser makes a SystemError.
        raise UnfitError(f"it is not valid JSON: {_describe_error(error.__cause__ or error)}") from error


class _Top:
    """Search the top level of the document for `results`. Nested values are left out: this parser is the slow one."""

    def __init__(self) -> None:
        self.is_list = False
        self._events: list[tuple[str, Any]] = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._text = TopLevelText()
        self._depth = 0
        self._is_next = False

    def see(self, step: bytes) -> None:
        if text := self._text.see(step):  # empty input would end the document
            self._parser.send(text)
        for event, value in self._events:
            if self._is_next and event != "start_array":
                raise UnfitError("its `results` is not a list")
            self.is_list |= self._is_next
            self._is_next = event == "map_key" and self._depth == 1 and value == "results"
            if self._is_next and self.is_list:
                # Parsers of JSON take the last one; the rows of the first are already read.
                raise UnfitError("it has `results` more than once")
            self._depth += event.startswith("start_") - event.startswith("end_")
        self._events.clear()

    def expect_list(self) -> None:
        """Raise `UnfitError` if the document ended without `results`."""
        if not self.is_list:
            raise UnfitError("it has no `results`")


def _describe_error(error: BaseException) -> str:
    """Return a library's message on one line, without values of the rows."""
    first = (str(error)[:LONGEST_ERROR].splitlines() or [type(error).__name__])[0]
    return _QUOTED_VALUES.sub("…", first)[:200].rstrip(".")


def _steps(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in _without_mark(chunks):
        for start in range(0, len(chunk), STEP):
            yield chunk[start : start + STEP]


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Skip the byte order mark that the document may begin with, wherever the chunks are cut."""
    start: bytes | None = b""
    for chunk in chunks:
        if start is None:
            yield chunk
            continue
        start += chunk
        if len(start) >= len(codecs.BOM_UTF8):
            yield start.removeprefix(codecs.BOM_UTF8)
            start = None
    if start:
        yield start
