"""Single reports brought in step: those that a signal or a person names, and those with a new change stamp."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeAlias

from django.db import transaction
from django.db.models import Max

from report_orchestrator.models import Mark
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import database
from report_orchestrator.services.edits import CHUNK, bring_in_step, hold_mutex, retire, rows_of
from report_orchestrator.services.found import Discovery

STAMP_MARK = "change stamps"
STAMP_OVERLAP = timedelta(seconds=30)
"""How long a host's transaction may take to commit a stamp that it has already written."""


_Pair: TypeAlias = tuple[str, datetime | None]


def refresh(keys: Sequence[str], *, ports: Ports, source: ChangeSource = ChangeSource.SIGNAL) -> Discovery:
    """Brings single reports in step, and retires those of them that the host no longer has."""
    found = Discovery()
    for start in range(0, len(keys), CHUNK):
        _refresh_chunk(keys[start : start + CHUNK], ports, found, source)
    return found


def _refresh_chunk(keys: Sequence[str], ports: Ports, found: Discovery, source: ChangeSource) -> None:
    """Read while nobody else may write, so that of two readings the newer one stands, with a change stamp or without."""
    with transaction.atomic(using=database()):
        hold_mutex(ports)
        summaries = list(ports.reports.summaries(keys))
        bring_in_step(summaries, ports, found, source)
        retire(sorted(set(keys) - {summary.key for summary in summaries}), ports, found, source)


def refresh_changed(*, ports: Ports) -> Discovery:
    """Brings in step the reports whose change stamp is newer than the newest seen: edits that sent no signal.

    A stamp that was written before another but committed after it would be missed, so until a look that came well after the
    newest stamp was first seen, a little of the past is looked at again. Where nothing changed, no report is read.
    """
    found = Discovery()
    if not ports.reports.has_change_stamp:
        return found
    now = ports.clock()
    seen = _Seen.last(now, ports)
    if seen is None:
        return found
    newest = seen.newest
    for pairs in _batches(ports.reports.changed_since(seen.look_from)):
        keys = _unknown(pairs, ports)
        refreshed = refresh(keys, ports=ports, source=ChangeSource.CHANGE_STAMP)
        found.examined += refreshed.examined
        found.changes += refreshed.changes
        # A stamp from the future must not blind us to all others.
        newest = max([newest, *(stamp for _key, stamp in pairs if stamp and stamp <= now)])
    seen.note(newest, now)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The newest change stamp that was seen, when that was, and whether a look came so much later that none can follow it."""

    newest: datetime
    seen_at: datetime
    is_settled: bool

    @classmethod
    def last(cls, now: datetime, ports: Ports) -> _Seen | None:
        """What the last look noted; before the first one what discovery saw, if anything."""
        mark = Mark.objects.filter(name=STAMP_MARK).first()
        if mark is not None:
            newest, seen_at = (datetime.fromisoformat(mark.detail[name]) for name in ("newest", "seen_at"))
            return cls(newest=newest, seen_at=seen_at, is_settled=mark.detail["is_settled"])
        stamp = rows_of(ports).aggregate(at=Max("host_updated_at"))["at"]
        return None if stamp is None else cls(newest=min(stamp, now), seen_at=now, is_settled=False)

    @property
    def look_from(self) -> datetime:
        """Stamps later than this are looked at."""
        return self.newest if self.is_settled else self.newest - STAMP_OVERLAP

    def note(self, newest: datetime, now: datetime) -> None:
        """Remembers a look that began `now`; writes nothing where nothing is new."""
        is_new = newest > self.newest
        settles = not self.is_settled and not is_new and now - self.seen_at > STAMP_OVERLAP
        if self.is_settled and not is_new:
            return
        detail: dict[str, object] = {
            "newest": newest.isoformat(),
            "seen_at": (now if is_new else self.seen_at).isoformat(),
            "is_settled": settles,
        }
        Mark.objects.note(STAMP_MARK, now=now, detail=detail)


def _batches(pairs: Iterator[_Pair]) -> Iterator[list[_Pair]]:
    while batch := list(islice(pairs, CHUNK)):
        yield batch


def _unknown(pairs: Sequence[_Pair], ports: Ports) -> list[str]:
    """Those that we do not know with this very stamp."""
    rows = rows_of(ports).filter(report_key__in=[key for key, _stamp in pairs])
    known = dict(rows.values_list("report_key", "host_updated_at"))
    return [key for key, stamp in pairs if stamp is None or known.get(key) != stamp]
