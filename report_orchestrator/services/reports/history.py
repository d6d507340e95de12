"""The history of one report: its changes, and what people did to it and its runs, in one list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q, QuerySet, Value

from report_orchestrator.models import Intervention, ReportChange, ReportRun, ReportSchedule

Row = tuple[datetime, int, int, int]
"""The instant, 1 for an action on runs, the key of the change or last action, and the number of actions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A change, or `count` actions on runs that a person took at once, of which `action` is one."""

    at: datetime
    change: ReportChange | None = None
    action: Intervention | None = None
    count: int = 1


def history_rows(
    schedule: ReportSchedule, *, changes: QuerySet[ReportChange], runs: QuerySet[ReportRun]
) -> QuerySet[ReportChange, Row]:
    """Return the rows of a report's history among these changes and runs, newest first. Changes of all reports belong to it."""
    of_all = Q(schedule=None, noticed_at__gte=schedule.discovered_at)
    changed = (
        # By their keys: a union with no rows at all would lose its columns' names.
        ReportChange.objects.filter(pk__in=changes.filter(Q(schedule=schedule) | of_all).order_by().values("pk"))
        .order_by()
        .annotate(is_action=Value(0), count=Value(1))
        .values_list("noticed_at", "is_action", "pk", "count")
    )
    acted = (
        Intervention.objects.filter(run__in=runs.filter(schedule=schedule).order_by().values("pk"))
        .order_by()
        .values("made_at", "kind", "actor", "reason")
        .annotate(is_action=Value(1), last=Max("pk"), count=Count("*"))
        .values_list("made_at", "is_action", "last", "count")
    )
    rows: QuerySet[ReportChange, Row] = changed.union(acted, all=True).order_by("-noticed_at", "-is_action", "-id")
    return rows


def read_entries(rows: Sequence[Row]) -> list[HistoryEntry]:
    """Return the entries of these rows, in two queries."""
    changes = ReportChange.objects.in_bulk(_keys(rows, of_actions=False))
    actions = Intervention.objects.in_bulk(_keys(rows, of_actions=True))
    return [
        HistoryEntry(at=at, action=actions[key], count=count) if is_action else HistoryEntry(at=at, change=changes[key])
        for at, is_action, key, count in rows
        if key in (actions if is_action else changes)  # else deleted since
    ]


def _keys(rows: Iterable[Row], *, of_actions: bool) -> list[int]:
    return [key for _at, is_action, key, _count in rows if bool(is_action) == of_actions]
