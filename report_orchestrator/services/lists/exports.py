"""Rows as CSV or JSON, in chunks: memory stays constant, whatever their number.

PostgreSQL and SQLite hand out the rows by a cursor, unless `DISABLE_SERVER_SIDE_CURSORS` is set; the driver of MySQL and
MariaDB reads all of them.
"""

import csv
import io
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import chain
from typing import Any

from django.db.models import QuerySet

from report_orchestrator.services.lists.columns import Table, Texts

CHUNK = 500
"""Rows of a chunk."""
STARTS_A_FORMULA = frozenset("=+-@＝＋－＠")  # noqa: RUF001 - the wide ones are read alike
Chunks = Generator[str, None, None]


def csv_chunks(table: Table, rows: QuerySet[Any], texts: Texts, line_end: str = "\r\n") -> Chunks:
    """Yield the rows as CSV, the names of the columns first. No cell is a formula to a spreadsheet."""
    lines = ([_cell(value) for value in table.values(row, texts)] for row in _read(rows))
    for lot in _lots(chain([list(table.columns)], lines)):
        text = io.StringIO()
        csv.writer(text, lineterminator=line_end).writerows(lot)
        yield text.getvalue()


def json_chunks(table: Table, rows: QuerySet[Any], texts: Texts) -> Chunks:
    """Yield the rows as a JSON list of objects, one a line."""
    separator = "[\n"
    for lot in _lots(_read(rows)):
        objects = (dict(zip(table.columns, table.values(row, texts), strict=True)) for row in lot)
        yield separator + ",\n".join(json.dumps(row, default=_plain, ensure_ascii=False) for row in objects)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


EXPORTS: Mapping[str, Callable[[Table, QuerySet[Any], Texts], Chunks]] = {"csv": csv_chunks, "json": json_chunks}


def _read(rows: QuerySet[Any]) -> Iterator[Any]:
    return rows.iterator(chunk_size=CHUNK)


def _lots(rows: Iterable[Any]) -> Iterator[list[Any]]:
    lot = []
    for row in rows:
        lot.append(row)
        if len(lot) == CHUNK:
            yield lot
            lot = []
    if lot:
        yield lot


def _cell(value: object) -> object:
    match value:
        case None | int() | float():
            return value
        case dict():
            value = json.dumps(value, default=_plain, ensure_ascii=False)
    text = _plain(value)
    return f"'{text}" if text.lstrip()[:1] in STARTS_A_FORMULA or text[:1] in {"\t", "\r", "\n"} else text


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
