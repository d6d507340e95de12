"""What a change changed, field by field, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import FieldDoesNotExist
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import NOTHING
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState

SHORT = 16
"""Characters that even a narrow screen shows in one line."""
STATES = {state.value: state.label for state in ScheduleState}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field before and after, as a person reads it."""

    name: str
    before: str
    after: str


def differences(change: ReportChange) -> Iterator[Difference]:
    """The fields of a change, in the order in which they were recorded."""
    for field in dict.fromkeys([*change.before, *change.after]):
        before, after = (_read(field, values) for values in (change.before, change.after))
        if before != after:
            yield Difference(name=_label(field), before=before, after=after)


def in_one_line(change: ReportChange) -> SafeString:
    """The differences for a list, long ones cut."""
    return format_html_join(
        "; ",
        '{}: <del class="ro-before{}">{}</del> → <ins class="ro-after{}">{}</ins>',
        (
            (one.name, _unbroken(one.before), _cut(one.before), _unbroken(one.after), _cut(one.after))
            for one in differences(change)
        ),
    )


def _cut(value: str) -> str:
    """The beginning of a long value."""
    return Truncator(value).chars(60)


def _unbroken(value: str) -> str:
    """The class for a short value, such as a cron, that would be misread across two lines."""
    return " ro-unbroken" if len(value) <= SHORT else ""


def in_a_table(change: ReportChange) -> SafeString:
    """The differences for the change's own page, whole."""
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td><del class="ro-before">{}</del></td><td><ins class="ro-after">{}</ins></td></tr>',
        ((one.name, one.before, one.after) for one in differences(change)),
    )
    return format_html(
        '<table class="ro-table"><thead><tr><th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th></tr>'
        "</thead><tbody>{}</tbody></table>",
        gettext("Field"),
        gettext("Before"),
        gettext("After"),
        rows,
    )


OWN_WORDS = {"actor": _("who"), "reason": _("why")}


def _label(field: str) -> str:
    if field in OWN_WORDS:
        return str(OWN_WORDS[field])
    try:
        return str(ReportSchedule._meta.get_field(field).verbose_name)  # type: ignore[union-attr]
    except FieldDoesNotExist:
        return field


def _read(field: str, values: dict[str, object]) -> str:
    value = values.get(field)
    match value:
        case None:
            return NOTHING
        case "":
            return gettext("empty")
        case str() if field == "state":
            return str(STATES.get(value, value))
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)
