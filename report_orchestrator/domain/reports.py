"""Frozen values of the host's reports, as the rest of the house knows them.

An adapter builds them from whatever the host has; past that border nobody handles the host's models.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from report_orchestrator.exceptions import InvalidReportError

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | list[Json] | dict[str, Json]"


class EventKind(StrEnum):
    """The kinds of events that Fireant aggregates; one report has events of one kind only."""

    GEO = "geo"
    RING = "ring"
    BOX = "box"

    @property
    def plural(self) -> str:
        """The payload's key for a list of such events."""
        return "boxes" if self is EventKind.BOX else f"{self.value}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """What all events share. `id` is the primary key as JSON carries it."""

    id: int | str
    name: str
    description: str
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoEvent(EventBase):
    """A geographic area, from country down to its second subarea."""

    country: str | None
    area: str | None
    subarea: str | None
    subarea2: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RingEvent(EventBase):
    """A circle: centre in degrees, radius in the host's unit."""

    latitude: float
    longitude: float
    radius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxEvent(EventBase):
    """A rectangle of latitudes and longitudes, in degrees."""

    max_lat: float
    min_lat: float
    max_lon: float
    min_lon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(EventBase):
    """An event of no kind that Fireant knows: it makes its report invalid."""


Event: TypeAlias = GeoEvent | RingEvent | BoxEvent | UnknownEvent

EVENT_TYPES: Mapping[EventKind, type[GeoEvent | RingEvent | BoxEvent]] = {
    EventKind.GEO: GeoEvent,
    EventKind.RING: RingEvent,
    EventKind.BOX: BoxEvent,
}


def kind_of(event: Event) -> EventKind | None:
    """The kind of an event; None for one of no known kind."""
    match event:
        case GeoEvent():
            return EventKind.GEO
        case RingEvent():
            return EventKind.RING
        case BoxEvent():
            return EventKind.BOX
        case UnknownEvent():
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """The dates that a run is computed at. `id` is None where the host keeps no modifiers."""

    id: int | str | None
    as_at_date: date
    fx_date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSummary:
    """What discovery needs of a report: enough to schedule it, not enough to run it.

    `key` is the primary key as text; `event_kinds` holds each kind found in its event group, None standing for an event
    of no known kind; it is None itself where the report has no event group. `timezone` is empty where the host's applies,
    `overlap` where the setting does.
    """

    key: str
    name: str
    cron: str
    enabled: bool
    timezone: str = ""
    priority: int = 0
    overlap: str = ""
    updated_at: datetime | None = None
    event_kinds: frozenset[EventKind | None] | None = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report whole, ready to become a payload.

    `fields` are the host's concrete fields, under the host's names, as JSON carries them, without the primary key and the cron.
    """

    key: str
    id: int | str
    name: str
    event_group_id: int | str | None
    events: tuple[Event, ...]
    fields: Mapping[str, Json] = field(default_factory=dict)


def single_event_kind(report: str, kinds: Collection[EventKind | None] | None) -> EventKind:
    """The one kind of a report's events.

    `report` names the report in the message; `kinds` is as in `ReportSummary.event_kinds`.

    Raises:
        InvalidReportError: there is no group, no event, more than one kind, or a kind that Fireant does not know.
    """
    if kinds is None:
        raise InvalidReportError(
            f"{report} has no event group. Choose one on the report's page.", code="no_event_group"
        )
    if not kinds:
        raise InvalidReportError(
            f"{report} has an event group without events. Add events to the group, or choose another group.",
            code="empty_event_group",
        )
    known = {kind for kind in kinds if kind is not None}
    if len(known) < len(set(kinds)):
        raise InvalidReportError(
            f"{report} has an event that is neither a ring, a box nor a geographic area. "
            "Replace that event in its event group.",
            code="unknown_event_type",
        )
    if len(known) > 1:
        found = " and ".join(sorted(kind.plural for kind in known))
        raise InvalidReportError(
            f"{report} has {found} in one event group; Fireant takes one type for a report. "
            "Split the group, and make a report for each type.",
            code="mixed_event_types",
        )
    return known.pop()


PRIORITY_RANKS: Mapping[str, int] = {"belownormal": -10, "normal": 0, "abovenormal": 10, "high": 20}


def priority_rank(value: object) -> int:
    """A host's priority as a number, higher first: numbers stay what they are, unknown words count as normal."""
    if isinstance(value, int):
        return max(-32768, min(32767, value))
    return PRIORITY_RANKS.get(str(value or "").replace("_", "").replace(" ", "").lower(), 0)


def describe_report(key: str, name: str) -> str:
    """How messages name a report, so that a person finds it: `report 42 (Windstorm accumulation)`."""
    return f"report {key} ({name})" if name else f"report {key}"
