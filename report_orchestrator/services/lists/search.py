"""Turn what people have in hand into lookups that an index answers: names, keys, references, jobs, numbers."""

import re
import uuid
from collections.abc import Sequence

from django.db import connections
from django.db.models import Q
from django.utils.translation import gettext

from report_orchestrator.models import EarlierJob, ReportRun, ReportSchedule

LONGEST_KEY = 18  # digits that certainly fit a 64-bit key
SHORTEST_REFERENCE = 6
"""Letters of the beginning of a reference."""
REPORTS_AT_MOST = 200
"""A term that matches more reports is too wide; only the first ones are searched."""
_GROUPED = re.compile(r"\A\d{1,3}(?:[.,'’٬\s]\d{2,3})*[.,'’٬\s]\d{3}\Z")  # noqa: RUF001 - an apostrophe of Swiss numbers
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


def runs_matching(term: str, matching_keys: Sequence[int]) -> Q:
    """Match runs by number, the beginning of a reference, or any Fireant job, and those of the reports found.

    `run 12` and `job 34` name one of these.
    """
    kind, value = _named(term)
    matching = Q(schedule__in=matching_keys[:REPORTS_AT_MOST])
    if kind in {"", "job"}:
        earlier = EarlierJob.objects.filter(fireant_job_id=value).values_list("run", flat=True)
        # A list rather than a subquery, beside which the database would not use the other indexes.
        matching |= Q(fireant_job_id=value) | Q(pk__in=list(earlier[:REPORTS_AT_MOST]))
    if kind in {"", "run"}:
        digits = ungrouped(value)
        if digits.isdecimal() and len(digits) <= LONGEST_KEY:
            matching |= Q(pk=int(digits))
        matching |= _begins_reference(value)
    return matching


def changes_matching(_term: str, matching_keys: Sequence[int]) -> Q:
    """Match all changes of the reports found by `matching_reports`."""
    return Q(schedule__in=matching_keys[:REPORTS_AT_MOST])


def reports_matching(term: str) -> Q:
    """Match reports by the words of name or cron, or by key; `report 19` by key alone if a report has it."""
    kind, value = _named(term)
    named = Q(report_key__in={value, ungrouped(value)})
    if kind == "report" and ReportSchedule.objects.filter(named).exists():
        return named
    words = Q()
    for word in term.split():
        words &= Q(name__icontains=word) | Q(cron__icontains=word)
    return words | Q(report_key__in={term, ungrouped(term)})


def matching_reports(term: str) -> list[int]:
    """Return the keys of the reports that match, at most one more than are searched.

    A list rather than a subquery, so that every database knows how few they are.
    """
    reports = ReportSchedule.objects.filter(reports_matching(term)).order_by("pk")
    return list(reports.values_list("pk", flat=True)[: REPORTS_AT_MOST + 1])


def ungrouped(term: str) -> str:
    """Return a number without the separators of a locale, which other pages of the admin may show; else the term."""
    return "".join(filter(str.isdigit, term)) if _GROUPED.match(term) else term


def _named(term: str) -> tuple[str, str]:
    """Split `run 12`, in English or the reader's language, into kind and value; without a kind, all of it is the value."""
    first, _space, rest = term.partition(" ")
    kinds = {"run": "run", "job": "job", "report": "report", gettext("run"): "run", gettext("report"): "report"}
    kind = {word.casefold(): kind for word, kind in kinds.items()}.get(first.casefold(), "")
    return (kind, rest.strip().lstrip("#")) if kind and rest.strip() else ("", term)


def _begins_reference(term: str) -> Q:
    """Match the beginning of a reference, with or without hyphens; a whole one also with its submission, as Fireant has it."""
    text = term[:36].lower()
    digits = text.replace("-", "")
    if not SHORTEST_REFERENCE <= len(digits) <= 32 or not _HEXADECIMAL.fullmatch(digits):
        return Q(pk__in=())
    first, last = (uuid.UUID(digits.ljust(32, digit)) for digit in "0f")
    if text not in {digits, str(first)[: len(text)]}:
        return Q(pk__in=())
    connection = connections[ReportRun.objects.db]
    if connection.vendor == "mysql" and connection.features.has_native_uuid_field:
        # MariaDB compares the last group of such a value first.
        return Q(reference__startswith=str(first)[: len(digits) + sum(len(digits) > end for end in (8, 12, 16, 20))])
    return Q(reference=first) if first == last else Q(reference__range=(first, last))
