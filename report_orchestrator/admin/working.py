"""Doing what was confirmed, row by row, within a bounded time, and recording it in Django's own log."""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import Error as AnyDatabaseError
from django.db.models import Model, QuerySet
from django.utils.text import Truncator
from django.utils.translation import gettext

from report_orchestrator.admin.acts import Act, Asked, Plan, Refused
from report_orchestrator.admin.causes import refusal_in_words
from report_orchestrator.exceptions import NotPossibleError, OrchestratorError

M = TypeVar("M", bound=Model)

logger = logging.getLogger("report_orchestrator.admin")

BATCH = 100
"""Rows that are read at once."""
SECONDS = 15.0
"""How long one request works; then it says how far it came, and asks whether to go on."""


@dataclass(slots=True)
class Work(Generic[M]):
    """What came of it. `left` are the rows that the time did not suffice for."""

    done: list[M] = field(default_factory=list)
    plan: Plan[M] = field(default_factory=Plan)
    left: list[int] = field(default_factory=list)


def work(
    act: Act[M],
    rows: QuerySet[M],
    asked: Asked,
    *,
    user_id: Any,
    is_visible: Callable[[M], bool],
    seconds: float | None = None,
) -> Work[M]:
    """Does it to each row in a transaction of its own. One that cannot be changed does not stop the others.

    Rows that the person may not see are passed over without a word. What was done to a row is in Django's log before the
    next one is begun. At least one row is worked off, however short the time.
    """
    until = time.monotonic() + (SECONDS if seconds is None else seconds)
    result = Work[M]()
    keys = sorted(asked.seen)
    for row in filter(is_visible, _in_batches(rows, keys)):
        refused = _refusal(act, row) or _attempt(act, row, asked)
        if refused:
            result.plan.skip(row, refused)
        else:
            _log(act, row, asked, user_id)
            result.done.append(row)
        if time.monotonic() >= until:
            result.left = keys[bisect_right(keys, row.pk) :]
            break
    return result


def _in_batches(rows: QuerySet[M], keys: Sequence[int]) -> Iterator[M]:
    for start in range(0, len(keys), BATCH):
        yield from rows.filter(pk__in=keys[start : start + BATCH]).order_by("pk")


def _refusal(act: Act[M], row: M) -> Refused | None:
    why = act.refusal(row)
    return Refused(why) if why else None


def _attempt(act: Act[M], row: M, asked: Asked) -> Refused | None:
    """Why it could not be done; None where it was."""
    try:
        act.do(row, asked)
    except NotPossibleError as error:
        return Refused(refusal_in_words(error))
    except OrchestratorError as error:
        return Refused(error.message, kind=f"{type(error).__name__} {error.code}")
    except AnyDatabaseError as error:  # this row was rolled back, and the next ones may well be written
        logger.exception("act failed", extra={"event": "act_failed", "act": act.name, "row": row.pk})
        told = gettext("The database refused it ({kind}). Nothing was done. Try again; the log says more.")
        return Refused(told.format(kind=type(error).__name__))
    return None


def _log(act: Act[M], row: M, asked: Asked, user_id: Any) -> None:
    note = Truncator(f"{act.record}. Reason: {asked.reason}").chars(1000)
    LogEntry.objects.log_actions(user_id, [row], CHANGE, change_message=note)
