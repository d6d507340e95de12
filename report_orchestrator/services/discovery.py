"""All reports of the host become `ReportSchedule` rows, and those that are gone are retired."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice

from report_orchestrator.domain.reports import ReportSummary, describe_report
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.models import Mark
from report_orchestrator.models.changes import ChangeSource
from report_orchestrator.ports import Ports
from report_orchestrator.services.announce import schedule_event
from report_orchestrator.services.edits import CHUNK, bring_in_step, retire, rows_of
from report_orchestrator.services.found import Acceptance, Discovery

GUARDED_SHARE = 0.2
"""A discovery that would remove more than this share of all reports waits for a person: likelier a broken router."""
GUARDED_FROM = 5
"""Fewer removals than this are never held, whatever their share."""

DISCOVERY_MARK = "discovery"
HELD_SHOWN = 50


def discover(
    *, ports: Ports, dry_run: bool = False, accept_removals: bool = False, accepted: Acceptance | None = None
) -> Discovery:
    """Reads all reports of the host and brings our rows in step. Idempotent: a second time changes nothing.

    With `dry_run` nothing is written. Removals beyond the guard are held unless `accept_removals`; `accepted` says who
    accepts them and why, for the record.

    Raises:
        NotPossibleError: other reports are gone than those that were accepted. None was removed.
    """
    found = Discovery(dry_run=dry_run)
    seen: set[str] = set()
    read_at = ports.clock()  # the host's database may show the whole stream as it was at its start
    for chunk in _chunks(ports.reports.summaries()):
        seen.update(summary.key for summary in chunk)
        bring_in_step(chunk, ports, found, ChangeSource.DISCOVERY, read_at=read_at)
    _remove_unseen(seen, ports, found, accepted if accepted or not accept_removals else Acceptance(actor=""))
    if not dry_run:
        Mark.objects.note(DISCOVERY_MARK, now=ports.clock(), detail=_summary(found) | _held(found))
    schedule_event("reports_discovered", **_summary(found))
    if accepted and found.held_removals:
        raise NotPossibleError(
            "Other reports are gone from the project now than those that you saw. None was removed. Look at the list again."
        )
    return found


def _summary(found: Discovery) -> dict[str, object]:
    return {
        "examined": found.examined,
        "changes": len(found.changes),
        "held_removals": len(found.held_removals),
        "states": dict(found.states),
        "dry_run": found.dry_run,
    }


def _held(found: Discovery) -> dict[str, object]:
    """What the admin shows of held removals without reading the host: some of the names, and which they are in all."""
    return {"held": found.held_removals[:HELD_SHOWN], "held_digest": _digest(found.held_removals)}


def _chunks(summaries: Iterator[ReportSummary]) -> Iterator[list[ReportSummary]]:
    while chunk := list(islice(summaries, CHUNK)):
        yield chunk


def _remove_unseen(seen: set[str], ports: Ports, found: Discovery, accepted: Acceptance | None) -> None:
    present = rows_of(ports).present().order_by("pk").values_list("report_key", "name")
    gone = {key: name for key, name in present.iterator(chunk_size=CHUNK) if key not in seen}
    for summary in ports.reports.summaries(list(gone)):  # born while we read
        gone.pop(summary.key, None)
    reports = [describe_report(key, name) for key, name in gone.items()]
    known = len(seen) + len(gone)
    guarded = len(gone) >= GUARDED_FROM and len(gone) > known * GUARDED_SHARE
    if guarded and not _is_about(accepted, reports):
        found.held_removals = reports
        schedule_event("removals_held", held=len(gone), known=known)
        return
    retire(list(gone), ports, found, ChangeSource.DISCOVERY, accepted)


def _is_about(accepted: Acceptance | None, gone: Sequence[str]) -> bool:
    return accepted is not None and accepted.digest in {"", _digest(gone)}


def _digest(reports: Sequence[str]) -> str:
    """One word for a set of reports, by which two looks at it are compared."""
    return hashlib.sha256("\n".join(sorted(reports)).encode()).hexdigest()
