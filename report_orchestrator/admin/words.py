"""Short words for spans, clocks and crons, in the reader's language and zone."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.formats import number_format
from django.utils.translation import get_language, gettext, ngettext

from report_orchestrator.domain.cron import parse_cron
from report_orchestrator.domain.cron_words import in_words
from report_orchestrator.exceptions import InvalidCronError

DAY = timedelta(days=1)
_CALENDAR_NAMES = {
    **{calendar.day_name[number]: name for number, name in WEEKDAYS.items()},
    **{calendar.month_name[number]: name for number, name in MONTHS.items()},
}
_NAMES_IN_ENGLISH = re.compile(rf"\b({'|'.join(_CALENDAR_NAMES)})\b")


def number(count: int) -> str:
    """A count, its digits grouped as the language does."""
    return number_format(count, force_grouping=True)


def capped(count: int, *, is_capped: bool) -> str:
    """A count that may have stopped early."""
    return f"{number(count)}+" if is_capped else number(count)


def about(span: timedelta) -> str:
    """A length of time as a person says it: seconds, minutes, hours, or days. Units are symbols but for days."""
    seconds = max(round(span.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if span < 2 * DAY:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return ngettext("{days} day", "{days} days", span.days).format(days=span.days)


def away(at: datetime, now: datetime) -> str:
    """How far an instant is from now: "in 5 min", "2 h 0 min ago"."""
    if at > now:
        return gettext("in {span}").format(span=about(at - now))
    return gettext("{span} ago").format(span=about(now - at))


def clock(at: datetime) -> str:
    """The time of day in the reader's zone."""
    return format_date(timezone.localtime(at), "H:i")


def day_and_clock(at: datetime, now: datetime) -> str:
    """The time of day, behind the date where that is not today's."""
    local, today = timezone.localtime(at), timezone.localtime(now).date()
    return format_date(local, "H:i" if local.date() == today else "Y-m-d H:i")


def cron_in_words(expression: str) -> str:
    """A cron as a sentence; empty where there is none or it cannot be read."""
    if not expression:
        return ""
    try:
        return _with_names(in_words(parse_cron(expression), language=get_language() or "en"))
    except InvalidCronError:
        return ""


def _with_names(sentence: str) -> str:
    """The library leaves the names of weekdays and months in English."""
    return _NAMES_IN_ENGLISH.sub(lambda found: str(_CALENDAR_NAMES[found[0]]), sentence)
