"""Collects the changes that one transaction of the host makes, and hands them on once, after its commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from django.db import transaction
from django.db.models import Model


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Changes:
    """Changed rows of the host: keys of reports as text, primary keys of the owners of events, and of events by relation.

    `gone` are reports that were deleted, or hidden from the model's default manager by the change itself.
    """

    reports: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    owners: set[Any] = field(default_factory=set)
    events: set[tuple[str, Any]] = field(default_factory=set)

    def add(self, other: Changes) -> None:
        self.reports |= other.reports
        self.gone |= other.gone
        self.owners |= other.owners
        self.events |= other.events


Refresh: TypeAlias = Callable[[Collection[str], Collection[str]], None]
"""Takes the keys of changed reports, and which of them may be gone."""

FindReports: TypeAlias = Callable[[Changes, str], Collection[str]]
"""Returns the keys of all reports that changes concern, read from the database of this alias."""


class ChangeCollector(threading.local):
    """The changes of this thread's open transactions.

    Only Django's list of callbacks keeps the changes of a transaction, so a rollback drops them. Those of a savepoint that was
    rolled back are refreshed with the others: a refresh reads the rows as they are.
    """

    def __init__(self, *, our_alias: Callable[[], str], refresh: Refresh) -> None:
        self._our_alias = our_alias
        self._refresh = refresh
        self._remembered: dict[str, Changes] = {}
        self._open: WeakValueDictionary[str, Changes] = WeakValueDictionary()
        self._committed = Changes()
        self.visible: set[tuple[type[Model], str, Any]] = set()
        """Rows that their model's default manager showed before the save that is under way, by model, watch and key."""

    def remember(self, using: str, changes: Changes) -> None:
        """Keep changes for the next refresh, without asking for one."""
        self._remembered.setdefault(using, Changes()).add(changes)

    def notice(self, using: str, changes: Changes, find_reports: FindReports) -> None:
        """Refresh after the commit of the open transaction; at once where none is open.

        Raises:
            TransactionManagementError: the host manages its transactions by hand, so its commit cannot be noticed.
        """
        collected = self._open.setdefault(using, Changes())
        collected.add(changes)
        collected.add(self._remembered.pop(using, Changes()))
        transaction.on_commit(partial(self._on_commit, using, collected, find_reports), using=using, robust=True)

    def _on_commit(self, using: str, changes: Changes, find_reports: FindReports) -> None:
        if self._open.pop(using, None) is not changes:
            return  # an earlier call of the same commit took them
        self._committed.reports |= set(find_reports(changes, using))
        self._committed.gone |= changes.gone
        # An outer transaction of this app's database would keep the refreshed rows locked until it ends.
        transaction.on_commit(self._on_our_commit, using=self._our_alias(), robust=True)

    def _on_our_commit(self) -> None:
        changes, self._committed = self._committed, Changes()
        if changes.reports:
            self._refresh(changes.reports, changes.gone)
