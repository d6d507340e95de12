"""A year of one report, a square for each day: what became of its runs, and the days on which it is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from django.utils.dateformat import format as format_date
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from report_orchestrator.admin.charts import svg, table_of
from report_orchestrator.admin.words import number
from report_orchestrator.services.reading.day import Fate
from report_orchestrator.services.reading.report import ReportStory

CELL = 12  # pixels from one day to the next
SIDE = 10  # pixels of a day's square
LEFT, TOP = 32, 18  # pixels for the names of weekdays and months
WEEKDAYS_NAMED = (0, 2, 4)

FILLS: Mapping[Fate, str] = {
    "failed": "ro-fill-bad",
    "under_way": "ro-fill-busy",
    "succeeded": "ro-fill-good",
    "skipped": "ro-fill-quiet",
}
"""A day is as its worst run was: in this order."""


def calendar(story: ReportStory) -> SafeString:
    """The year, with its values as a table by month."""
    weeks = ((story.last_day - story.first_day).days + 1) // 7
    wide, tall = LEFT + weeks * CELL, TOP + 7 * CELL
    drawing = svg(
        format_html("{}{}{}", _months(story), _weekdays(story), _days(story)),
        name="ro-calendar",
        title=gettext("A year, day by day"),
        description=summary(story),
        width=str(wide),
        height=tall,
        box=f"0 0 {wide} {tall}",
    )
    return format_html(
        '<div class="ro-scroll" tabindex="0" role="group" aria-label="{}">{}</div>{}',
        gettext("A year, day by day"),
        drawing,
        _table(story),
    )


def summary(story: ReportStory) -> str:
    """The year in a sentence."""
    sums: Counter[Fate] = Counter()
    for fates in story.days.values():
        sums.update(fates)
    failed_days = sum(1 for fates in story.days.values() if fates.get("failed"))
    return gettext(
        "{succeeded} succeeded, {failed} failed, {skipped} skipped. Days with a failure: {days}. Days due ahead: {due}."
    ).format(
        succeeded=number(sums["succeeded"]),
        failed=number(sums["failed"]),
        days=number(failed_days),
        skipped=number(sums["skipped"]),
        due=number(len(story.days_due)),
    )


def _days(story: ReportStory) -> SafeString:
    return format_html_join("", "{}", ((_day(story, day),) for day in _each_day(story)))


def _each_day(story: ReportStory) -> Iterator[date]:
    for position in range((story.last_day - story.first_day).days + 1):
        yield story.first_day + timedelta(days=position)


def _day(story: ReportStory, day: date) -> SafeString:
    position = (day - story.first_day).days
    left, up = LEFT + position // 7 * CELL, TOP + position % 7 * CELL
    fates = story.days.get(day, {})
    look = next((fill for fate, fill in FILLS.items() if fates.get(fate)), "ro-fill-none")
    pieces = [_square(look, left, up)]
    if fates.get("failed"):
        pieces.append(format_html('<path class="ro-cross" d="M{} {}l5 5m0 -5l-5 5"/>', left + 2.5, up + 2.5))
    if day in story.days_due:
        pieces.append(_square("ro-line-due", left, up))
    if day == story.now.astimezone(story.zone).date():
        pieces.append(_square("ro-line-today", left, up))
    inside = format_html_join("", "{}", ((piece,) for piece in pieces))
    return format_html("<g><title>{}</title>{}</g>", _told(story, day, fates), inside)


def _square(look: str, left: float, up: float) -> SafeString:
    return format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>', look, left, up, SIDE, SIDE
    )


def _told(story: ReportStory, day: date, fates: Mapping[Fate, int]) -> str:
    words: Mapping[Fate, str] = {
        "succeeded": gettext("{count} succeeded"),
        "failed": gettext("{count} failed"),
        "skipped": gettext("{count} skipped"),
        "under_way": gettext("{count} under way"),
    }
    parts = [word.format(count=number(fates[fate])) for fate, word in words.items() if fates.get(fate)]
    if day in story.days_due:
        parts.append(gettext("due"))
    told = ", ".join(parts) or gettext("nothing")
    return f"{day.isoformat()}: {told}"


def _months(story: ReportStory) -> SafeString:
    firsts = [day for day in _each_day(story) if day.day == 1]
    return format_html_join(
        "",
        '<text x="{}" y="{}">{}</text>',
        (
            (LEFT + ((day - story.first_day).days + 6) // 7 * CELL, TOP - 6, format_date(day, "M"))
            for day in firsts
            if (story.last_day - day).days > 14
        ),
    )


def _weekdays(story: ReportStory) -> SafeString:
    return format_html_join(
        "",
        '<text x="0" y="{}">{}</text>',
        (
            (TOP + row * CELL + SIDE - 2, format_date(story.first_day + timedelta(days=row), "D"))
            for row in WEEKDAYS_NAMED
        ),
    )


def _table(story: ReportStory) -> SafeString:
    months: dict[str, Counter[Fate]] = {}
    for day, fates in sorted(story.days.items()):
        months.setdefault(format_date(day, "Y-m"), Counter()).update(fates)
    rows = [
        (month, *(number(sums[fate]) for fate in ("succeeded", "failed", "skipped", "under_way")))
        for month, sums in months.items()
    ]
    heads = [
        gettext("Month"),
        gettext("Succeeded"),
        gettext("Failed"),
        gettext("Skipped"),
        gettext("Under way"),
    ]
    return table_of(gettext("The year as a table"), heads, rows)
