"""What needs a person, the worst first: the same cause once, however many runs or reports have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.addresses import list_address
from report_orchestrator.admin.display import Sign
from report_orchestrator.admin.words import away, capped, cause_in_words, number
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.models.runs import STEP_LABELS
from report_orchestrator.services.reading.causes import Cause
from report_orchestrator.services.reading.dashboard import Dashboard

BAD, WARN = Sign("✗", "bad"), Sign("!", "warn")
CAUSES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One thing to look at. `address` leads to the rows; `cause` is there where runs failed and can be retried together."""

    sign: Sign
    what: str
    detail: str = ""
    address: str | None = None
    press: str = ""
    cause: Cause | None = None


def concerns(found: Dashboard, site_name: str) -> list[Concern]:
    """Everything that a person should know, and what to press."""
    return [
        *_paused(found),
        *_late(found, site_name),
        *_failures(found, site_name),
        *_held(found, site_name),
        *_quarantined(found, site_name),
    ]


def _failures(found: Dashboard, site_name: str) -> Iterator[Concern]:
    causes = found.stopped.causes
    for cause in causes[:CAUSES_SHOWN]:
        yield Concern(
            sign=BAD,
            what=gettext("{count} × {cause} in {step}").format(  # noqa: RUF001 - the sign of multiplication
                count=capped(cause.count, is_capped=found.stopped.is_capped),
                cause=cause_in_words(cause.code),
                step=STEP_LABELS[cause.step],
            ),
            detail=gettext("last {ago}. {error}").format(
                ago=away(cause.last_at, found.now), error=cause.error
            ),
            address=list_address(
                ReportRun, site_name, status="stopped", step=cause.step.value, cause=cause.code, ended="day"
            ),
            press=ngettext("Look and retry", "Look and retry all", cause.count),
            cause=cause,
        )
    rest = sum(cause.count for cause in causes[CAUSES_SHOWN:])
    if rest:
        yield Concern(
            sign=BAD,
            what=gettext("{count} more of other causes").format(count=number(rest)),
            address=list_address(ReportRun, site_name, status="stopped", ended="day"),
            press=gettext("Look at all that failed"),
        )


def _late(found: Dashboard, site_name: str) -> Iterator[Concern]:
    if found.ahead.late and found.ahead.late_since:
        yield Concern(
            sign=BAD,
            what=ngettext(
                "{count} report is late: its time came and it has no run",
                "{count} reports are late: their time came and they have no run",
                found.ahead.late,
            ).format(count=number(found.ahead.late)),
            detail=gettext("the longest since {ago}.").format(ago=away(found.ahead.late_since, found.now)),
            address=list_address(ReportSchedule, site_name, condition="late"),
            press=gettext("Look at them"),
        )


def _paused(found: Dashboard) -> Iterator[Concern]:
    if found.pause is not None:
        by = found.pause.actor or gettext("somebody")
        yield Concern(
            sign=WARN,
            what=gettext("All reports are paused by {person}: nothing new is opened").format(person=by),
            detail=found.pause.reason,
        )


def _held(found: Dashboard, site_name: str) -> Iterator[Concern]:
    if found.held_removals:
        yield Concern(
            sign=WARN,
            what=ngettext(
                "{count} report is gone from the project, and its removal is held",
                "{count} reports are gone from the project, and their removal is held",
                found.held_removals,
            ).format(count=number(found.held_removals)),
            detail=gettext(
                "Accept it if it is meant; otherwise look whether the project's database is the right one."
            ),
            address=list_address(ReportChange, site_name),
            press=gettext("Look at the changes"),
        )


def _quarantined(found: Dashboard, site_name: str) -> Iterator[Concern]:
    for standing in found.quarantined:
        yield Concern(
            sign=WARN,
            what=ngettext(
                "{count} report cannot run as it is defined: {problem}",
                "{count} reports cannot run as they are defined: {problem}",
                standing.count,
            ).format(count=number(standing.count), problem=cause_in_words(standing.problem)),
            address=list_address(ReportSchedule, site_name, problem=standing.problem),
            press=gettext("Look at them"),
        )
