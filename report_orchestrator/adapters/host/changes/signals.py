"""Listens to the host's rows that decide when and if a report runs: reports, their groups, and the groups' events."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.apps import apps
from django.db.models import ManyToManyField, Model
from django.db.models.signals import class_prepared, m2m_changed

from report_orchestrator.adapters.host.changes.collector import ChangeCollector, Changes
from report_orchestrator.adapters.host.changes.watches import (
    UID,
    EventWatch,
    GroupWatch,
    MemberWatch,
    ReportWatch,
    Watch,
    robust,
    savepoint,
)
from report_orchestrator.adapters.host.events.kinds import EventRelation
from report_orchestrator.adapters.host.fields import field_named


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSignals:
    """Connects to the host's models. `owner` is the path from a report to the key of the row that owns its events."""

    report: type[Model]
    owner: str
    relations: Sequence[EventRelation]
    collector: ChangeCollector

    def connect(self) -> None:
        """Listen to every class that shares rows with the host's models, also to those that are defined later."""
        watches: list[Watch] = [
            ReportWatch(model=self.report, **self._reporters()),
            *(watch for relation in self.relations for watch in self._event_watches(relation)),
        ]

        def connect_to(sender: type[Model], **_kwargs: object) -> None:
            for watch in watches:
                watch.connect(sender)

        for sender in apps.get_models():
            connect_to(sender)
        class_prepared.connect(connect_to, weak=False, dispatch_uid=f"{UID}.class_prepared")

    def _reporters(self) -> dict[str, Any]:
        return {"collector": self.collector, "notice": self._notice}

    def _notice(self, using: str, changes: Changes) -> None:
        self.collector.notice(using, changes, self._find_reports)

    def _event_watches(self, relation: EventRelation) -> Iterator[Watch]:
        if relation.owner is not self.report:
            yield GroupWatch(model=relation.owner, reports_of=self._reports_of, **self._reporters())
        owners_of = partial(self._owners_of, relation)
        for model in (relation.event, *(kind.model for kind in relation.kinds.values())):
            yield EventWatch(
                model=model,
                subject=relation.name,
                owners_of=owners_of,
                edits_matter=relation.edits_matter,
                **self._reporters(),
            )
        yield from self._member_watches(relation)

    def _member_watches(self, relation: EventRelation) -> Iterator[Watch]:
        declared: Any = field_named(relation.owner, relation.name)
        forward = isinstance(declared, ManyToManyField)
        field = declared if forward else declared.field
        named: dict[str, Any] = {"subject": relation.name, **self._reporters()}
        if not isinstance(field, ManyToManyField):
            yield MemberWatch(model=relation.event, link=field.name, **named)
            return
        through: Any = field.remote_field.through
        receiver = partial(self._membership, relation=relation, forward=forward)
        m2m_changed.connect(robust(receiver), sender=through, weak=False, dispatch_uid=f"{UID}.members")
        if not through._meta.auto_created:
            link = field.m2m_field_name() if forward else field.m2m_reverse_field_name()
            yield MemberWatch(model=through, link=link, **named)

    def _membership(
        self,
        *,
        instance: Model,
        action: str,
        reverse: bool,
        pk_set: Collection[Any] | None,
        using: str,
        relation: EventRelation,
        forward: bool,
        **_kwargs: object,
    ) -> None:
        """Notice the owners of events that were added or removed; `forward` if the field belongs to the owner."""
        if reverse is not forward:
            if action.startswith("post_"):
                self._notice(using, Changes(owners={instance.pk}))
        elif action == "pre_clear":  # afterwards the owners are no longer known
            with savepoint(using):
                owners = self._owners_of(relation, [instance.pk], using)
            self._notice(using, Changes(owners=set(owners)))
        elif action.startswith("post_") and pk_set:
            self._notice(using, Changes(owners=set(pk_set)))

    def _find_reports(self, changes: Changes, using: str) -> Collection[str]:
        owners = set(changes.owners)
        for relation in self.relations:
            events = [key for name, key in changes.events if name == relation.name]
            if events:
                owners |= set(self._owners_of(relation, events, using))
        return changes.reports | (set(self._reports_of(owners, using)) if owners else set())

    def _owners_of(self, relation: EventRelation, events: Collection[Any], using: str) -> Collection[Any]:
        owners = relation.owner._base_manager.using(using).filter(**{f"{relation.name}__pk__in": events})
        return list(owners.values_list("pk", flat=True))

    def _reports_of(self, owners: Collection[Any], using: str) -> Collection[str]:
        reports = self.report._base_manager.using(using).filter(**{f"{self.owner}__in": owners})
        return [str(key) for key in reports.values_list("pk", flat=True)]
