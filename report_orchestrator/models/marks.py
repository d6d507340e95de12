"""Named instants that all clusters share: when something was last done, when it is due, who holds it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField

CLOCK_SLACK = timedelta(seconds=5)
"""How far the clocks of two processes may be apart before one of them counts as having been set back."""


class MarkQuerySet(models.QuerySet["Mark"]):
    """Marks are claimed by a conditional update, so that of many askers one wins."""

    def win(self, name: str, *, now: datetime, until: datetime) -> bool:
        """Takes the turn called `name` if it is due, and puts it off until `until`. Exactly one of many callers gets True.

        A turn that was taken later than now was taken before the clock was set back, and is due too.
        """
        due = Q(due_at__lte=now) | Q(due_at__isnull=False, marked_at__gt=now + CLOCK_SLACK)
        if self.filter(due, name=name).update(due_at=until, marked_at=now):
            return True
        if self.filter(name=name).exists():
            return False
        _mark, created = self.get_or_create(name=name, defaults={"due_at": until, "marked_at": now})
        return created

    def note(self, name: str, *, now: datetime, detail: dict[str, object] | None = None) -> None:
        """Notes that something happened now."""
        noted = {"marked_at": now, "detail": detail or {}}
        if not self.filter(name=name).update(**noted):
            self.update_or_create(name=name, defaults=noted)

    def hold(self, name: str, *, now: datetime) -> None:
        """Waits for the row called `name` and keeps it until the surrounding transaction ends: a mutex over all processes.

        An update rather than a locking read, because SQLite has no row locks but does make writers queue.
        """
        if not self.filter(name=name).update(marked_at=now):
            self.get_or_create(name=name, defaults={"marked_at": now})
            self.filter(name=name).update(marked_at=now)


class Mark(models.Model):
    """One named instant."""

    name = models.CharField(_("name"), max_length=250, primary_key=True)
    due_at = InstantField(_("due"), null=True, blank=True)
    marked_at = InstantField(_("marked"), null=True, blank=True)
    detail = models.JSONField(_("detail"), default=dict)

    objects = MarkQuerySet.as_manager()

    class Meta:
        verbose_name = _("mark")
        verbose_name_plural = _("marks")

    def __str__(self) -> str:
        return self.name
