"""What the host's models say when they change: reports, and the groups and events that decide whether a report can run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete

from report_orchestrator.adapters.host_fields import EventModels, field_named

Find: TypeAlias = Callable[[], Sequence[str]]
"""Which reports are concerned: their keys. Called after the host's commit."""

Changed: TypeAlias = Callable[[str, Find], None]
"""Told of every change: the alias of the host's database that it was made in, and who finds the reports."""

UID = "report_orchestrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSignals:
    """Listens to the host's models and tells `changed`; it reads no report itself before the host's commit."""

    report: type[Model]
    group_path: str
    events: EventModels
    changed: Changed

    def connect(self) -> None:
        """Listens to groups that gain or lose events, and to deletions of events and groups.

        An edit of an event is not listened to: it changes no report's schedule, and each run reads the events anew.
        """
        relation = field_named(self.events.group, self.events.events_field)
        through = getattr(getattr(relation, "remote_field", None), "through", None) or getattr(
            relation, "through", None
        )
        if through is not None:
            m2m_changed.connect(self._membership, sender=through, weak=False, dispatch_uid=f"{UID}.members")
        else:
            for model in (self.events.event, *self.events.children.values()):
                post_save.connect(
                    self._event, sender=model, weak=False, dispatch_uid=f"{UID}.{model._meta.label}"
                )
        pre_delete.connect(
            self._event, sender=self.events.event, weak=False, dispatch_uid=f"{UID}.event_deleted"
        )
        pre_delete.connect(
            self._group, sender=self.events.group, weak=False, dispatch_uid=f"{UID}.group_deleted"
        )

    def _membership(
        self,
        *,
        instance: Model,
        action: str,
        pk_set: Collection[object] | None,
        using: str,
        **_kwargs: object,
    ) -> None:
        if isinstance(instance, self.events.group):
            if action.startswith("post_"):
                self._tell([instance.pk], using)
        elif action == "pre_clear":  # afterwards nobody knows which groups these were
            self._event(instance=instance, using=using)
        elif action.startswith("post_") and pk_set:
            self._tell(list(pk_set), using)

    def _event(self, *, instance: Model, using: str, raw: bool = False, **_kwargs: object) -> None:
        if raw:
            return
        of_event = self.events.group._default_manager.using(using).filter(
            **{self.events.events_field: instance.pk}
        )
        self._tell(list(of_event.values_list("pk", flat=True)), using)

    def _group(self, *, instance: Model, using: str, **_kwargs: object) -> None:
        keys = self._reports_of([instance.pk])  # afterwards they may have no group any more
        self.changed(using, lambda: keys)

    def _tell(self, groups: Collection[object], using: str) -> None:
        if groups:
            self.changed(using, lambda: self._reports_of(groups))

    def _reports_of(self, groups: Collection[object]) -> list[str]:
        reports = self.report._default_manager.filter(**{f"{self.group_path}__in": groups})
        return [str(key) for key in reports.order_by("pk").values_list("pk", flat=True)]


def connect_reports(report: type[Model], changed: Changed) -> None:
    """Listens to saves and deletions of the host's reports; fixtures are left to the next discovery."""

    def of_report(*, instance: Any, using: str, raw: bool = False, **_kwargs: object) -> None:
        if not raw:
            key = str(instance.pk)
            changed(using, lambda: [key])

    post_save.connect(of_report, sender=report, weak=False, dispatch_uid=f"{UID}.post_save")
    post_delete.connect(of_report, sender=report, weak=False, dispatch_uid=f"{UID}.post_delete")
