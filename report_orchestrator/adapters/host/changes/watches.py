"""Receivers of signals that notice changes of the host's rows, in a class for each role: report, group, event, member.

A row may be changed through any class that shares it: a proxy, a child or a parent of the named model. Nothing here may
fail the host's save: an error is logged, and the next discovery notices the change.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from report_orchestrator.adapters.host.changes.collector import ChangeCollector, Changes
from report_orchestrator.adapters.host.events.kinds import shows_all

_logger = logging.getLogger(__name__)
UID = "report_orchestrator"


def robust(receiver: Callable[..., None]) -> Callable[..., None]:
    """Log an error of a receiver instead of raising it out of the host's save. Fixtures are left to discovery."""

    @wraps(receiver)
    def robust_receiver(*args: object, raw: bool = False, **kwargs: object) -> None:
        try:
            if not raw:
                receiver(*args, **kwargs)
        except Exception:
            _logger.exception("A change in the project was not noticed at once; the next discovery will notice it.")

    return robust_receiver


def savepoint(using: str) -> AbstractContextManager[object]:
    """Keep a failing query from breaking the host's transaction."""
    connection = connections[using]
    in_transaction = connection.in_atomic_block or not connection.get_autocommit()
    return transaction.atomic(using=using) if in_transaction else nullcontext()


def _has_rows_of(sender: type[Model], model: type[Model]) -> bool:
    """True if each row of the sender is a row of the model: the model itself, a proxy or a child."""
    concrete = sender._meta.concrete_model
    return concrete is not None and issubclass(concrete, _concrete(model))


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model


@dataclass(slots=True, kw_only=True)
class Watch:
    """Notices changes of one model's rows, whichever class makes them."""

    model: type[Model]
    collector: ChangeCollector
    notice: Callable[[str, Changes], None]
    subject: str = ""
    """Distinguishes two watches of one model."""

    def connect(self, sender: type[Model]) -> None:
        if not _has_rows_of(sender, self.model) and not issubclass(_concrete(self.model), _concrete(sender)):
            return
        uid = f"{UID}.{type(self).__name__}.{self.model._meta.label}.{self.subject}"
        pre_save.connect(self.before_save, sender=sender, weak=False, dispatch_uid=uid)
        post_save.connect(self.saved, sender=sender, weak=False, dispatch_uid=uid)
        pre_delete.connect(self.before_delete, sender=sender, weak=False, dispatch_uid=uid)

    @robust
    def before_save(self, *, instance: Model, using: str, **_kwargs: object) -> None:
        if not instance._state.adding and self._may_hide_rows:
            keys = self.keys(instance, using)
            self._forget_visible(keys)
            self.collector.visible |= self._marks(self._shown(keys, using))

    @robust
    def saved(self, *, instance: Model, using: str, created: bool, **_kwargs: object) -> None:
        keys = self.keys(instance, using)
        appeared, hidden = set(keys) if created else set[Any](), set[Any]()
        if self._may_hide_rows:
            was, shown = self._forget_visible(keys), self._shown(keys, using)
            appeared, hidden = shown - was, was - shown
        self.changed(keys, appeared=appeared, hidden=hidden, using=using)

    def _forget_visible(self, keys: Sequence[Any]) -> set[Any]:
        """Return the keys that were visible before the save."""
        was = self.collector.visible & self._marks(keys)
        self.collector.visible -= was
        return {key for _model, _subject, key in was}

    def _marks(self, keys: Iterable[Any]) -> set[tuple[type[Model], str, Any]]:
        return {(self.model, self.subject, key) for key in keys}

    @robust
    def before_delete(self, *, instance: Model, using: str, **_kwargs: object) -> None:
        self.deleting(self.keys(instance, using), using)

    def changed(self, keys: Sequence[Any], *, appeared: set[Any], hidden: set[Any], using: str) -> None:
        raise NotImplementedError

    def deleting(self, keys: Sequence[Any], using: str) -> None:
        raise NotImplementedError

    def keys(self, instance: Model, using: str) -> Sequence[Any]:
        """Return the primary keys of the model's rows that an instance of a proxy, child or parent shares."""
        model, sender = _concrete(self.model), _concrete(type(instance))
        if issubclass(sender, model):
            return [getattr(instance, model._meta.pk.attname)]
        with savepoint(using):
            rows = model._base_manager.using(using).filter(**{sender._meta.pk.name: instance.pk})
            return list(rows.values_list("pk", flat=True))

    @property
    def _may_hide_rows(self) -> bool:
        """True if the default manager may leave rows out, such as softly deleted ones."""
        return not shows_all(self.model)

    def _shown(self, keys: Sequence[Any], using: str) -> set[Any]:
        with savepoint(using):
            return set(self.model._default_manager.using(using).filter(pk__in=keys).values_list("pk", flat=True))


class ReportWatch(Watch):
    """Every save of a report is a change. A report that this save hid is gone; one hidden before may be another tenant's."""

    def connect(self, sender: type[Model]) -> None:
        super().connect(sender)
        if _has_rows_of(sender, self.model):
            uid = f"{UID}.report_deleted"
            post_delete.connect(self.deleted, sender=sender, weak=False, dispatch_uid=uid)

    def changed(self, keys: Sequence[Any], *, appeared: set[Any], hidden: set[Any], using: str) -> None:
        self.notice(using, Changes(reports=set(map(str, keys)), gone=set(map(str, hidden))))

    def deleting(self, keys: Sequence[Any], using: str) -> None:
        """Do nothing yet: `deleted` notices the report once it is gone."""

    @robust
    def deleted(self, *, instance: Model, using: str, **_kwargs: object) -> None:
        keys = set(map(str, self.keys(instance, using)))
        self.notice(using, Changes(reports=keys, gone=keys))


@dataclass(slots=True, kw_only=True)
class GroupWatch(Watch):
    """A group that is hidden or deleted leaves its reports without events. They are looked up before it is deleted."""

    reports_of: Callable[[Collection[Any], str], Collection[str]]

    def changed(self, keys: Sequence[Any], *, appeared: set[Any], hidden: set[Any], using: str) -> None:
        if appeared or hidden:
            self.notice(using, Changes(owners=appeared | hidden))

    def deleting(self, keys: Sequence[Any], using: str) -> None:
        with savepoint(using):
            reports = self.reports_of(keys, using)
        self.notice(using, Changes(reports=set(reports)))


@dataclass(slots=True, kw_only=True)
class EventWatch(Watch):
    """Events that appear or disappear, lose or gain a number, or change their kind. Other edits change no schedule, as
    runs read events anew.
    """

    owners_of: Callable[[Collection[Any], str], Collection[Any]]
    edits_matter: bool

    def changed(self, keys: Sequence[Any], *, appeared: set[Any], hidden: set[Any], using: str) -> None:
        changed = set(keys) if self.edits_matter else appeared | hidden
        if changed:
            self.notice(using, Changes(events={(self.subject, key) for key in changed}))

    def deleting(self, keys: Sequence[Any], using: str) -> None:
        with savepoint(using):
            owners = self.owners_of(keys, using)
        self.notice(using, Changes(owners=set(owners)))


@dataclass(slots=True, kw_only=True)
class MemberWatch(Watch):
    """A row with a foreign key to the owner of events: an event, or a row of the table between them."""

    link: str

    @robust
    def before_save(self, *, instance: Model, using: str, **_kwargs: object) -> None:
        if not instance._state.adding:
            self.collector.remember(using, Changes(owners=self._groups(self.keys(instance, using), using)))

    def changed(self, keys: Sequence[Any], *, appeared: set[Any], hidden: set[Any], using: str) -> None:
        groups = self._groups(keys, using)
        self.notice(using, Changes(owners=groups))

    def deleting(self, keys: Sequence[Any], using: str) -> None:
        self.changed(keys, appeared=set(), hidden=set(), using=using)

    def _groups(self, keys: Sequence[Any], using: str) -> set[Any]:
        with savepoint(using):
            rows = self.model._base_manager.using(using).filter(pk__in=keys)
            return set(rows.values_list(f"{self.link}__pk", flat=True)) - {None}
