"""The dashboard in words and pictures: one sentence, what needs a person, the day, the hours ahead, and what is under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.addresses import Reader
from report_orchestrator.admin.attention import Concern, concerns
from report_orchestrator.admin.charts import Bar, Part, bars, swatch, table_of
from report_orchestrator.admin.display import Sign, Tone
from report_orchestrator.admin.health_cards import Card, cards
from report_orchestrator.admin.words import away, capped, clock, day_and_clock, number
from report_orchestrator.conf import get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.reading.dashboard import Dashboard, read_dashboard
from report_orchestrator.services.reading.day import HOUR, Hour
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

VERDICTS: dict[Tone, Sign] = {"good": Sign("✓", "good"), "warn": Sign("!", "warn"), "bad": Sign("✗", "bad")}
LABELLED_EVERY = 3  # hours
OUTCOMES: tuple[tuple[str, _StrPromise], ...] = (
    ("good", _("✓ succeeded")),
    ("busy", _("… under way")),
    ("quiet", _("» skipped or canceled")),
    ("bad", _("✗ failed")),
    ("whole", _("expected")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of what is under way."""

    what: str
    count: str
    remark: str
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that the template shows."""

    verdict: Sign
    sentence: str
    concerns: list[Concern]
    quiet: str
    paused: str
    paused_address: str | None
    cards: list[Card]
    day: SafeString
    day_summary: str
    legend: SafeString
    ahead: SafeString
    ahead_summary: str
    flight: list[Line]
    limits: list[Line]
    pause_all: str | None
    """Where everything is paused; None for whoever may not, and while it is."""


def board(reader: Reader) -> Board:
    """The dashboard as it is now, with links into the admin of that name.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    found = read_dashboard(
        datetime.now(UTC),
        timezone.get_current_timezone(),
        get_settings(),
        report_model=get_ports().reports.label,
    )
    return board_of(found, reader)


def board_of(found: Dashboard, reader: Reader) -> Board:
    """A picture as the template shows it."""
    health = cards(found)
    troubles = concerns(found, reader)
    tone = _verdict(health, troubles)
    return Board(
        verdict=VERDICTS[tone],
        quiet=_quiet(found, tone),
        paused=_paused(found),
        paused_address=reader.list_address(ReportSchedule, condition="paused"),
        sentence=sentence(found),
        concerns=troubles,
        cards=health,
        day=_day(found),
        day_summary=_day_summary(found),
        legend=format_html_join(
            "",
            "<li>{} {}</li>",
            ((swatch(look), word) for look, word in OUTCOMES),  # type: ignore[arg-type]
        ),
        ahead=_ahead(found),
        ahead_summary=_ahead_summary(found),
        flight=_flight(found, reader),
        limits=_limits(found),
        pause_all=None if found.pause else reader.all_address("pause_all"),
    )


def _verdict(health: list[Card], troubles: list[Concern]) -> Tone:
    tones = {card.sign.tone for card in health} | {concern.sign.tone for concern in troubles}
    return "bad" if "bad" in tones else "warn" if "warn" in tones else "good"


def _quiet(found: Dashboard, tone: Tone) -> str:
    """What is said where no run and no report needs a person."""
    if tone != "good":
        return gettext(
            "No run failed in the last 24 hours, and no report is late. What is not well stands above."
        )
    if found.paused:
        return gettext("Nothing. No run failed in the last 24 hours, and no report is late.")
    return gettext("Nothing. No run failed in the last 24 hours, no report is late, and none is paused.")


def _paused(found: Dashboard) -> str:
    """Reports that were paused one by one: somebody meant it, so it is no concern, and must not be forgotten either."""
    if not found.paused:
        return ""
    return ngettext(
        "{count} report is paused by a person.", "{count} reports are paused by a person.", found.paused
    ).format(count=number(found.paused))


def sentence(found: Dashboard) -> str:
    """Everything that matters, in one sentence."""
    parts = [part for part in (_failed(found), _late(found)) if part]
    told = [", ".join([*parts, _delivered(found)]), _alive(found)]
    return "; ".join(part for part in told if part) + "."


def _failed(found: Dashboard) -> str:
    count = found.stopped.count
    if not count:
        return ""
    shown = capped(count, is_capped=found.stopped.is_capped)
    return gettext("{count} failed in the last 24 hours").format(count=shown)


def _late(found: Dashboard) -> str:
    if not found.ahead.late:
        return ""
    if found.pause is not None:
        return gettext("{count} held back").format(count=number(found.ahead.late))
    return gettext("{count} late").format(count=number(found.ahead.late))


def _delivered(found: Dashboard) -> str:
    today = found.today
    if not today.expected:
        return gettext("nothing has been due since midnight")
    told = gettext("{delivered} of {expected} due since midnight delivered").format(
        delivered=number(today.succeeded), expected=number(today.expected)
    )
    if today.under_way:
        told += ", " + gettext("{count} under way").format(count=number(today.under_way))
    return told


def _alive(found: Dashboard) -> str:
    heard_at = found.workers.heard_at
    if heard_at is None:
        return gettext("no worker has ever been heard of")
    if found.workers.is_well(found.now):
        return gettext("workers proven alive {ago}").format(ago=away(min(heard_at, found.now), found.now))
    return gettext("no sign of a worker since {instant}").format(instant=day_and_clock(heard_at, found.now))


def _day(found: Dashboard) -> SafeString:
    drawn = [_hour(hour, position) for position, hour in enumerate(found.hours)]
    top = max(hour.expected for hour in found.hours)
    title = gettext("The last 24 hours")
    chart = bars(
        drawn,
        name="ro-day",
        title=title,
        description=_day_summary(found),
        scale=gettext("{count} an hour").format(count=number(top)) if top else "",
    )
    heads = [gettext("Hour"), *(str(word) for _look, word in OUTCOMES)]
    rows = [
        (
            _span(hour),
            *map(number, (hour.succeeded, hour.under_way, hour.skipped, hour.failed, hour.expected)),
        )
        for hour in found.hours
    ]
    return chart + table_of(gettext("The last 24 hours as a table"), heads, rows)


def _hour(hour: Hour, position: int) -> Bar:
    told = gettext(
        "{hours}: {succeeded} succeeded, {under_way} under way, {skipped} skipped, {failed} failed, of {expected} expected"
    )
    return Bar(
        parts=(
            Part(look="good", value=hour.succeeded),
            Part(look="busy", value=hour.under_way),
            Part(look="quiet", value=hour.skipped),
            Part(look="bad", value=hour.failed),
        ),
        whole=hour.expected,
        mark="✗" if hour.failed else "!" if hour.unopened else "",
        label="" if position % LABELLED_EVERY else clock(hour.start),
        is_minor=position % (2 * LABELLED_EVERY) != 0,
        title=told.format(
            hours=_span(hour),
            succeeded=number(hour.succeeded),
            under_way=number(hour.under_way),
            skipped=number(hour.skipped),
            failed=number(hour.failed),
            expected=number(hour.expected),
        ),
    )


def _span(hour: Hour) -> str:
    return f"{clock(hour.start)}–{clock(hour.start + HOUR)}"  # noqa: RUF001 - an en dash, as in all spans


def _day_summary(found: Dashboard) -> str:
    told = gettext(
        "{succeeded} succeeded, {failed} failed, {skipped} skipped, {under_way} under way, of {expected} expected. "
        "Runs by hand are not among them."
    )
    sums = {
        name: number(sum(getattr(hour, name) for hour in found.hours))
        for name in ("succeeded", "failed", "skipped", "under_way", "expected")
    }
    return told.format(**sums)


def _ahead(found: Dashboard) -> SafeString:
    hours = found.ahead.hours
    top = max((count for _start, count in hours), default=0)
    drawn = [
        Bar(
            parts=(Part(look="due", value=count),),
            label="" if position % 2 else clock(start),
            is_minor=position % 4 != 0,
            mark=number(count) if count and count == top else "",
            title=gettext("from {hour}: {count} due").format(hour=clock(start), count=number(count)),
        )
        for position, (start, count) in enumerate(hours)
    ]
    chart = bars(
        drawn,
        name="ro-ahead",
        title=gettext("The next 12 hours"),
        description=_ahead_summary(found),
        scale="",
    )
    rows = [(clock(start), number(count)) for start, count in hours]
    return chart + table_of(gettext("The next 12 hours as a table"), [gettext("From"), gettext("Due")], rows)


def _ahead_summary(found: Dashboard) -> str:
    if not found.ahead.total:
        return gettext("Nothing is due.")
    told = gettext("{count} due.").format(count=number(found.ahead.total))
    peaks = ", ".join(
        gettext("{count} at {time}").format(count=number(count), time=clock(at))
        for at, count in found.ahead.peaks
        if count > 1
    )
    return told + (" " + gettext("They pile up: {peaks}.").format(peaks=peaks) if peaks else "")


def _flight(found: Dashboard, reader: Reader) -> list[Line]:
    return [
        Line(
            what=f"{STATUS_LABELS[place.status]}: {STEP_LABELS[place.step]}",
            count=number(place.count),
            remark=_remark(place.status, away(place.wake_at, found.now)),
            address=reader.list_address(ReportRun, status=place.status.value, step=place.step.value),
        )
        for place in found.flight.places
    ]


def _remark(status: Status, when: str) -> str:
    remarks: dict[Status, str] = {
        Status.QUEUED: gettext("the first could start {when}"),
        Status.RUNNING: gettext("the first lease runs out {when}"),
        Status.DEFERRED: gettext("Fireant is asked next {when}"),
        Status.UP_FOR_RETRY: gettext("the next is tried again {when}"),
    }
    return remarks[status].format(when=when)


def _limits(found: Dashboard) -> list[Line]:
    jobs = found.flight.jobs_in_fireant
    lines = [
        Line(
            what=gettext("Jobs in Fireant"),
            count=_of(jobs, found.jobs_at_most),
            remark=gettext("the limit is reached: others wait")
            if found.jobs_at_most and jobs >= found.jobs_at_most
            else "",
        )
    ]
    if found.submits_at_most:
        submitted = found.work.submitted or 0
        lines.append(
            Line(
                what=gettext("Submissions in the last minute"),
                count=_of(submitted, found.submits_at_most),
                remark=gettext("the limit is reached: others wait")
                if submitted >= found.submits_at_most
                else "",
            )
        )
    return lines


def _of(count: int, limit: int) -> str:
    if not limit:
        return gettext("{count}, without a limit").format(count=number(count))
    return gettext("{count} of {limit}").format(count=number(count), limit=number(limit))
