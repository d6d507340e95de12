"""Tables of models that a test defines, and refreshes that changes of the host request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections, models
from django.db.models.signals import class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal

from report_orchestrator.adapters.host.changes.collector import ChangeCollector
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.models import ReportSchedule, ScheduleState
from tests.host.api import models as host
from tests.support.settings_factory import SettingsFactory


@contextmanager
def tables(*created: type[models.Model]) -> Iterator[None]:
    """Create the tables of models that a test defines; afterwards forget the models and the tables between them."""
    between: list[Any] = [field.remote_field.through for model in created for field in model._meta.local_many_to_many]
    concrete = [model for model in created if not model._meta.proxy]
    with connections["reports"].schema_editor() as editor:
        for model in concrete:
            editor.create_model(model)
    try:
        yield
    finally:
        with connections["reports"].schema_editor() as editor:
            for model in reversed(concrete):
                editor.delete_model(model)
        for defined in (*created, *between):
            apps.all_models["api"].pop(str(defined._meta.model_name), None)
        apps.clear_cache()


def row_of(key: object) -> ReportSchedule:
    return ReportSchedule.objects.get(report_key=str(key))


def group_with(*events: host.Event) -> host.EventGroup:
    group = host.EventGroup.objects.create(name="group")
    group.events.set(events)
    return group


def a_ring(**given: Any) -> host.RingEvent:
    return host.RingEvent.objects.create(**{"name": "ring", "latitude": 51.5, "longitude": 0, "radius": 1} | given)


def a_report(**given: Any) -> host.Report:
    ready = {"name": "Wind", "peril": "WS", "cron": "0 6 * * *", "event_group": group_with(a_ring())}
    return host.Report.objects.create(**ready | given)


class Refreshes:
    """The refreshes that signals ask for."""

    def __init__(self) -> None:
        self.keys: list[list[str]] = []
        self.gone: set[str] = set()

    def __call__(self, keys: Any, gone: Any) -> None:
        self.keys.append(sorted(keys))
        self.gone |= set(gone)


LISTENED = (class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save)


@contextmanager
def listening(**given: object) -> Iterator[Refreshes]:
    """Listen as a process with these settings does, instead of as this one does."""
    refreshes = Refreshes()
    collector = ChangeCollector(our_alias=lambda: "default", refresh=refreshes)
    receivers = {signal: signal.receivers for signal in LISTENED}
    replace_receivers({signal: [] for signal in LISTENED})
    try:
        HostReports(SettingsFactory.make(**given)).signals(collector).connect()
        yield refreshes
    finally:
        replace_receivers(receivers)


def replace_receivers(receivers: Mapping[Signal, list[Any]]) -> None:
    for signal, those in receivers.items():
        signal.receivers = those
        signal.sender_receivers_cache.clear()


def check_edits_of(model: type[Any]) -> None:
    """Create, edit and delete a report through this class; each takes effect at once."""
    report = model.objects.create(name="Wind", peril="WS", cron="0 6 * * *", event_group=group_with(a_ring()))
    assert row_of(report.pk).cron == "0 6 * * *"
    report.cron = "0 7 * * *"
    report.save()
    assert row_of(report.pk).cron == "0 7 * * *"
    key = report.pk
    report.delete()
    assert row_of(key).state == ScheduleState.REMOVED
