"""What needs a person, the worst first: the same cause once, however many runs or reports have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.addresses import Reader
from report_orchestrator.admin.causes import cause_in_words
from report_orchestrator.admin.display import Sign
from report_orchestrator.admin.words import away, capped, number
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule
from report_orchestrator.models.runs import STEP_LABELS
from report_orchestrator.services.reading.causes import Cause
from report_orchestrator.services.reading.dashboard import Dashboard

BAD, WARN = Sign("✗", "bad"), Sign("!", "warn")
CAUSES_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One thing to look at. `address` leads to the rows; `cause` is there where runs failed and can be retried together,
    at `retry_address` by whoever may."""

    sign: Sign
    what: str
    detail: str = ""
    address: str | None = None
    press: str = ""
    cause: Cause | None = None
    retry_address: str | None = None


def concerns(found: Dashboard, reader: Reader) -> list[Concern]:
    """Everything that a person should know, and what to press."""
    return [
        *_paused(found, reader),
        *_overdue(found, reader),
        *_late(found, reader),
        *_failures(found, reader),
        *_held(found, reader),
        *_quarantined(found, reader),
    ]


def _failures(found: Dashboard, reader: Reader) -> Iterator[Concern]:
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
            address=reader.list_address(
                ReportRun, status="stopped", step=cause.step.value, cause=cause.code, ended="day"
            ),
            press=gettext("Look at them"),
            cause=cause,
            retry_address=reader.retry_address(error_code=cause.code, step=cause.step.value, ended="day"),
        )
    rest = sum(cause.count for cause in causes[CAUSES_SHOWN:])
    if rest:
        yield Concern(
            sign=BAD,
            what=gettext("{count} more of other causes").format(count=number(rest)),
            address=reader.list_address(ReportRun, status="stopped", ended="day"),
            press=gettext("Look at all that failed"),
        )


def _overdue(found: Dashboard, reader: Reader) -> Iterator[Concern]:
    """The same runs for which the product's own health is not well."""
    if found.lost_since is not None:
        yield Concern(
            sign=BAD,
            what=gettext("Workers were lost, and nobody rescues their runs"),
            detail=gettext("The first lease ran out {ago}. Restart qcluster.").format(
                ago=away(found.lost_since, found.now)
            ),
            address=reader.list_address(ReportRun, status=Status.RUNNING.value),
            press=gettext("Look at them"),
        )
    if found.overdue_since is not None:
        yield Concern(
            sign=BAD,
            what=gettext("More is due than is being done: runs could go on, and no worker takes them"),
            detail=gettext(
                "The first became due {ago}. Look at qcluster's log, or start more workers."
            ).format(ago=away(found.overdue_since, found.now)),
            address=reader.list_address(ReportRun, status="unfinished"),
            press=gettext("Look at them"),
        )


def _late(found: Dashboard, reader: Reader) -> Iterator[Concern]:
    if not found.ahead.late or not found.ahead.late_since:
        return
    ago = away(found.ahead.late_since, found.now)
    if found.pause is not None:
        yield Concern(
            sign=WARN,
            what=ngettext(
                "{count} report is held back by the pause: its time came",
                "{count} reports are held back by the pause: their time came",
                found.ahead.late,
            ).format(count=number(found.ahead.late)),
            detail=gettext("the longest since {ago}.").format(ago=ago),
            address=reader.list_address(ReportSchedule, condition="late"),
            press=gettext("Look at them"),
        )
    else:
        yield Concern(
            sign=BAD,
            what=ngettext(
                "{count} report is late: its time came and it has no run",
                "{count} reports are late: their time came and they have no run",
                found.ahead.late,
            ).format(count=number(found.ahead.late)),
            detail=gettext("the longest since {ago}.").format(ago=ago),
            address=reader.list_address(ReportSchedule, condition="late"),
            press=gettext("Look at them"),
        )


def _paused(found: Dashboard, reader: Reader) -> Iterator[Concern]:
    if found.pause is not None:
        by = found.pause.actor or gettext("somebody")
        yield Concern(
            sign=WARN,
            what=gettext("All reports are paused by {person}: nothing new is opened").format(person=by),
            detail=found.pause.reason,
            address=reader.all_address("resume_all"),
            press=gettext("Resume all reports"),
        )


def _held(found: Dashboard, reader: Reader) -> Iterator[Concern]:
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
            address=reader.list_address(ReportChange),
            press=gettext("Look at the changes"),
        )


def _quarantined(found: Dashboard, reader: Reader) -> Iterator[Concern]:
    for standing in found.quarantined:
        yield Concern(
            sign=WARN,
            what=ngettext(
                "{count} report cannot run as it is defined: {problem}",
                "{count} reports cannot run as they are defined: {problem}",
                standing.count,
            ).format(count=number(standing.count), problem=cause_in_words(standing.problem)),
            address=reader.list_address(ReportSchedule, problem=standing.problem),
            press=gettext("Look at them"),
        )
