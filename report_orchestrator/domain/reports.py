"""The host's reports as frozen values, which an adapter builds from the host's models."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.printable import is_visible, printable
from report_orchestrator.exceptions import InvalidReportError

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | list[Json] | dict[str, Json]"


class EventKind(StrEnum):
    """The kinds of events that Fireant aggregates. A report has events of one kind only."""

    GEO = "geo"
    RING = "ring"
    BOX = "box"

    @property
    def plural(self) -> str:
        """The payload's key for a list of these events."""
        return "boxes" if self is EventKind.BOX else f"{self.value}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """`id` is the primary key as a JSON value."""

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
    """An event of a kind that Fireant does not support: its report is invalid. `kind` is the host's word for it.

    It is None where the host has no such words.
    """

    kind: str | None = None

    def __str__(self) -> str:
        return printable(f"the event {self.id} ({self.name}) of the kind '{self.kind or ''}'")


Event: TypeAlias = GeoEvent | RingEvent | BoxEvent | UnknownEvent

EVENT_TYPES: Mapping[EventKind, type[GeoEvent | RingEvent | BoxEvent]] = {
    EventKind.GEO: GeoEvent,
    EventKind.RING: RingEvent,
    EventKind.BOX: BoxEvent,
}


EVENT_NUMBERS: Mapping[EventKind, tuple[str, ...]] = {
    EventKind.RING: ("latitude", "longitude", "radius"),
    EventKind.BOX: ("max_lat", "min_lat", "max_lon", "min_lon"),
}
"""The fields of an event that Fireant computes with. They may be null, as the host's columns may be."""


def kind_of(event: Event) -> EventKind | None:
    """Return the kind of an event; None for an `UnknownEvent`."""
    return next((kind for kind, type_ in EVENT_TYPES.items() if isinstance(event, type_)), None)


def first_unknown(events: Collection[Event]) -> str:
    """Return the name and the kind of the first event whose kind the host names by an unknown word."""
    return next((str(event) for event in events if isinstance(event, UnknownEvent) and event.kind is not None), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """The dates of a run's computation. `id` is None where the host has no modifiers."""

    id: int | str | None
    as_at_date: date
    fx_date: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSummary:
    """The fields of a report that schedule it.

    `key` is the primary key as text. `event_kinds` holds the kinds of its events, with None for an unknown kind; it is None
    itself if the report needs an event group and has none. `timezone` is empty where the host's applies, `overlap` where
    the setting applies. `has_incomplete_events` is True if an event lacks one of its `EVENT_NUMBERS`. `unknown_event` is as
    `first_unknown` returns it, and `event_problem` is the error of events that cannot be read. `owns_events` is as in
    `Report`. A report with a `key_problem` cannot be found again by its key, so it is never scheduled.
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
    has_incomplete_events: bool = False
    unknown_event: str = ""
    event_problem: str = ""
    owns_events: bool = False
    key_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Stands for a field that cannot be read. `error` is the exception's type: its text may hold the value."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A complete report, ready to become a payload.

    `fields` are the host's concrete fields under the host's names, without the primary key and the cron. They are JSON
    values, but for those that JSON lacks, such as bytes, and for `Unreadable` ones: these must not stay in a payload.
    `owns_events` is True if the events belong to the report itself, so that it needs no event group.
    """

    key: str
    id: int | str
    name: str
    event_group_id: int | str | None
    events: tuple[Event, ...]
    fields: Mapping[str, object] = field(default_factory=dict)
    owns_events: bool = False


def single_event_kind(
    report: str, kinds: Collection[EventKind | None] | None, *, unknown: str = "", owns_events: bool = False
) -> EventKind:
    """Return the only kind of a report's events.

    `report` names the report in errors, and `unknown` an event of an unknown kind; the others are as in `ReportSummary`.

    Raises:
        InvalidReportError: there is no group, no event, more than one kind, or an unknown kind.
    """
    if kinds is None:
        raise InvalidReportError(
            f"{report} has no event group. Choose one in the project.", code=ErrorCode.NO_EVENT_GROUP
        )
    if not kinds:
        problem = (
            "has no events. Add events to it in the project."
            if owns_events
            else "has an event group without events. Add events to the group, or choose another group."
        )
        raise InvalidReportError(f"{report} {problem}", code=ErrorCode.EMPTY_EVENT_GROUP)
    known = {kind for kind in kinds if kind is not None}
    if len(known) < len(set(kinds)):
        raise InvalidReportError(
            f"{report} has {unknown or 'an event'} that is neither a ring, a box nor a geographic area. "
            + ("Correct or replace that event." if owns_events else "Replace that event in its event group."),
            code=ErrorCode.UNKNOWN_EVENT_TYPE,
        )
    if len(known) > 1:
        names = " and ".join(sorted(kind.plural for kind in known))
        problem = f"{report} has {names}{'' if owns_events else ' in one event group'}"
        split = "Create" if owns_events else "Split the group, and create"
        raise InvalidReportError(
            f"{problem}, but Fireant accepts one type per report. {split} a report for each type.",
            code=ErrorCode.MIXED_EVENT_TYPES,
        )
    return known.pop()


def refuse_incomplete_events(report: str, events: Collection[Event]) -> None:
    """Raise `InvalidReportError` for an event that lacks a number, and name it."""
    for event in events:
        kind = kind_of(event)
        missing = [name for name in EVENT_NUMBERS.get(kind, ()) if getattr(event, name) is None] if kind else []
        if missing:
            raise incomplete_event(report, f"the event {event.id} ({event.name}) without {' and '.join(missing)}")


def incomplete_event(report: str, event: str) -> InvalidReportError:
    """Return the error of a report with such an event."""
    return InvalidReportError(
        f"{report} has {event}. Fill in the event's numbers, or remove it from the event group.",
        code=ErrorCode.INCOMPLETE_EVENT,
    )


PRIORITY_RANKS: Mapping[str, int] = {"belownormal": -10, "normal": 0, "abovenormal": 10, "high": 20}


def priority_rank(value: object) -> int:
    """Return a host's priority as a number, higher first. Numbers are kept within 16 bits; unknown words are 0."""
    if isinstance(value, int):
        return max(-32768, min(32767, value))
    return PRIORITY_RANKS.get("".join(str(value or "").replace("_", " ").split()).lower(), 0)


def describe_report(key: str, name: str) -> str:
    """Return the report's name in messages: `report 42 (Windstorm accumulation)`."""
    return printable(f"report {key} ({name})" if is_visible(name) else f"report {key}")
