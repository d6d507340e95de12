"""Work row by row within a time limit, and group the rows that were skipped."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

from report_orchestrator.admin.actions.base import Target

M = TypeVar("M", bound=Model)

BATCH = 100
"""Rows read at a time."""
SECONDS = 15.0
"""Time limit of one request; the rest needs another confirmation."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason why an action was refused for a row. `kind` groups reasons that each name their own row."""

    why: str
    kind: str = ""


@dataclass(slots=True)
class Skipped(Generic[M]):
    """Rows skipped for the same reason, in the words of the first one."""

    why: str
    names_its_row: bool = False
    rows: list[M] = field(default_factory=list)


@dataclass(slots=True)
class SortedRows(Generic[M]):
    """The rows that were not refused, and the skipped ones by reason. `left` are those for which time ran out."""

    able: list[M] = field(default_factory=list)
    skipped: dict[str, Skipped[M]] = field(default_factory=dict)
    left: list[int] = field(default_factory=list)

    def add(self, row: M, refused: Refused | None) -> None:
        if refused is None:
            self.able.append(row)
            return
        group = Skipped[M](refused.why, names_its_row=bool(refused.kind))
        self.skipped.setdefault(refused.kind or refused.why, group).rows.append(row)


def run_bulk(target: Target[M], perform: Callable[[M], Refused | None]) -> SortedRows[M]:
    """Perform the action on each row; a refused row does not stop the others.

    Rows that the person may not see are skipped silently. At least one row is processed, whatever the time limit.
    """
    until = time.monotonic() + SECONDS
    result = SortedRows[M]()
    keys = sorted(target.keys)
    for row in filter(target.is_visible, _in_batches(target.rows, keys)):
        result.add(row, perform(row))
        if time.monotonic() >= until:
            result.left = keys[bisect_right(keys, row.pk) :]
            break
    return result


def _in_batches(rows: QuerySet[M], keys: Sequence[int]) -> Iterator[M]:
    for start in range(0, len(keys), BATCH):
        yield from rows.filter(pk__in=keys[start : start + BATCH]).order_by("pk")
