"""The manager of all our tables."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import models, router

M = TypeVar("M", bound=models.Model)


class PrimaryManager(models.Manager[M]):
    """Read from the database to which the rows are written.

    Nearly every read of ours follows a write of another process: from a replica that lags it would miss a claim, and a run
    would wait for its lease. `using()` still takes another database.
    """

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        if self._db is None:
            # Not `using()`, which copies the queryset: a run makes some forty of them.
            rows._db = router.db_for_write(self.model, **self._hints)  # type: ignore[attr-defined]  # noqa: SLF001
        return rows

    _db: str | None
    _hints: dict[str, Any]
