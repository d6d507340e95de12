"""What live pages ask again and again: whether runs changed, read once for all who watch in this process."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from django.db.models import Count, QuerySet, Subquery, Sum, Value

from report_orchestrator.domain.runs import UNFINISHED
from report_orchestrator.models import ReportRun

T = TypeVar("T")


class SharedReads:
    """Keeps each answer for some seconds. Of many threads with one question, one reads and the others wait for it."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answers: dict[Hashable, tuple[float, Future[Any]]] = {}

    def get(self, question: Hashable, read: Callable[[], T]) -> T:
        """Return the answer; its age counts from before it was read. If the read fails, all who wait for it fail."""
        mine: Future[Any] = Future()
        with self._lock:
            now = time.monotonic()
            self._answers = {each: kept for each, kept in self._answers.items() if self._is_shared(*kept, now)}
            answer: Future[T] = self._answers.setdefault(question, (now, mine))[1]
        if answer is mine:
            self._read(mine, read)  # without the lock: a slow database delays no other question
        return answer.result()

    def _is_shared(self, at: float, answer: Future[Any], now: float) -> bool:
        """Return True also during a read that takes longer: else all who wait would read one after the other."""
        return not answer.done() or (now - at < self._seconds and answer.exception() is None)

    @staticmethod
    def _read(answer: Future[Any], read: Callable[[], Any]) -> None:
        try:
            answer.set_result(read())
        except BaseException as error:  # noqa: BLE001 - raised by all who wait
            answer.set_exception(error)

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()


STAMPS = SharedReads(seconds=0.5)
"""Half a second is less than anybody sees, and bounds the queries of a process to two a second."""


def stamp_of(runs: QuerySet[ReportRun]) -> str:
    """Return a text that changes with every write of these runs. One query, on indexes of the newest and the unfinished."""
    ended = runs.filter(ended_at__isnull=False).order_by("-ended_at").values("ended_at")[:1]
    unfinished = runs.filter(wake_at__isnull=False, status__in=sorted(UNFINISHED)).order_by()
    alike = unfinished.annotate(all=Value(1)).values("all")
    newest = runs.order_by("-pk").values_list(
        "pk",
        Subquery(ended),
        Subquery(alike.annotate(count=Count("*")).values("count")),
        Subquery(alike.annotate(versions=Sum("version")).values("versions")),
    )[:1]
    rows = STAMPS.get(_question(newest), lambda: list(newest))
    return ".".join("" if value is None else str(value) for value in rows[0]) if rows else "none"


def read_shared_run(runs: QuerySet[ReportRun], pk: int) -> ReportRun | None:
    """Return the run, or None if it is not one of these. Its version is its stamp."""
    wanted = runs.filter(pk=pk)
    return STAMPS.get(_question(wanted), wanted.first)


def _question(rows: QuerySet[Any, Any]) -> Hashable:
    """Return the query itself: users who may see different rows ask different ones."""
    return rows.db, repr(rows.query.sql_with_params())
