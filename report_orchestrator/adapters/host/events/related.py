"""Read events by the host's relations: from an event group or a report to one or several models of events.

Discovery and runs read the same rows: those that the default managers of the owner, of its events and of their kinds
show. Such managers leave out rows that the host counts as deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, Field, Model, Q, QuerySet, Value, When

from report_orchestrator.adapters.host.events.kinds import EventRelation, KindModel, shows_all
from report_orchestrator.adapters.host.events.reader import EventSummary, Owner, build_event
from report_orchestrator.adapters.host.fields import field_named
from report_orchestrator.adapters.host.values import column_value, json_value, text_of
from report_orchestrator.domain.reports import EVENT_TYPES, Event, EventKind, UnknownEvent

_NO_EVENT = "none"
_UNKNOWN = "unknown"
_INCOMPLETE = "incomplete "
"""Precedes the kind of an event that lacks a number."""


def _summary_of(word: str) -> EventSummary:
    """Return the summary of one event, as the SQL expression of kinds gives it."""
    if word == _NO_EVENT:
        return EventSummary()
    kind = None if word == _UNKNOWN else EventKind(word.removeprefix(_INCOMPLETE))
    return EventSummary(kinds=frozenset({kind}), has_incomplete=word.startswith(_INCOMPLETE))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedEvents:
    """An `EventReader` of the events that relations lead to."""

    owner: Owner
    relations: Sequence[EventRelation]

    def verify(self) -> None:
        for relation in self.relations:
            relation.verify()

    def summaries_of(self, owners: Collection[object]) -> Mapping[object, EventSummary]:
        """Return the summaries; a query for each relation, and one more to name events whose column has an unknown kind."""
        summaries: dict[object, EventSummary] = dict.fromkeys(owners, EventSummary())
        for relation in self.relations:
            for owner, summary in _RelationRows(relation).summaries(owners):
                # A collation may find an owner whose key is spelled in another way.
                summaries[owner] = summaries.get(owner, EventSummary()) | summary
        return summaries

    def events_of(self, owner: object) -> Iterator[Event]:
        """Yield an owner's events, ordered by relation and key."""
        for relation in self.relations:
            yield from _RelationRows(relation).events(owner)


@dataclass(frozen=True, slots=True)
class _RelationRows:
    """The rows of one relation."""

    relation: EventRelation

    def summaries(self, owners: Collection[object]) -> Iterator[tuple[object, EventSummary]]:
        """Yield an owner and a summary for each kind of its events."""
        events = f"{self.relation.name}__"
        found = self.relation.owner._default_manager.filter(pk__in=owners)
        if not shows_all(self.relation.event):
            found = found.filter(**{f"{events}pk__in": _keys(self.relation.event._default_manager.all(), "pk")})
        rows = found.annotate(_event_kind=self._kind_case(events)).order_by()
        unknown = set()
        for owner, word in rows.values_list("pk", "_event_kind").distinct():
            if word == _UNKNOWN:
                unknown.add(owner)
            yield owner, _summary_of(word)
        if unknown and self.relation.kind_field:
            yield from self._unknown(rows.filter(pk__in=unknown, _event_kind=_UNKNOWN), events)

    def _unknown(self, rows: QuerySet[Any], events: str) -> Iterator[tuple[object, EventSummary]]:
        """Yield an owner and the name of its first event of an unknown kind."""
        paths = self._common_paths
        named = set()
        columns = (f"{events}{path}" for path in paths.values())
        for owner, key, *values in rows.order_by("pk", f"{events}pk").values_list("pk", f"{events}pk", *columns):
            if owner not in named:
                named.add(owner)
                yield owner, EventSummary(unknown=str(self._unknown_event(key, values)))

    def events(self, owner: object) -> Iterator[Event]:
        """Yield an owner's events, ordered by key."""
        members = self.relation.owner._default_manager.filter(pk=owner).order_by()
        events = self.relation.event._default_manager.filter(pk__in=members.values(f"{self.relation.name}__pk"))
        typed = {kind: dict(self._rows(model, kind, events)) for kind, model in self.relation.kinds.items()}
        yield from self._all_of_known_kinds(events, typed) or self._by_kind_case(events, typed)

    def _all_of_known_kinds(
        self, events: QuerySet[Any], typed: Mapping[EventKind, Mapping[object, Event]]
    ) -> Sequence[Event] | None:
        """Return the events if each has a row of a kind; None if their kinds must be queried."""
        if not all(shows_all(kind.model) for kind in self.relation.kinds.values()):
            return None  # a hidden row of one kind may come before a shown one of another
        first_kind_wins = {key: event for kind in reversed(list(typed)) for key, event in typed[kind].items()}
        keys = list(events.order_by("pk").values_list("pk", flat=True))
        return [first_kind_wins[key] for key in keys] if first_kind_wins.keys() >= set(keys) else None

    def _by_kind_case(
        self, events: QuerySet[Any], typed: Mapping[EventKind, Mapping[object, Event]]
    ) -> Iterator[Event]:
        rows = events.annotate(_event_kind=self._kind_case("")).order_by("pk")
        for key, word, *values in rows.values_list("pk", "_event_kind", *self._common_paths.values()):
            if word == _UNKNOWN:
                yield self._unknown_event(key, values)
            elif word != _NO_EVENT and (event := typed[EventKind(word.removeprefix(_INCOMPLETE))].get(key)):
                yield event

    @property
    def _common_paths(self) -> Mapping[str, str]:
        kind = {"kind": self.relation.kind_field} if self.relation.kind_field else {}
        return {**self.relation.paths, **kind}

    def _unknown_event(self, key: object, values: Collection[object]) -> Event:
        model, paths = self.relation.event, self._common_paths
        row = _json_row(_fields(model, paths), values)
        if "kind" in paths:
            row["kind"] = text_of(field_named(model, paths["kind"]), row["kind"])
        return build_event(UnknownEvent, key, row)

    def _rows(self, kind: KindModel, name: EventKind, events: QuerySet[Any]) -> Iterator[tuple[object, Event]]:
        paths = {**self.relation.paths, **kind.paths}
        key = self._key
        rows = kind.model._default_manager.filter(**kind.where, **{f"{key}__in": _keys(events, "pk")}).order_by()
        fields = _fields(kind.model, paths)
        for pk, *values in rows.values_list(key, *paths.values()):
            yield pk, build_event(EVENT_TYPES[name], pk, _json_row(fields, values))

    def _kind_case(self, events: str) -> Case:
        """Return the SQL expression of the kind of the event that a path leads to."""
        whens = [When(**{f"{events}pk__isnull": True}, then=Value(_NO_EVENT))]
        for name, kind in self.relation.kinds.items():
            path = self._joined_path(kind)
            whens += self._shown(events, name, kind) if path is None else _joined(f"{events}{path}", name, kind)
        return Case(*whens, default=Value(_UNKNOWN), output_field=CharField())

    def _joined_path(self, kind: KindModel) -> str | None:
        """Return the path from an event to its row of a kind; None if that model hides rows, or no path leads to it.

        A join by key costs the least. The event's own rows are filtered already.
        """
        if kind.model is self.relation.event:
            return ""
        link: Any = kind.model._meta.parents.get(self.relation.event)
        joinable = link is not None and shows_all(kind.model) and not link.remote_field.hidden
        return f"{link.related_query_name()}__" if joinable else None

    def _shown(self, events: str, name: EventKind, kind: KindModel) -> Iterator[When]:
        shown = kind.model._default_manager.all()
        if kind.nullable_numbers:
            incomplete = _keys(shown.filter(_any_null(kind)), self._key)
            yield When(**{f"{events}pk__in": incomplete}, then=Value(f"{_INCOMPLETE}{name.value}"))
        yield When(**{f"{events}pk__in": _keys(shown, self._key)}, then=Value(name.value))
        if not shows_all(kind.model):
            hidden = _keys(kind.model._base_manager.all(), self._key)
            yield When(**{f"{events}pk__in": hidden}, then=Value(_NO_EVENT))

    @property
    def _key(self) -> str:
        """The events' key, by which it is known in the models of all kinds."""
        return str(self.relation.event._meta.pk.name)


def _joined(path: str, name: EventKind, kind: KindModel) -> Iterator[When]:
    """Yield the conditions of a kind whose rows are joined by this path. Only the event's own rows have a `where`."""
    is_kind = Q(**{f"{path}{lookup}": value for lookup, value in (kind.where or {"pk__isnull": False}).items()})
    if kind.nullable_numbers:
        yield When(is_kind & _any_null(kind, path), then=Value(f"{_INCOMPLETE}{name.value}"))
    yield When(is_kind, then=Value(name.value))


def _any_null(kind: KindModel, prefix: str = "") -> Q:
    return Q(*((f"{prefix}{path}__isnull", True) for path in kind.nullable_numbers), _connector=Q.OR)


def _keys(rows: QuerySet[Any], key: str) -> QuerySet[Any]:
    return rows.order_by().values(key)


def _fields(model: type[Model], paths: Mapping[str, str]) -> Mapping[str, Field[Any, Any]]:
    return {name: field_named(model, path) for name, path in paths.items()}


def _json_row(fields: Mapping[str, Field[Any, Any]], values: Collection[object]) -> dict[str, object]:
    return {
        name: json_value(column_value(field, value))
        for (name, field), value in zip(fields.items(), values, strict=True)
    }
