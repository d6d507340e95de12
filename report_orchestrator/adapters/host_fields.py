"""Names of the host's models and fields, resolved once, with errors that say which setting is wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Case, CharField, Field, ManyToManyField, Model, OneToOneField, Value, When
from django.utils import timezone

from report_orchestrator.conf import Settings
from report_orchestrator.domain.reports import (
    EVENT_TYPES,
    Event,
    EventBase,
    EventKind,
    Json,
    JsonScalar,
    UnknownEvent,
)
from report_orchestrator.exceptions import ConfigurationError, InvalidReportError

REPORT_FIELDS: Mapping[str, bool] = {
    "name": False,
    "cron": True,
    "event_group": True,
    "enabled": False,
    "priority": False,
    "updated": False,
    "timezone": False,
    "overlap": False,
}
"""Our names of a report's fields, and whether a host must have them."""

DEFAULT_PATHS: Mapping[str, str] = {"enabled": "is_valid", "timezone": "", "overlap": ""}
"""Where the host's usual name is not ours. A time zone and an overlap policy are read only from fields that the settings name."""

_NO_EVENT, _UNKNOWN = "none", "unknown"


def resolve_model(label: str, setting: str) -> type[Model]:
    """The model that a setting names.

    Raises:
        ConfigurationError: it names none.
    """
    if not label:
        raise ConfigurationError(f"{setting} is not set. Name the model as 'app_label.ModelName'.")
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        labels = [model._meta.label for model in apps.get_models()]
        raise ConfigurationError(
            f"{setting} names '{label}', which is no installed model.{did_you_mean(label, labels)}"
        ) from error


def did_you_mean(word: str, known: Collection[str]) -> str:
    """` Did you mean 'x'?`, or nothing where nothing is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def field_named(model: type[Model], path: str) -> Field[Any, Any]:
    """The field at the end of a path such as `scope__group`.

    Raises:
        FieldDoesNotExist: a part of the path is no field.
    """
    *relations, last = path.split("__")
    for name in relations:
        related = model._meta.get_field(name).related_model
        if not isinstance(related, type):
            raise FieldDoesNotExist(f"{model._meta.label}.{name} leads to no other model")
        model = related
    return model._meta.get_field(last)  # type: ignore[return-value]  # relations are accepted too


def present_paths(
    model: type[Model], names: Mapping[str, bool], renamed: Mapping[str, str], setting: str
) -> Mapping[str, str]:
    """Our names -> the paths to the host's fields, leaving out optional ones that the host lacks.

    Raises:
        ConfigurationError: a required field, or one that the settings name, is not there.
    """
    paths = {}
    for name, required in names.items():
        path = renamed.get(name, DEFAULT_PATHS.get(name, name))
        if path and _exists(model, path):
            paths[name] = path
        elif required or renamed.get(name):
            known = [field.name for field in model._meta.get_fields()]
            raise ConfigurationError(
                f"{model._meta.label} has no field '{path}' for '{name}'.{did_you_mean(path, known)} "
                f"Name it in {setting}, as {{'{name}': '…'}}."
            )
    return paths


def _exists(model: type[Model], path: str) -> bool:
    try:
        field_named(model, path)
    except FieldDoesNotExist:
        return False
    return True


def json_value(value: object, field: str) -> Json:
    """A column's value as JSON carries it: dates and times in ISO 8601, decimals as numbers, keys as text.

    Raises:
        InvalidReportError: the value has no form in JSON.
    """
    match value:
        case dict():
            return {str(name): json_value(item, field) for name, item in value.items()}
        case list() | tuple():
            return [json_value(item, field) for item in value]
        case bytes() | bytearray() | memoryview():
            raise InvalidReportError(
                f"The report's field '{field}' holds bytes, which Fireant cannot be sent. "
                "Leave it out with a PAYLOAD_BUILDER of your own.",
                code="invalid_payload",
            )
        case float() | Decimal() if not math.isfinite(value):
            raise InvalidReportError(
                f"The report's field '{field}' is {value}, which JSON does not know. Correct it on the report's page.",
                code="invalid_payload",
            )
        case _:
            return _json_scalar(value)


def _json_scalar(value: object) -> JsonScalar:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return (timezone.make_aware(value) if timezone.is_naive(value) else value).isoformat()
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case timedelta():
            return value.total_seconds()
        case _:
            return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventModels:
    """Where the host keeps events: a group, its events, and a child model for each kind."""

    group: type[Model]
    event: type[Model]
    events_field: str
    groups_query: str
    children: Mapping[EventKind, type[Model]]
    renamed: Mapping[str, str]

    @classmethod
    def of(cls, report: type[Model], group_path: str, settings: Settings) -> EventModels:
        """Follows the report's group to its events and their kinds.

        Raises:
            ConfigurationError: the group has no events field, or a kind's model cannot be found.
        """
        group = _related(field_named(report, group_path), f"{report._meta.label}.{group_path}")
        events_field = settings.event_fields.get("events", "events")
        if not _exists(group, events_field):
            raise ConfigurationError(
                f"{group._meta.label} has no field '{events_field}' of events. Name it in EVENT_FIELDS, as {{'events': '…'}}."
            )
        relation = field_named(group, events_field)
        event = _related(relation, f"{group._meta.label}.{events_field}")
        children = {kind: model for kind in EventKind if (model := _child(event, kind, settings))}
        _refuse_missing_fields(event, children, settings.event_fields)
        return cls(
            group=group,
            event=event,
            events_field=events_field,
            groups_query=_query_back(relation),
            children=children,
            renamed=settings.event_fields,
        )

    def kinds_of(self, groups: Collection[object]) -> Mapping[object, frozenset[EventKind | None]]:
        """The kinds of events that each group holds: one query, one row for each group and kind."""
        found: dict[object, set[EventKind | None]] = {group: set() for group in groups}
        rows = (
            self.group._default_manager.filter(pk__in=groups)
            .annotate(_kind=self._kind_case())
            .order_by()
            .values_list("pk", "_kind")
            .distinct()
        )
        for group, kind in rows:
            if kind != _NO_EVENT:
                found[group].add(None if kind == _UNKNOWN else EventKind(kind))
        return {group: frozenset(kinds) for group, kinds in found.items()}

    def _kind_case(self) -> Case:
        whens = [When(**{f"{self.events_field}__isnull": True}, then=Value(_NO_EVENT))]
        for kind, child in self.children.items():
            path = f"{self.events_field}__{_link_to(child, self.event)}__isnull"
            whens.append(When(**{path: False}, then=Value(kind.value)))
        return Case(*whens, default=Value(_UNKNOWN), output_field=CharField())

    def events_of(self, group: object) -> Iterator[Event]:
        """A group's events, whole, in the order of their keys."""
        events: dict[Any, Event] = {
            pk: _event(UnknownEvent, row) for pk, row in self._rows(self.event, UnknownEvent, group)
        }
        for kind, child in self.children.items():
            typed = {
                pk: _event(EVENT_TYPES[kind], row) for pk, row in self._rows(child, EVENT_TYPES[kind], group)
            }
            events.update(typed)
        yield from events.values()

    def _rows(
        self, model: type[Model], shape: type[EventBase], group: object
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        paths = {name: path for name, path in self._paths(shape).items() if _exists(model, path)}
        of_group = model._default_manager.filter(**{self.groups_query: group}).order_by("pk")
        for pk, *values in of_group.values_list("pk", *paths.values()):
            yield pk, dict(zip(("id", *paths), (json_value(pk, "id"), *values), strict=True))

    def _paths(self, shape: type[EventBase]) -> Mapping[str, str]:
        names = [field.name for field in fields(shape) if field.name != "id"]
        return {name: self.renamed.get(name, name) for name in names}


_DEFAULTS: Mapping[str, object] = {"name": "", "description": "", "is_valid": True}


def _event(shape: type[Any], row: Mapping[str, Any]) -> Event:
    """One event from its row; common fields that a host lacks take their plain value, fields of its kind become null."""
    values = {field.name: row.get(field.name, _DEFAULTS.get(field.name)) for field in fields(shape)}
    values["name"] = values["name"] or ""
    values["description"] = values["description"] or ""
    event: Event = shape(**{name: json_value(value, name) for name, value in values.items()})
    return event


def _related(field: Any, where: str) -> type[Model]:
    related = getattr(field, "related_model", None)
    if not isinstance(related, type):
        raise ConfigurationError(f"{where} leads to no other model. Check REPORT_FIELDS and EVENT_FIELDS.")
    return related


def _query_back(relation: Any) -> str:
    """The name by which an event is filtered by its group."""
    if isinstance(relation, ManyToManyField):
        return str(relation.related_query_name())
    return str(relation.field.name)


def _refuse_missing_fields(
    event: type[Model], children: Mapping[EventKind, type[Model]], renamed: Mapping[str, str]
) -> None:
    """A field that the settings name must be there: nothing is sent to Fireant as null because of a slip of the pen."""
    common = {field.name for field in fields(EventBase)}
    for kind, child in children.items():
        own = {field.name for field in fields(EVENT_TYPES[kind])} - common
        _link_to(child, event)
        for name in renamed.keys() & (own | common):
            model = event if name in common else child
            if not _exists(model, renamed[name]):
                known = [field.name for field in model._meta.get_fields()]
                raise ConfigurationError(
                    f"{model._meta.label} has no field '{renamed[name]}' for '{name}'.{did_you_mean(renamed[name], known)} "
                    "Correct it in EVENT_FIELDS."
                )


def _child(event: type[Model], kind: EventKind, settings: Settings) -> type[Model] | None:
    """The model of one kind: as the settings name it, or the event's child whose name says so."""
    if label := settings.event_models.get(kind.value):
        return resolve_model(label, f"EVENT_MODELS['{kind.value}']")
    children = [
        model
        for model in apps.get_models()
        if event in model._meta.parents and kind.value in model.__name__.lower()
    ]
    return children[0] if len(children) == 1 else None


def _link_to(child: type[Model], event: type[Model]) -> str:
    link = child._meta.parents.get(event)
    if not isinstance(link, OneToOneField):
        raise ConfigurationError(
            f"{child._meta.label} is not a child model of {event._meta.label}. Correct EVENT_MODELS."
        )
    return str(link.related_query_name())
