"""Find the host's event models: the relations to events, and a model for each kind of event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Field, Model
from django.db.models.manager import BaseManager

from report_orchestrator.adapters.host.fields import (
    field_named,
    refuse_composite_key,
    resolve_field,
    resolve_model,
    resolve_paths,
)
from report_orchestrator.adapters.host.rules import (
    EVENT_FIELDS,
    GROUP_FIELDS,
    KIND_FIELD,
    KIND_FIELDS,
    MANY_ROWS,
    FieldRule,
)
from report_orchestrator.conf import Settings
from report_orchestrator.domain.reports import EVENT_NUMBERS, EventKind
from report_orchestrator.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class KindModel:
    """The model of one kind of event, and the paths of its fields by our names.

    Only rows that match the lookups in `where` are of this kind. `nullable_numbers` are the paths of those numbers without
    which an event cannot be sent, and which may be null.
    """

    model: type[Model]
    paths: Mapping[str, str]
    nullable_numbers: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRelation:
    """A relation of the events' owner, an event group or a report, to its events.

    `paths` are those of the fields that every event has. `kind_field` is the path of the column that holds the kind.
    """

    owner: type[Model]
    name: str
    event: type[Model]
    paths: Mapping[str, str]
    kinds: Mapping[EventKind, KindModel]
    kind_field: str = ""

    @property
    def edits_matter(self) -> bool:
        """True if an edit of an event may change its kind, or leave a number empty."""
        return bool(self.kind_field) or any(kind.nullable_numbers for kind in self.kinds.values())

    def verify(self) -> None:
        """Raise `ConfigurationError` if no model is known for any kind: no report could run."""
        if self.kinds:
            return
        if self.kind_field:
            raise ConfigurationError(
                f"{self.event._meta.label} has no fields of any kind of event. Map them in EVENT_FIELDS, as "
                "{'latitude': '…', 'longitude': '…', 'radius': '…'}."
            )
        raise ConfigurationError(
            f"{self.event._meta.label} has no child models whose names contain 'geo', 'ring' or 'box'. "
            f"Set the models of your events in EVENT_MODELS, as {{'ring': '{self.event._meta.label}'}}. "
            "If a column holds the kind, name it in EVENT_KIND_FIELD."
        )


def shows_all(model: type[Model]) -> bool:
    """Return False if the model's default manager may leave rows out, such as those that are marked as deleted."""
    return type(model._default_manager).get_queryset is BaseManager.get_queryset


def find_relations(owner: type[Model], settings: Settings) -> tuple[EventRelation, ...]:
    """Follow the owner of events to its events and their kinds.

    Raises:
        ConfigurationError: a model or a field is missing or unsuitable, or several models match.
    """
    kinds = [kind for kind in EventKind if settings.event_relations.get(kind.value)]
    if not kinds:
        name = resolve_paths(owner, GROUP_FIELDS, settings.event_fields, "EVENT_FIELDS")["events"]
        relation = _relation(owner, name, "EVENT_FIELDS, as {'events': '…'}", settings)
        return (_with_column(relation, settings) if settings.event_kind_field else _with_children(relation, settings),)
    rule = FieldRule(accepted=MANY_ROWS, required=True, written=True)
    names = resolve_paths(owner, {kind.value: rule for kind in kinds}, settings.event_relations, "EVENT_RELATIONS")
    return tuple(_relation_of_kind(owner, names[kind.value], kind, settings) for kind in kinds)


def _relation(owner: type[Model], name: str, setting: str, settings: Settings) -> EventRelation:
    event: type[Model] = field_named(owner, name).related_model  # type: ignore[assignment]  # the rule proves it
    refuse_composite_key(event, setting)
    paths = resolve_paths(event, EVENT_FIELDS, settings.event_fields, "EVENT_FIELDS")
    return EventRelation(owner=owner, name=name, event=event, paths=paths, kinds={})


def _relation_of_kind(owner: type[Model], name: str, kind: EventKind, settings: Settings) -> EventRelation:
    relation = _relation(owner, name, f"EVENT_RELATIONS['{kind.value}']", settings)
    return replace(relation, kinds={kind: _with_fields(relation.event, kind, settings)})


def _with_children(relation: EventRelation, settings: Settings) -> EventRelation:
    kinds = {kind: found for kind in EventKind if (found := _kind_model(relation.event, kind, settings))}
    return replace(relation, kinds=kinds)


def _with_column(relation: EventRelation, settings: Settings) -> EventRelation:
    """Return the relation with kinds by the values of a column."""
    event, path = relation.event, settings.event_kind_field
    column = resolve_field(event, "kind", path, KIND_FIELD, "EVENT_KIND_FIELD")
    kinds = {}
    for kind, values in _values_of_kinds(settings).items():
        if settings.event_kinds or _has_a_field_of(event, kind, settings):
            _refuse_unfit_values(event, column, values)
            kinds[kind] = replace(_with_fields(event, kind, settings), where={f"{path}__in": values})
    return replace(relation, kinds=kinds, kind_field=path)


def _values_of_kinds(settings: Settings) -> Mapping[EventKind, list[str]]:
    """Return the column's values for each kind; by default the kind's own name."""
    values: dict[EventKind, list[str]] = {}
    for value, word in (settings.event_kinds or {kind.value: kind.value for kind in EventKind}).items():
        if word not in tuple(EventKind):
            known = ", ".join(EventKind)
            raise ConfigurationError(
                f"EVENT_KINDS maps '{value}' to '{word}', which is not a kind. Use one of {known}."
            )
        values.setdefault(EventKind(word), []).append(value)
    return values


def _has_a_field_of(event: type[Model], kind: EventKind, settings: Settings) -> bool:
    known = {column.name for column in event._meta.get_fields()}
    return any(name in known or settings.event_fields.get(name) for name in KIND_FIELDS[kind])


def _refuse_unfit_values(event: type[Model], column: Field[Any, Any], values: list[str]) -> None:
    for value in values:
        try:
            column.to_python(value)
        except ValidationError as error:
            raise ConfigurationError(
                f"{event._meta.label}.{column.name} is a {type(column).__name__}, which cannot hold '{value}'. "
                "Map its values to kinds in EVENT_KINDS, as {'1': 'ring'}."
            ) from error


def _kind_model(event: type[Model], kind: EventKind, settings: Settings) -> KindModel | None:
    """Return the model of one kind: named by the settings, or else the only candidate. None if there is none."""
    if kind.value in settings.event_models:
        label = settings.event_models[kind.value]
        return _named(event, kind, label, settings) if label else None
    candidates = list(_candidates(event, kind))
    if not candidates:
        return None
    labels = sorted(model._meta.label for model in candidates)
    choose = f"EVENT_MODELS, as {{'{kind.value}': '{labels[0]}'}}, or as {{'{kind.value}': ''}} if you have none"
    if len(candidates) > 1:
        names = " and ".join(labels)
        raise ConfigurationError(f"The names of {names} contain '{kind.value}'. Name the model in {choose}.")
    try:
        return _with_fields(candidates[0], kind, settings)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The name of {candidates[0]._meta.label} contains '{kind.value}'. {error.message} "
            "If it is another kind of event, name the model in EVENT_MODELS, as "
            f"{{'{kind.value}': 'app_label.ModelName'}}, or as {{'{kind.value}': ''}} if you have none."
        ) from error


def _candidates(event: type[Model], kind: EventKind) -> Iterator[type[Model]]:
    """Yield the child models of events whose class name contains the kind. A proxy has no rows of its own."""
    for model in apps.get_models():
        if event in model._meta.parents and not model._meta.proxy and kind.value in model.__name__.lower():
            yield model


def _named(event: type[Model], kind: EventKind, label: str, settings: Settings) -> KindModel:
    model = resolve_model(label, f"EVENT_MODELS['{kind.value}']")
    if model._meta.proxy or not issubclass(model, event._meta.concrete_model or event):
        raise ConfigurationError(
            f"{model._meta.label} is not a child model of {event._meta.label}. Correct EVENT_MODELS['{kind.value}']."
        )
    return _with_fields(model, kind, settings)


def _with_fields(model: type[Model], kind: EventKind, settings: Settings) -> KindModel:
    """Return the model with the paths of its fields. A geographic area needs at least one of its four."""
    own = resolve_paths(model, KIND_FIELDS[kind], settings.event_fields, "EVENT_FIELDS")
    if not own:
        names = ", ".join(KIND_FIELDS[kind])
        raise ConfigurationError(f"{model._meta.label} has none of the fields {names}. Name one in EVENT_FIELDS.")
    numbers = [own[name] for name in EVENT_NUMBERS.get(kind, ())]
    nullable = tuple(path for path in numbers if "__" in path or field_named(model, path).null)
    return KindModel(model=model, paths=own, nullable_numbers=nullable)
