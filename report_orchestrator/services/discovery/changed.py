"""Update the rows of single reports: those that a signal or a person names, and those with a new change stamp."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import Max

from report_orchestrator.models import SharedState, StateName
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.discovery.result import Discovery
from report_orchestrator.services.discovery.schedule_sync import (
    CHUNK,
    Scan,
    lock_definitions,
    retire,
    schedules_of,
    sync_chunk,
)
from report_orchestrator.services.events import database_alias
from report_orchestrator.services.upkeep_failures import UpkeepTask, recording_failure

STAMP_OVERLAP = timedelta(seconds=30)
"""A host's transaction may commit a stamp up to this long after writing it."""


def refresh(
    keys: Sequence[str],
    *,
    runtime: Runtime,
    source: ChangeSource = ChangeSource.SIGNAL,
    gone: Collection[str] | None = None,
) -> Discovery:
    """Update the rows of these reports, and retire those of `gone` that the host no longer shows; of all if it is None.

    A report that is not shown may still exist, because a manager may show only one tenant's reports.
    """
    scan = Scan(runtime=runtime, source=source)
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        # Read under the lock, so that of two readings the newer one stays, with a change stamp or without.
        with transaction.atomic(using=database_alias()):
            lock_definitions(runtime)
            summaries = list(runtime.reports.summaries(chunk))
            sync_chunk(summaries, scan)
            hidden = set(chunk) - {summary.key for summary in summaries}
            retire(sorted(hidden if gone is None else hidden.intersection(gone)), scan)
    return scan.result


def refresh_changed(*, runtime: Runtime) -> Discovery:
    """Update the rows of reports whose change stamp is newer than the newest seen: edits that sent no signal.

    A stamp written before another but committed after it would be missed. So the last `STAMP_OVERLAP` is read again,
    until that much time has passed since the newest stamp was first seen. If nothing changed, no report is read.
    """
    result = Discovery()
    if not runtime.reports.has_change_stamp:
        return result
    now = runtime.clock()
    last = _LastScan.read(now, runtime)
    if last is None:
        return result
    newest = last.newest
    stamps = runtime.reports.changed_since(last.newest if last.is_settled else last.newest - STAMP_OVERLAP)
    while batch := list(islice(stamps, CHUNK)):
        # Also those with a known stamp: two edits may have the same one, such as of whole seconds.
        keys = [key for key, _stamp in batch]
        refreshed = refresh(keys, runtime=runtime, source=ChangeSource.CHANGE_STAMP)
        result.examined += refreshed.examined
        result.changes += refreshed.changes
        # A stamp in the future must not hide all later ones.
        newest = max([newest, *(stamp for _key, stamp in batch if stamp and stamp <= now)])
    last.save_next(newest, now)
    return result


def refresh_changed_if_due(*, runtime: Runtime) -> None:
    """Call `refresh_changed` once in `CRON_SENSOR_INTERVAL_SECONDS`, over all clusters: for approaches without a sensor."""
    now = runtime.clock()
    if SharedState.objects.claim_turn(StateName.EDITS, now=now, until=now + runtime.settings.cron_sensor_interval):
        refresh_changed_at_tick(runtime=runtime)


def refresh_changed_at_tick(*, runtime: Runtime) -> None:
    """Call `refresh_changed`, and record its failure for health: nothing else shows it."""
    with recording_failure(UpkeepTask.EDITS, clock=runtime.clock):
        refresh_changed(runtime=runtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LastScan:
    """The newest change stamp, and when it was first seen. Settled once no earlier stamp can still be committed."""

    newest: datetime
    seen_at: datetime
    is_settled: bool

    @classmethod
    def read(cls, now: datetime, runtime: Runtime) -> _LastScan | None:
        """Return the stored scan; before the first one, the newest stamp that discovery stored, if any."""
        state = SharedState.objects.filter(name=StateName.CHANGE_STAMPS).first()
        if state is not None:
            # If the clock was set back since, stored instants may be in the future: use the current time instead.
            newest, seen_at = (min(datetime.fromisoformat(state.detail[name]), now) for name in ("newest", "seen_at"))
            return cls(newest=newest, seen_at=seen_at, is_settled=state.detail["is_settled"] and newest < now)
        stamp = schedules_of(runtime).aggregate(at=Max("host_updated_at"))["at"]
        return None if stamp is None else cls(newest=min(stamp, now), seen_at=now, is_settled=False)

    def save_next(self, newest: datetime, now: datetime) -> None:
        """Store the scan that began at `now`, unless it found nothing new."""
        is_new = newest > self.newest
        if self.is_settled and not is_new:
            return
        detail: dict[str, object] = {
            "newest": newest.isoformat(),
            "seen_at": (now if is_new else self.seen_at).isoformat(),
            "is_settled": not is_new and now - self.seen_at > STAMP_OVERLAP,
        }
        SharedState.objects.record(StateName.CHANGE_STAMPS, now=now, detail=detail)
