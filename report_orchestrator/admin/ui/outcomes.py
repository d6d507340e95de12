"""Outcomes of runs, as charts and lists show them: color, legend and counts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.charts import Look, swatch
from report_orchestrator.admin.ui.phrases import number
from report_orchestrator.models.runs import STATUS_LABELS
from report_orchestrator.services.monitoring.hourly_outcomes import StatusGroup

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sample: TypeAlias = Look | Literal["whole"]

STATUS_NAMES: Mapping[str, _StrPromise] = {status.value: label for status, label in STATUS_LABELS.items()}
LOOKS: Mapping[StatusGroup, Look] = {"succeeded": "good", "failed": "bad", "skipped": "quiet", "under_way": "busy"}
LEGEND: tuple[tuple[Sample, _StrPromise], ...] = (
    ("good", _("✓ succeeded")),
    ("busy", _("… in progress")),
    ("quiet", _("» skipped or canceled")),
    ("bad", _("✗ failed")),
    ("whole", _("expected")),
)


def legend(*, with_expected: bool) -> SafeString:
    samples = LEGEND if with_expected else LEGEND[:-1]
    return format_html_join("", "<li>{} {}</li>", ((swatch(look), label) for look, label in samples))


def describe_outcomes(counts: Mapping[StatusGroup, int]) -> str:
    """The counts in words, such as "3 succeeded, 1 failed"; empty if all are zero."""
    texts: Mapping[StatusGroup, str] = {
        "succeeded": gettext("{count} succeeded"),
        "failed": gettext("{count} failed"),
        "skipped": gettext("{count} skipped"),
        "under_way": gettext("{count} in progress"),
    }
    return ", ".join(text.format(count=number(counts[group])) for group, text in texts.items() if counts.get(group))
