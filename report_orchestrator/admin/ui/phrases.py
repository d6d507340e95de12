"""Short texts for durations, times, crons and error codes in the reader's language and zone."""

import calendar
import re
import unicodedata
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import get_language, get_language_bidi, gettext, ngettext

from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.cron_text import describe_cron, is_described_in
from report_orchestrator.domain.error_codes import RefusalCode, advice_of, title_of
from report_orchestrator.exceptions import InvalidCronError, OrchestratorError

DAY = timedelta(days=1)
_CALENDAR_NAMES = {
    **{calendar.day_name[number]: name for number, name in WEEKDAYS.items()},
    **{calendar.month_name[number]: name for number, name in MONTHS.items()},
}
_NAMES_IN_ENGLISH = re.compile(rf"\b({'|'.join(_CALENDAR_NAMES)})\b")


_TURNING = frozenset({"R", "AL", "AN", "LRE", "LRO", "RLE", "RLO", "LRI", "RLI", "FSI", "PDF", "PDI"})
"""Unicode's bidirectional classes that change the order of the text around them."""


def isolated(text: str) -> str:
    """Return a value for a sentence, between invisible marks if the directions of the two may differ."""
    is_mixed = (text and get_language_bidi()) or any(unicodedata.bidirectional(letter) in _TURNING for letter in text)
    return f"\u2068{text}\u2069" if is_mixed else text


def number(count: int) -> str:
    """Return a count with grouped digits."""
    return number_format(count, force_grouping=True)


def capped(count: int, *, is_capped: bool) -> str:
    """Return a count that may have been limited."""
    return f"{number(count)}+" if is_capped else number(count)


def about(span: timedelta) -> str:
    """Return a rounded duration: seconds, minutes, hours or days."""
    seconds = max(round(span.total_seconds()), 0)
    if seconds < 60:
        return isolated(f"{seconds} s")
    if seconds < 3600:
        return isolated(f"{seconds // 60} min")
    if span < 2 * DAY:
        return isolated(f"{seconds // 3600} h {seconds % 3600 // 60} min")
    return ngettext("{days} day", "{days} days", span.days).format(days=span.days)


def away(at: datetime, now: datetime) -> str:
    """Return the distance from now: "in 5 min", "2 h 0 min ago"."""
    if at > now:
        return gettext("in {span}").format(span=about(at - now))
    return gettext("{span} ago").format(span=about(now - at))


def clock(at: datetime) -> str:
    """Return the time of day in the reader's zone."""
    return format_date(timezone.localtime(at), "H:i")


def day_and_clock(at: datetime, now: datetime) -> str:
    """Return the time of day, with the date unless it is today."""
    local, today = timezone.localtime(at), timezone.localtime(now).date()
    return isolated(format_date(local, "H:i" if local.date() == today else "Y-m-d H:i"))


def date_and_clock(at: datetime) -> str:
    """Return date and time of day in the reader's zone."""
    return isolated(f"{timezone.localtime(at):%Y-%m-%d %H:%M}")


def cron_in_words(expression: str) -> str:
    """Return a cron as a sentence in its own language; empty if it is missing or invalid."""
    if not expression:
        return ""
    try:
        cron = parse_cron(expression)
    except InvalidCronError:
        return ""
    language = cron_language()
    sentence = describe_cron(cron, language=language)
    return format_html('<bdi lang="{}">{}</bdi>', language, sentence if language == "en" else _with_names(sentence))


def cron_language() -> str:
    """Return the language of crons in words: the page's, or English without translation or a text in it."""
    language = get_language() if django_settings.USE_I18N else None
    return language if language and is_described_in(language) else "en"


def _with_names(sentence: str) -> str:
    """Translate names of weekdays and months, which the library leaves in English."""
    return _NAMES_IN_ENGLISH.sub(lambda match: str(_CALENDAR_NAMES[match[0]]), sentence)


def error_title(code: str) -> str:
    """Return an error code's title: `Fireant 503` for `fireant_503`."""
    title = title_of(code)
    return gettext(title) if title else gettext("no error code")


def refusal_message(error: OrchestratorError) -> str:
    """Return the reason for a refusal; the error's own message if its code has no text."""
    return gettext(error.code.message) if isinstance(error.code, RefusalCode) else error.message


def error_advice(code: str) -> str:
    """Return the advice for an error that has ended a run; empty if the code is unknown."""
    advice = advice_of(code)
    return gettext(advice) if advice else ""
