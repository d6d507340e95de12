"""Read the host's reports through its ORM and routers.

Every query uses the model's own manager, so the host's router chooses the database; no query joins our tables to the
host's. Source for the host's models: `schematics/host-project.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from itertools import islice
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.db.models import Field, Model, QuerySet

from report_orchestrator.adapters.host.changes.collector import ChangeCollector
from report_orchestrator.adapters.host.changes.signals import HostSignals
from report_orchestrator.adapters.host.editors import editors_in_log
from report_orchestrator.adapters.host.events.reader import EventReader, EventSummary
from report_orchestrator.adapters.host.events.shapes import event_reader
from report_orchestrator.adapters.host.fields import field_named, refuse_composite_key, resolve_model, resolve_paths
from report_orchestrator.adapters.host.keys import Keys
from report_orchestrator.adapters.host.modifiers import HostModifiers
from report_orchestrator.adapters.host.rules import REPORT_FIELDS
from report_orchestrator.adapters.host.timestamps import certain_stamp, host_stamp, later_than
from report_orchestrator.adapters.host.values import field_value, json_key, text_of
from report_orchestrator.conf import Settings
from report_orchestrator.domain.payload import OWN_NAMES
from report_orchestrator.domain.reports import Modifier, Report, ReportSummary, priority_rank
from report_orchestrator.exceptions import ReportNotFoundError

CHUNK = 1000

_NO_EVENTS = EventSummary()


class HostReports:
    """A `ReportSource` over the models named by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _model(self) -> type[Model]:
        return resolve_model(self._settings.report_model, "REPORT_MODEL")

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        """Our names mapped to the host's paths, for the fields that the host has."""
        return resolve_paths(self._model, REPORT_FIELDS, self._settings.report_fields, "REPORT_FIELDS")

    @cached_property
    def _columns(self) -> Mapping[str, str]:
        """The paths to read. A group is known by its primary key, whatever the relation's own column holds."""
        group = self._paths.get("event_group")
        return {**self._paths, "event_group": f"{group}__pk"} if group else self._paths

    @cached_property
    def _fields(self) -> Mapping[str, Field[Any, Any]]:
        return {name: field_named(self._model, path) for name, path in self._paths.items()}

    @cached_property
    def _keys(self) -> Keys:
        return Keys(model=self._model)

    @cached_property
    def _events(self) -> EventReader:
        return event_reader(self._model, self._paths.get("event_group", ""), self._settings)

    def verify(self) -> None:
        """Raise `ConfigurationError` if the settings name a missing or unsuitable model or field."""
        refuse_composite_key(self._model, "REPORT_MODEL")
        self._events.verify()

    def signals(self, collector: ChangeCollector) -> HostSignals:
        """Return the listener to the reports, their groups and events.

        Raises:
            ConfigurationError: the settings name a missing or unsuitable model or field.
        """
        events = self._events
        owner = self._columns.get(events.owner, "pk")
        return HostSignals(report=self._model, owner=owner, relations=events.relations, collector=collector)

    def overwritten_fields(self) -> list[str]:
        """Return the fields of reports whose names the payload uses itself."""
        return [name for name in self._sent_fields if name in OWN_NAMES]

    @property
    def label(self) -> str:
        """The report model's label, `app.Model`."""
        return str(self._model._meta.label)

    @property
    def has_change_stamp(self) -> bool:
        """True if the host's reports have an `updated` field."""
        return "updated" in self._paths

    def editors(self, edited_at: Mapping[str, datetime]) -> Mapping[str, str]:
        """Return who edited reports at about these instants, by key, as far as the admin's log knows."""
        return editors_in_log(self._model, edited_at)

    def public_id(self, key: str) -> int | str:
        """Return a report's key as the host writes it in JSON; the text itself if it cannot be a key."""
        value = self._keys.value(key)
        return key if value is None else json_key(value)

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        """Stream all reports, or those with the given keys, ordered by primary key."""
        reports = self._model._default_manager.order_by("pk")
        if keys is None:
            yield from self._stream(reports)
            return
        for start in range(0, len(keys), CHUNK):
            chunk = self._keys.values(keys[start : start + CHUNK])
            yield from self._stream(reports.filter(pk__in=chunk))

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        """Yield keys and `updated` of the reports changed after `stamp`; also of those whose order is ambiguous."""
        if not self.has_change_stamp:
            return
        path = self._paths["updated"]
        # No order: a sort by key would have the database walk all reports by their key, even to find none.
        later = self._model._default_manager.filter(**{f"{path}__gt": later_than(stamp)}).order_by()
        for key, updated in later.values_list("pk", path).iterator(chunk_size=CHUNK):
            yield str(key), certain_stamp(updated)

    def _stream(self, reports: QuerySet[Any]) -> Iterator[ReportSummary]:
        rows = reports.values_list("pk", *self._columns.values()).iterator(chunk_size=CHUNK)
        events: dict[object, EventSummary] = {}
        owner, names = self._events.owner, ("pk", *self._columns)
        while chunk := list(islice(rows, CHUNK)):
            named = [dict(zip(names, row, strict=True)) for row in chunk]
            if owner == "pk":
                events.clear()  # later reports have others
            wanted = {row[owner] for row in named} - events.keys() - {None}
            if wanted:
                events.update(self._events.summaries_of(wanted))
            yield from (self._summary(row, row[owner], events) for row in named)

    def _summary(self, row: Mapping[str, Any], owner: object, events: Mapping[object, EventSummary]) -> ReportSummary:
        of_owner = events.get(owner, _NO_EVENTS)
        return ReportSummary(
            key=str(row["pk"]),
            name=self._text(row, "name"),
            cron=self._text(row, "cron"),
            enabled=bool(row.get("enabled", True)),
            timezone=self._text(row, "timezone"),
            priority=priority_rank(row.get("priority")),
            overlap=_overlap(self._text(row, "overlap")),
            updated_at=host_stamp(row.get("updated")),
            event_kinds=None if owner is None else of_owner.kinds,
            has_incomplete_events=of_owner.has_incomplete,
            unknown_event=of_owner.unknown,
            event_problem=of_owner.problem,
            owns_events=self._events.owner == "pk",
            key_problem=self._keys.problem(row["pk"]),
        )

    def _text(self, row: Mapping[str, Any], name: str) -> str:
        """Return a text without blanks at its ends, and with one space for each run of blanks within."""
        return " ".join(text_of(self._fields[name], row[name]).split()) if name in row else ""

    def load(self, key: str) -> Report:
        """Return a complete report with its events."""
        pk = self._keys.value(key)
        columns = {name: self._columns[name] for name in ("name", "event_group") if name in self._columns}
        of_key = self._model._default_manager.filter(pk=pk)
        values = None if pk is None else of_key.values_list("pk", *columns.values()).first()
        if values is None:
            raise ReportNotFoundError(
                f"Report {key} does not exist in {self.label}. It may have been deleted; check the ID."
            )
        row = dict(zip(("pk", *columns), values, strict=True))
        group, owner = row.get("event_group"), row[self._events.owner]
        return Report(
            key=key,
            id=json_key(row["pk"]),
            name=self._text(row, "name"),
            event_group_id=None if group is None else json_key(group),
            events=() if owner is None else tuple(self._events.events_of(owner)),
            fields=self._values(of_key),
            owns_events=self._events.owner == "pk",
        )

    def _values(self, report: QuerySet[Any]) -> dict[str, object]:
        """Return the report's fields for the payload. Where the row cannot be read whole, each field is read alone."""
        try:
            instance = report.get()
        except (DatabaseError, ObjectDoesNotExist):
            raise
        except Exception:  # noqa: BLE001 - a field that cannot be read is named by `field_value`
            instance = report.select_related(None).only("pk").get()
        return {name: field_value(field, instance) for name, field in self._sent_fields.items()}

    @cached_property
    def _sent_fields(self) -> Mapping[str, Field[Any, Any]]:
        """Every concrete field but the primary key and the cron, by its own name."""
        left_out = {self._model._meta.pk.name, self._paths["cron"]}
        return {field.name: field for field in self._model._meta.concrete_fields if field.name not in left_out}

    def modifier_for(self, key: str, run_date: date, *, create: bool = True) -> Modifier:
        """Return the modifier of a run date: the report's own, the date's shared one, or a new one; linked to the
        report.
        """
        if not self._settings.modifier_model:
            return Modifier(id=None, as_at_date=run_date, fx_date=run_date)
        modifiers = HostModifiers.of(self._model, self._settings)
        return modifiers.for_report(key, run_date) if create else modifiers.preview(key, run_date)


def _overlap(word: str) -> str:
    """Return the report's own policy; an empty text leaves it to the setting."""
    word = word.lower()
    return word if word in {"skip", "queue", "allow"} else ""
