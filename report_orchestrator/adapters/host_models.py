"""The host's reports, through the ORM and its routers.

Every query goes through the model's own manager, so the host's router chooses the database; nothing here joins ours to the
host's. Source of what a host has: `schematics/host-project.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import Model, QuerySet

from report_orchestrator.adapters.host_clock import certain_stamp, host_stamp, later_than
from report_orchestrator.adapters.host_fields import (
    REPORT_FIELDS,
    EventModels,
    json_value,
    present_paths,
    resolve_model,
)
from report_orchestrator.adapters.host_signals import Changed, HostSignals
from report_orchestrator.conf import Settings
from report_orchestrator.domain.reports import (
    Event,
    EventKind,
    Json,
    Modifier,
    Report,
    ReportSummary,
    priority_rank,
)
from report_orchestrator.exceptions import ReportNotFoundError
from report_orchestrator.models import Mark

CHUNK = 1000
MODIFIER_MUTEX = "mutex: modifier"

MODIFIER_FIELDS: Mapping[str, bool] = {"as_at_date": True, "fx_date": True, "reports": True}
"""Our names of a modifier's fields, and whether a host must have them."""


class HostReports:
    """A `ReportSource` over the models that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _model(self) -> type[Model]:
        return resolve_model(self._settings.report_model, "REPORT_MODEL")

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        """Our names -> the host's paths, for those that the host has."""
        return present_paths(self._model, REPORT_FIELDS, self._settings.report_fields, "REPORT_FIELDS")

    @cached_property
    def _events(self) -> EventModels | None:
        if "event_group" not in self._paths:
            return None
        return EventModels.of(self._model, self._paths["event_group"], self._settings)

    def verify(self) -> None:
        """Raises `ConfigurationError` where the settings name a model or a field that is not there."""
        _ = self._paths, self._events

    def signals(self, changed: Changed) -> HostSignals | None:
        """Who listens to the groups and events of the reports; None where the reports have no event group.

        Raises:
            ConfigurationError: the settings name a model or a field that is not there.
        """
        if self._events is None:
            return None
        return HostSignals(
            report=self._model, group_path=self._paths["event_group"], events=self._events, changed=changed
        )

    @property
    def label(self) -> str:
        """The report model's label, `app.Model`."""
        return str(self._model._meta.label)

    @property
    def has_change_stamp(self) -> bool:
        """Whether the host's reports have an `updated` field."""
        return "updated" in self._paths

    def public_id(self, key: str) -> int | str:
        """A report's key as the host would write it in JSON; the text itself where it cannot be a key."""
        keys = self._well_formed([key])
        return json_key(keys[0]) if keys else key

    def summaries(self, keys: Sequence[str] | None = None) -> Iterator[ReportSummary]:
        """All reports or some, streamed in the order of their primary keys."""
        reports = self._model._default_manager.order_by("pk")
        if keys is None:
            yield from self._stream(reports)
            return
        for start in range(0, len(keys), CHUNK):
            chunk = self._well_formed(keys[start : start + CHUNK])
            yield from self._stream(reports.filter(pk__in=chunk))

    def changed_since(self, stamp: datetime) -> Iterator[tuple[str, datetime | None]]:
        """The keys of the reports whose `updated` is later than `stamp`, each with it, and those that may be."""
        if not self.has_change_stamp:
            return
        path = self._paths["updated"]
        # No order: a sort by key would have the database walk all reports by their key, even to find none.
        later = self._model._default_manager.filter(**{f"{path}__gt": later_than(stamp)}).order_by()
        for key, updated in later.values_list("pk", path).iterator(chunk_size=CHUNK):
            yield str(key), certain_stamp(updated)

    def _well_formed(self, keys: Iterable[str]) -> list[object]:
        """The keys that can be a primary key of this model at all; the others cannot name a report."""
        primary_key = self._model._meta.pk
        found = []
        for key in keys:
            try:
                value = primary_key.to_python(key)
                primary_key.run_validators(value)
                found.append(value)
            except (ValidationError, ValueError, TypeError):
                continue
        return found

    def _stream(self, reports: QuerySet[Any]) -> Iterator[ReportSummary]:
        rows = reports.values_list("pk", *self._paths.values()).iterator(chunk_size=CHUNK)
        kinds: dict[object, frozenset[EventKind | None]] = {}
        while chunk := list(islice(rows, CHUNK)):
            named = [dict(zip(("pk", *self._paths), row, strict=True)) for row in chunk]
            self._learn_kinds(named, kinds)
            yield from (self._summary(row, kinds) for row in named)

    def _learn_kinds(
        self, rows: Sequence[Mapping[str, Any]], kinds: dict[object, frozenset[EventKind | None]]
    ) -> None:
        """Looks up which kinds of events the groups of these reports hold, each group once."""
        if self._events is None:
            return
        wanted = {row["event_group"] for row in rows} - kinds.keys() - {None}
        if wanted:
            kinds.update(self._events.kinds_of(wanted))

    def _summary(
        self, row: Mapping[str, Any], kinds: Mapping[object, frozenset[EventKind | None]]
    ) -> ReportSummary:
        enabled = row.get("enabled", True)
        group = row.get("event_group")
        return ReportSummary(
            key=str(row["pk"]),
            name=str(row.get("name") or ""),
            cron=" ".join(str(row.get("cron") or "").split()),
            enabled=bool(enabled),
            timezone=str(row.get("timezone") or ""),
            priority=priority_rank(row.get("priority")),
            overlap=_overlap(row.get("overlap")),
            updated_at=host_stamp(row.get("updated")),
            event_kinds=None if group is None else kinds.get(group, frozenset()),
        )

    def load(self, key: str) -> Report:
        """One report whole, with its events."""
        report = self._get(key)
        group_key = self._value(report, "event_group")
        events: tuple[Event, ...] = ()
        if group_key is not None and self._events is not None:
            events = tuple(self._events.events_of(group_key))
        return Report(
            key=key,
            id=json_key(report.pk),
            name=str(self._value(report, "name") or ""),
            event_group_id=None if group_key is None else json_key(group_key),
            events=events,
            fields=self._concrete_fields(report),
        )

    def _get(self, key: str) -> Model:
        report = self._model._default_manager.filter(pk__in=self._well_formed([key])).first()
        if report is None:
            raise ReportNotFoundError(
                f"There is no report {key} in {self.label}. It may have been deleted; check the id."
            )
        return report

    def _value(self, report: Model, name: str) -> Any:
        """A field's value; of a relation the key, without a look at the row that it leads to."""
        *relations, last = self._paths.get(name, "").split("__")
        value: Any = report
        for part in relations:
            value = getattr(value, part, None)
        if not last or value is None:
            return None
        return getattr(value, getattr(value._meta.get_field(last), "attname", last))

    def _concrete_fields(self, report: Model) -> dict[str, Json]:
        """Every concrete field but the primary key and the cron, under its own name."""
        left_out = {self._model._meta.pk.name, self._paths.get("cron")}
        return {
            field.name: json_value(field.value_from_object(report), field.name)
            for field in report._meta.concrete_fields
            if field.name not in left_out
        }

    def modifier_for(self, key: str, run_date: date) -> Modifier:
        """The modifier of a run date: the report's own, or the date's shared one, or a new one; linked to the report."""
        if not self._settings.modifier_model:
            return Modifier(id=None, as_at_date=run_date, fx_date=run_date)
        return HostModifiers.of(self._settings).for_report(key, run_date)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostModifiers:
    """The host's modifiers: one for each date, shared by reports, which nothing in its database keeps single."""

    model: type[Model]
    paths: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> HostModifiers:
        """The model and the names of its fields, as the settings have them."""
        model = resolve_model(settings.modifier_model, "MODIFIER_MODEL")
        paths = present_paths(model, MODIFIER_FIELDS, settings.modifier_fields, "MODIFIER_FIELDS")
        return cls(model=model, paths=paths)

    def for_report(self, report_pk: object, run_date: date) -> Modifier:
        """Found or made; made once, since whoever makes one holds the mutex."""
        if (linked := self._linked(report_pk, run_date)) is not None:
            return self._value(linked, run_date)
        with transaction.atomic(using=router.db_for_write(Mark)):
            Mark.objects.hold(MODIFIER_MUTEX, now=datetime.now(UTC))
            found = self._linked(report_pk, run_date) or self._shared_or_new(report_pk, run_date)
        return self._value(found, run_date)

    def _of_date(self, run_date: date) -> QuerySet[Any]:
        return self.model._default_manager.filter(**{self.paths["as_at_date"]: run_date}).order_by("pk")

    def _linked(self, report_pk: object, run_date: date) -> Model | None:
        return self._of_date(run_date).filter(**{self.paths["reports"]: report_pk}).first()

    def _shared_or_new(self, report_pk: object, run_date: date) -> Model:
        with transaction.atomic(using=router.db_for_write(self.model)):
            found = self._of_date(run_date).first()
            if found is None:
                dates = {self.paths["as_at_date"]: run_date, self.paths["fx_date"]: run_date}
                found = self.model._default_manager.create(**dates)
            getattr(found, self.paths["reports"]).add(report_pk)
        return found

    def _value(self, modifier: Model, run_date: date) -> Modifier:
        return Modifier(
            id=json_key(modifier.pk),
            as_at_date=run_date,
            fx_date=getattr(modifier, self.paths["fx_date"]) or run_date,
        )


def _overlap(value: object) -> str:
    """A report's own policy; anything else than the three words leaves it to the setting."""
    word = str(value or "").strip().lower()
    return word if word in {"skip", "queue", "allow"} else ""


def json_key(key: object) -> int | str:
    """A primary key as JSON carries it: integers stay integers, everything else is text."""
    return key if isinstance(key, int) else str(key)
