"""Format values for pages: instants with zone, statuses with a sign, JSON. Everything is escaped here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.phrases import isolated
from report_orchestrator.domain.printable import is_visible
from report_orchestrator.domain.runs import Status, StepResult
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NOTHING = "—"
KIB = 1024
UNITS = ("KiB", "MiB", "GiB", "TiB")

Tone: TypeAlias = Literal["good", "bad", "warn", "busy", "quiet"]


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign next to the word, so that nothing depends on colour alone."""

    glyph: str
    tone: Tone


STATUS_SIGNS: Mapping[str, Sign] = {
    Status.QUEUED: Sign("○", "busy"),
    Status.RUNNING: Sign("►", "busy"),
    Status.DEFERRED: Sign("…", "busy"),
    Status.UP_FOR_RETRY: Sign("↻", "warn"),
    Status.SUCCEEDED: Sign("✓", "good"),
    Status.FAILED: Sign("✗", "bad"),
    Status.TIMED_OUT: Sign("!", "bad"),
    Status.CANCELED: Sign("■", "quiet"),
    Status.SKIPPED: Sign("»", "quiet"),
}
RESULT_SIGNS: Mapping[str, Sign] = {
    StepResult.STARTED: Sign("►", "busy"),
    StepResult.COMPLETED: Sign("✓", "good"),
    StepResult.WAITING: Sign("…", "busy"),
    StepResult.RETRIED: Sign("↻", "warn"),
    StepResult.FAILED: Sign("✗", "bad"),
    StepResult.LOST: Sign("?", "warn"),
    StepResult.CANCELED: Sign("■", "quiet"),
}
STATE_SIGNS: Mapping[str, Sign] = {
    ScheduleState.ACTIVE: Sign("✓", "good"),
    ScheduleState.UNSCHEDULED: Sign("○", "quiet"),
    ScheduleState.DISABLED: Sign("■", "quiet"),
    ScheduleState.QUARANTINED: Sign("✗", "bad"),
    ScheduleState.REMOVED: Sign("−", "quiet"),  # noqa: RUF001 - a minus, as wide as the other signs
}
PAUSED = {"paused": Sign("=", "warn")}
STATE_WORDS: Mapping[str, _StrPromise] = {
    ScheduleState.UNSCHEDULED: _("no cron"),
    ScheduleState.DISABLED: _("disabled"),
    ScheduleState.QUARANTINED: _("quarantined"),
    ScheduleState.REMOVED: _("removed"),
}
_UNKNOWN = Sign("?", "warn")


def signed(signs: Mapping[str, Sign], value: str, word: object) -> SafeString:
    """Return a value's word behind its sign; a question mark for values of a newer version."""
    sign = signs.get(value, _UNKNOWN)
    return format_html(
        '<span class="ro-sign ro-{}"><span aria-hidden="true">{}</span>&nbsp;{}</span>', sign.tone, sign.glyph, word
    )


def report_state(schedule: ReportSchedule) -> SafeString:
    """Return a report's state in a word; "paused" for one that would be active if nobody had paused it."""
    if schedule.paused_at is not None and schedule.state == ScheduleState.ACTIVE:
        return signed(PAUSED, "paused", gettext("paused"))
    return signed(STATE_SIGNS, schedule.state, STATE_WORDS.get(schedule.state, schedule.get_state_display()))


def instant(value: datetime | None) -> str:
    """Return an instant to the second in the reader's zone, with its name."""
    return _instant(value, "Y-m-d H:i:s T")


def minute(value: datetime | None) -> str:
    """Return an instant to the minute, for times named by a cron."""
    return _instant(value, "Y-m-d H:i T")


def _instant(value: datetime | None, form: str) -> str:
    if value is None:
        return NOTHING
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return format_html('<time dir="ltr" datetime="{}">{}</time>', value.isoformat(), format_date(local, form))


def duration(span: timedelta) -> str:
    """Return a duration in its two largest units, as symbols."""
    if span < timedelta(minutes=1):
        return isolated(f"{span.total_seconds():.1f} s")
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return isolated(f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s")


def file_size(size: int) -> str:
    """Return a size in bytes, or in the largest unit of 1,024 that fits: 55.6 MiB."""
    if size < KIB:
        return isolated(ngettext("{size} byte", "{size} bytes", size).format(size=size))
    power = next((power for power in range(1, len(UNITS)) if round(size / KIB**power, 1) < KIB), len(UNITS))
    return isolated(f"{number_format(round(size / KIB**power, 1), 1)}\u00a0{UNITS[power - 1]}")


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """Return the duration until the end, or until now."""
    return NOTHING if start is None else duration((end or get_ports().clock()) - start)


def run_duration(run: ReportRun) -> str:
    span = run.duration(get_ports().clock())
    return NOTHING if span is None else duration(span)


def shortened(text: str, length: int = 80) -> str:
    """Return the beginning of a path or an error, with all of it in a tooltip."""
    if not text:
        return NOTHING
    return format_html('<span lang="en" dir="ltr" title="{}">{}</span>', text, Truncator(text).chars(length))


def long_text(text: str) -> str:
    """Return a problem as it was recorded, in English, with its line breaks."""
    return format_html('<div class="ro-text" lang="en" dir="ltr">{}</div>', text) if text else NOTHING


def recorded(error: str) -> SafeString:
    """Return an error's own text, labelled as a record: it is English in every language."""
    return format_html(
        '<div class="ro-recorded"><span class="ro-label">{}</span> {}</div>', gettext("As recorded:"), in_english(error)
    )


def in_english(text: str) -> SafeString:
    """Return an English text for a page in any language and direction."""
    return format_html('<span class="ro-text" lang="en" dir="ltr">{}</span>', text)


def name_of(row: object) -> SafeString:
    """Return a name that does not turn the text around it."""
    return format_html("<bdi>{}</bdi>", row)


def report_name(name: str, key: str) -> SafeString:
    """Return a report's name, or its key if nothing of the name can be seen."""
    return name_of(name if is_visible(name) else key)


def code(text: object) -> str:
    """Return a text to copy: a key, a hash, a path."""
    return format_html('<code dir="ltr">{}</code>', text) if text not in {None, ""} else NOTHING


def copyable(text: str, label: object) -> str:
    """Return a text to copy, by a button where scripts run; a click selects all of it elsewhere."""
    if not text:
        return NOTHING
    return format_html(
        '<code dir="ltr" class="ro-copied">{}</code> <button type="button" class="ro-copy" data-ro-done="{}">{}</button>'
        '<span class="ro-hidden" role="status"></span>',
        text,
        gettext("Copied"),
        label,
    )


def pretty_json(value: object) -> SafeString:
    """Return indented JSON with all scripts readable."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return preformatted(text)


def preformatted(text: str) -> SafeString:
    """Return a preformatted text that can be scrolled by keyboard."""
    return format_html('<pre class="ro-code" dir="ltr" tabindex="0">{}</pre>', text)


def folded(summary: object, content: SafeString) -> SafeString:
    """Return content that opens on request, without a script."""
    return format_html("<details><summary>{}</summary>{}</details>", summary, content)
