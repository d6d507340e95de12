"""Counting that stops early: a million rows are not counted to show the first fifty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.utils.functional import cached_property

COUNTED_AT_MOST = 10_000

if TYPE_CHECKING:
    RowPaginator = Paginator[Model]
else:
    RowPaginator = Paginator  # generic for the type checker only


class CappedPaginator(RowPaginator):
    """Counts, and pages through, at most `COUNTED_AT_MOST` rows; `is_capped` tells that there are more."""

    object_list: QuerySet[Model]

    @cached_property
    def count(self) -> int:
        """The rows that can be paged through."""
        return min(self._counted, COUNTED_AT_MOST)

    @property
    def is_capped(self) -> bool:
        """Whether there are rows that no page shows."""
        return self._counted > COUNTED_AT_MOST

    @property
    def cap(self) -> int:
        """The most rows that are counted, for the page that says so."""
        return COUNTED_AT_MOST

    @cached_property
    def _counted(self) -> int:
        # The order stays: with it the database walks an index from the newest row, and stops at the cap.
        return self.object_list.values("pk")[: COUNTED_AT_MOST + 1].count()
