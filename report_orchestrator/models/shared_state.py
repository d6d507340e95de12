"""Named rows that all processes share: when something last happened, when its next turn is due, and its details."""

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager
from report_orchestrator.models.upsert import upsert

CLOCK_SLACK = timedelta(seconds=5)
"""Two processes' clocks may differ by this much before a later `marked_at` counts as a clock that was set back."""

TURN_PREFIX = "bell: "
CLUSTER_PREFIX = "cluster: "
MESSAGE_PREFIX = "message: "
FAILURE_PREFIX = "failed: "


class StateName(StrEnum):
    """The primary keys in use. Turns of ticks are `TURN_PREFIX` and the task's dotted path;
    clusters that tick report under `CLUSTER_PREFIX` and their id, with `ended` in the detail once they have stopped;
    slots of messages that wait in the queue are `MESSAGE_PREFIX` and a number; failures of upkeep are `FAILURE_PREFIX` and
    the task."""

    SCHEDULING = "scheduling since"
    CLOCK = "clock"
    EVALUATIONS = "evaluations"
    EDITS = "edits: next look"
    TICK = "tick"
    WORKER = "worker"
    RUNS_ADVANCED = "progress: runs"
    POLLS_DONE = "progress: polls"
    TIMES_DECIDED = "progress: due times"
    POLLER = "poller"
    DISCOVERY = "discovery"
    DISCOVERY_LEASE = "discovery: lease"
    CHANGE_STAMPS = "change stamps"
    SCHEDULES = "schedules"
    ALL_PAUSED = "paused: all"
    CIRCUIT = "circuit: fireant"
    PRUNING = "prune"
    TEMP_FILES = "sweep"
    DISCOVERY_LOCK = "mutex: discovery"
    LIMITS_LOCK = "mutex: fireant gate"
    JOB_RECORD_LOCK = "mutex: job record"
    MODIFIER_LOCK = "mutex: modifier"


class SharedStateQuerySet(models.QuerySet["SharedState"]):
    """Writes that stay correct when several processes make them at once."""

    def claim_turn(self, name: str, *, now: datetime, until: datetime) -> bool:
        """Return True if the turn `name` was due, and postpone it until `until`. Exactly one of many callers gets True.

        A turn claimed later than now was claimed before the clock was set back, and is due too.
        """
        due = Q(due_at__lte=now) | Q(due_at__isnull=False, marked_at__gt=now + CLOCK_SLACK)
        if self.filter(due, name=name).update(due_at=until, marked_at=now):
            return True
        if self.filter(name=name).exists():
            return False
        return self.get_or_create(name=name, defaults={"due_at": until, "marked_at": now})[1]

    def record(self, name: str, *, now: datetime, detail: dict[str, object] | None = None) -> None:
        """Write that something happened now, with its details in place of the earlier ones."""
        values = {"marked_at": now, "detail": detail or {}}
        if not self.filter(name=name).update(**values):
            upsert(SharedState(name=name, **values), update=list(values))

    def lock(self, name: str, *, now: datetime) -> None:
        """Wait for the row `name` and lock it until the surrounding transaction ends: a mutex across processes.

        An update rather than a locking read, because SQLite has no row locks but does make writers queue.
        """
        if not self.filter(name=name).update(marked_at=now):
            upsert(SharedState(name=name, marked_at=now), update=["marked_at"])


class SharedState(models.Model):
    name = models.CharField(_("name"), max_length=250, primary_key=True)
    due_at = InstantField(_("due"), null=True, blank=True)
    marked_at = InstantField(_("last recorded"), null=True, blank=True)
    detail = models.JSONField(_("details"), default=dict)

    objects = PrimaryManager.from_queryset(SharedStateQuerySet)()

    class Meta:
        base_manager_name = "objects"
        db_table = "report_orchestrator_mark"
        verbose_name = _("shared state")
        verbose_name_plural = _("shared states")

    def __str__(self) -> str:
        return self.name
