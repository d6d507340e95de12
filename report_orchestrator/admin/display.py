"""How values look: instants with their zone, statuses with a sign, JSON in lines. Everything is escaped here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext

from report_orchestrator.domain.runs import Status, StepResult
from report_orchestrator.models import ScheduleState

NOTHING = "—"

Tone: TypeAlias = Literal["good", "bad", "warn", "busy", "quiet"]


@dataclass(frozen=True, slots=True)
class Sign:
    """A glyph beside the word, so that colour alone says nothing."""

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
_UNKNOWN = Sign("?", "warn")


def signed(signs: Mapping[str, Sign], value: str, word: object) -> SafeString:
    """A value's word behind its sign. Values of a newer version, after a step back, get a question mark."""
    sign = signs.get(value, _UNKNOWN)
    return format_html(
        '<span class="ro-sign ro-{}"><span aria-hidden="true">{}</span>&nbsp;{}</span>',
        sign.tone,
        sign.glyph,
        word,
    )


def instant(value: datetime | None) -> str:
    """An instant to the second, in the reader's zone, which it names."""
    return _instant(value, "Y-m-d H:i:s T")


def minute(value: datetime | None) -> str:
    """An instant to the minute, for the times that a cron names."""
    return _instant(value, "Y-m-d H:i T")


def _instant(value: datetime | None, form: str) -> str:
    if value is None:
        return NOTHING
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), format_date(local, form))


def duration(span: timedelta) -> str:
    """A length of time in its two largest units. The units are symbols, the same in every language."""
    if span < timedelta(minutes=1):
        return f"{span.total_seconds():.1f} s"
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """How long something took, or has taken until now."""
    return NOTHING if start is None else duration((end or datetime.now(UTC)) - start)


def shortened(text: str, length: int = 80) -> str:
    """A text's beginning, with all of it on hovering."""
    if not text:
        return NOTHING
    return format_html('<span title="{}">{}</span>', text, Truncator(text).chars(length))


def long_text(text: str) -> str:
    """A text in its own lines."""
    return format_html('<div class="ro-text">{}</div>', text) if text else NOTHING


def recorded(error: str) -> SafeString:
    """An error's own text, named as what it is: a record, in English in every language."""
    return format_html(
        '<div class="ro-recorded"><span class="ro-label">{}</span> <span class="ro-text" lang="en">{}</span></div>',
        gettext("As recorded:"),
        error,
    )


def code(text: object) -> str:
    """A text that a person copies: a key, a hash, a place."""
    return format_html("<code>{}</code>", text) if text not in {None, ""} else NOTHING


def pretty_json(value: object) -> SafeString:
    """JSON in lines. Letters of any script stay readable."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return preformatted(text)


def preformatted(text: str) -> SafeString:
    """A text as it stands, which whoever has no mouse can scroll too."""
    return format_html('<pre class="ro-code" tabindex="0">{}</pre>', text)


def folded(summary: object, content: SafeString) -> SafeString:
    """Content that opens on request, without a script."""
    return format_html("<details><summary>{}</summary>{}</details>", summary, content)
