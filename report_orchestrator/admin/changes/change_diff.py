"""Describe a change field by field."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.core.exceptions import FieldDoesNotExist
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.format import NOTHING
from report_orchestrator.models import ReportChange, ReportSchedule, ScheduleState
from report_orchestrator.models.changes import ChangeSource

SHORT = 16
"""Characters that fit one line of a narrow screen."""
STATES = {state.value: state.label for state in ScheduleState}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field before and after."""

    name: str
    before: str
    after: str


def differences(change: ReportChange, without: Sequence[str] = ()) -> Iterator[Difference]:
    """Return the fields of a change in their recorded order, without the person, whom pages show on their own."""
    for field in dict.fromkeys([*change.before, *change.after]):
        if field == "actor" or field in without:
            continue
        before, after = (_read(field, values) for values in (change.before, change.after))
        if before != after:
            yield Difference(name=_label(field), before=before, after=after)


def in_one_line(change: ReportChange, without: Sequence[str] = ()) -> SafeString:
    """Return the differences for a list, long ones cut, leaving out some fields."""
    return format_html_join(
        "; ",
        '{}: <del class="ro-before{}" dir="auto">{}</del> → <ins class="ro-after{}" dir="auto">{}</ins>',
        (
            (
                difference.name,
                _unbroken(difference.before),
                _cut(difference.before),
                _unbroken(difference.after),
                _cut(difference.after),
            )
            for difference in differences(change, without)
        ),
    )


def _cut(value: str) -> str:
    """Return the beginning of a long value."""
    return Truncator(value).chars(60)


def _unbroken(value: str) -> str:
    """Return the class that keeps a short value, such as a cron, on one line."""
    return " ro-unbroken" if len(value) <= SHORT else ""


def in_a_table(change: ReportChange) -> SafeString:
    """Return the complete differences for the change's page."""
    rows = format_html_join(
        "",
        '<tr><th scope="row">{}</th><td><del class="ro-before" dir="auto">{}</del></td>'
        '<td><ins class="ro-after" dir="auto">{}</ins></td></tr>',
        ((difference.name, difference.before, difference.after) for difference in differences(change)),
    )
    return format_html(
        '<table class="ro-table"><thead><tr><th scope="col">{}</th><th scope="col">{}</th><th scope="col">{}</th></tr>'
        "</thead><tbody>{}</tbody></table>",
        gettext("Field"),
        gettext("Before"),
        gettext("After"),
        rows,
    )


def who(change: ReportChange) -> str:
    """Return the user who made the change."""
    if change.person:
        return change.person
    return NOTHING if change.source == ChangeSource.SETTINGS else gettext("not known")


def who_in_full(change: ReportChange) -> str:
    """Return the user who made the change, or why nobody is known."""
    if change.person or change.source == ChangeSource.SETTINGS:
        return who(change)
    return gettext("not known: changed by SQL, a script or a worker, or before users were recorded")


OWN_LABELS = {"reason": _("reason")}


def _label(field: str) -> str:
    if field in OWN_LABELS:
        return str(OWN_LABELS[field])
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
