"""The interface for reading the events of reports, wherever the host stores them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

from report_orchestrator.adapters.host.events.kinds import EventRelation
from report_orchestrator.adapters.host.values import json_key
from report_orchestrator.domain.reports import Event, EventKind

Owner = Literal["event_group", "pk"]
"""The owner of a report's events: its event group, or the report itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """The events of one owner, as in `ReportSummary`."""

    kinds: frozenset[EventKind | None] = frozenset()
    has_incomplete: bool = False
    unknown: str = ""
    problem: str = ""

    def __or__(self, other: EventSummary) -> EventSummary:
        return EventSummary(
            kinds=self.kinds | other.kinds,
            has_incomplete=self.has_incomplete or other.has_incomplete,
            unknown=self.unknown or other.unknown,
            problem=self.problem or other.problem,
        )


class EventReader(Protocol):
    """Reads events for discovery and for runs, which see the same ones."""

    @property
    def owner(self) -> Owner:
        """Return the owner of events."""

    @property
    def relations(self) -> Sequence[EventRelation]:
        """Return the relations from the owner to its events, to listen to their changes; none if they are unknown."""

    def verify(self) -> None:
        """Raise `ConfigurationError` if no report could run."""

    def summaries_of(self, owners: Collection[object]) -> Mapping[object, EventSummary]:
        """Return the summary of the events of each owner, given by primary keys."""

    def events_of(self, owner: object) -> Iterator[Event]:
        """Yield an owner's events, always in the same order.

        Raises:
            InvalidReportError: they cannot be read.
        """


_DEFAULTS: Mapping[str, object] = {"name": "", "description": "", "is_valid": True}


def build_event(shape: type[Any], key: object, row: Mapping[str, object]) -> Event:
    """Build an event from JSON values; common fields that the row lacks get a default, others become null."""
    given = {
        field.name: row.get(field.name, _DEFAULTS.get(field.name)) for field in fields(shape) if field.name != "id"
    }
    for name in ("name", "description"):
        given[name] = "" if given[name] is None else str(given[name])
    event: Event = shape(id=json_key(key), **given)
    return event
