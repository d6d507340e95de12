"""Doing what was confirmed, row by row, within a bounded time, and recording it in Django's own log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model, QuerySet
from django.utils.text import Truncator

from report_orchestrator.admin.acts import Act, Asked, Plan
from report_orchestrator.exceptions import OrchestratorError

M = TypeVar("M", bound=Model)

BATCH = 100
SECONDS = 15.0
"""How long one request works; then it says how far it came, and asks whether to go on."""


@dataclass(slots=True)
class Work(Generic[M]):
    """What came of it. `left` are the rows that the time did not suffice for."""

    done: list[M] = field(default_factory=list)
    plan: Plan[M] = field(default_factory=Plan)
    left: list[int] = field(default_factory=list)


def work(
    act: Act[M], rows: QuerySet[M], asked: Asked, *, user_id: Any, seconds: float | None = None
) -> Work[M]:
    """Does it to each row in a transaction of its own. One that cannot be changed does not stop the others.

    At least one batch is worked off, however short the time.
    """
    until = time.monotonic() + (SECONDS if seconds is None else seconds)
    result = Work[M]()
    waiting = iter(asked.seen)
    while keys := list(islice(waiting, BATCH)):
        done = list(_batch(act, rows, keys, asked, result.plan))
        _log(act, done, asked, user_id)
        result.done += done
        if time.monotonic() >= until:
            break
    result.left = list(waiting)
    return result


def _batch(act: Act[M], rows: QuerySet[M], keys: Sequence[int], asked: Asked, plan: Plan[M]) -> Iterator[M]:
    for row in rows.filter(pk__in=keys).order_by("pk"):
        why = act.refusal(row) or _attempt(act, row, asked)
        if why:
            plan.skip(row, why)
        else:
            yield row


def _attempt(act: Act[M], row: M, asked: Asked) -> str:
    """Why it could not be done; empty where it was."""
    try:
        act.do(row, asked)
    except OrchestratorError as error:
        return error.message
    return ""


def _log(act: Act[M], done: Sequence[M], asked: Asked, user_id: Any) -> None:
    if done:
        note = Truncator(f"{act.record}. Reason: {asked.reason}").chars(1000)
        LogEntry.objects.log_actions(user_id, done, CHANGE, change_message=note)
