"""Read events from a function of the host, for events that no relation leads to."""

import errno
import socket
import ssl
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Any, ClassVar

from django.db import DatabaseError
from django.db.models import Model, prefetch_related_objects

from report_orchestrator.adapters.host.events.kinds import EventRelation
from report_orchestrator.adapters.host.events.reader import EventSummary, Owner, build_event
from report_orchestrator.adapters.host.values import json_value
from report_orchestrator.adapters.masked_errors import with_masked_causes
from report_orchestrator.conf import imported, load_settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import (
    EVENT_NUMBERS,
    EVENT_TYPES,
    BoxEvent,
    Event,
    EventKind,
    GeoEvent,
    RingEvent,
    UnknownEvent,
    first_unknown,
    kind_of,
)
from report_orchestrator.exceptions import InvalidReportError, TransientError

_NETWORK_ERRORS = (ConnectionError, TimeoutError, socket.gaierror, socket.herror, ssl.SSLError, HTTPException)
_UNREACHABLE = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH})
_RETRIABLE_STATUS = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedEvents:
    """An `EventReader` of the events that the function of `EVENT_SOURCE` returns for a report.

    Discovery calls it once for each report. Errors of the database and of a network are temporary and end the discovery;
    all others, such as those of a file, are the report's.
    """

    owner: ClassVar[Owner] = "pk"
    relations: ClassVar[tuple[EventRelation, ...]] = ()

    report: type[Model]
    function: str

    def verify(self) -> None:
        """Accept any model: a check of its own proves that the function can be imported."""

    def summaries_of(self, owners: Collection[object]) -> Mapping[object, EventSummary]:
        reports = self._instances(owners)
        prefetch_related_objects(reports, *getattr(self._imported(), "prefetch_related", ()))
        return {report.pk: self._summary(report) for report in reports}

    def events_of(self, owner: object) -> Iterator[Event]:
        for report in self._instances([owner]):
            yield from self._events(report)

    def _instances(self, keys: Collection[object]) -> list[Model]:
        reports = self.report._default_manager.filter(pk__in=keys)
        try:
            return list(reports)
        except DatabaseError:
            raise
        except Exception:  # noqa: BLE001 - a column that cannot be read matters only if the function reads it
            return list(reports.only("pk"))

    def _imported(self) -> Any:
        return imported("EVENT_SOURCE", self.function)

    def _summary(self, report: Model) -> EventSummary:
        try:
            events = self._events(report)
        except InvalidReportError as error:
            return EventSummary(problem=error.message)
        return EventSummary(
            kinds=frozenset(kind_of(event) for event in events),
            has_incomplete=any(_lacks_number(event) for event in events),
            unknown=first_unknown(events),
        )

    def _events(self, report: Model) -> list[Event]:
        with with_masked_causes(load_settings()[0]):
            return self._returned(report)

    def _returned(self, report: Model) -> list[Event]:
        function = self._imported()
        try:
            return [_event(given) for given in function(report)]
        except _UnfitEventError as error:
            raise self._refusal(report, f"returned {error}") from error
        except DatabaseError:
            raise
        except Exception as error:  # the text of another's exception may hold a secret
            if not (isinstance(error, OSError) and _is_of_network(error)):
                raise self._refusal(report, f"raised {type(error).__name__}") from error
            problem = f"EVENT_SOURCE {self.function} raised {type(error).__name__} for report {report.pk}."
            raise TransientError(f"{problem} Check the service that it reads.") from error

    def _refusal(self, report: Model, problem: str) -> InvalidReportError:
        return InvalidReportError(
            f"EVENT_SOURCE {self.function} {problem} for report {report.pk}. Correct the function.",
            code=ErrorCode.EVENT_SOURCE,
        )


def _is_of_network(error: BaseException | None) -> bool:
    """Return True if a network failure is the error or a cause of it: HTTP libraries wrap it in errors of their own."""
    if error is None:
        return False
    status = getattr(getattr(error, "response", error), "status_code", getattr(error, "code", None))
    return (
        isinstance(error, _NETWORK_ERRORS)
        or (isinstance(error, OSError) and error.errno in _UNREACHABLE)
        or status in _RETRIABLE_STATUS
        or _is_of_network(error.__cause__ or error.__context__)
    )


class _UnfitEventError(Exception):
    """The function returned something that is no event. The text describes it."""


def _event(given: object) -> Event:
    """Return an event of our own, for an event or a dict with the keys `id`, `kind` and those of its fields."""
    if isinstance(given, GeoEvent | RingEvent | BoxEvent | UnknownEvent):
        given = {"kind": kind_of(given), **asdict(given)}
    if not isinstance(given, Mapping):
        raise _UnfitEventError(f"a value of type {type(given).__name__}, which is neither an event nor a dict")
    for name in ("id", "kind"):
        if given.get(name) is None:
            raise _UnfitEventError(f"an event without '{name}'")
    word = str(given["kind"])
    shape: type[Any] = EVENT_TYPES[EventKind(word)] if word in tuple(EventKind) else UnknownEvent
    if shape is not UnknownEvent:
        _refuse_unfit(given, shape, word)
    return build_event(
        shape, given["id"], {str(name): json_value(value) for name, value in given.items()} | {"kind": word}
    )


def _refuse_unfit(given: Mapping[str, object], shape: type[Any], kind: str) -> None:
    unknown = {str(name) for name in given} - {*shape.__dataclass_fields__, "kind"}
    if unknown:
        raise _UnfitEventError(f"a {kind} with the unknown key '{min(unknown)}'")
    for name in EVENT_NUMBERS.get(EventKind(kind), ()):
        value = json_value(given.get(name))
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise _UnfitEventError(f"a {kind} whose '{name}' has the type {type(value).__name__}")


def _lacks_number(event: Event) -> bool:
    kind = kind_of(event)
    return kind is not None and any(getattr(event, name) is None for name in EVENT_NUMBERS.get(kind, ()))
