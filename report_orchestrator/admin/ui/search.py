"""Turn search terms into lookups that an index answers."""

import re
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.contrib import messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from report_orchestrator.models import ReportSchedule

M = TypeVar("M", bound=Model)

LONGEST_KEY = 18  # digits that certainly fit a 64-bit key
_GROUPED = re.compile(r"\A\d{1,3}(?:[.,'’٬\s]\d{2,3})*[.,'’٬\s]\d{3}\Z")  # noqa: RUF001 - an apostrophe of Swiss numbers
REPORTS_AT_MOST = 200
"""A term that matches more reports is too wide; only the first ones are searched."""


def search_rows(
    request: HttpRequest, rows: QuerySet[M], search_term: str, matching: Callable[[str, Sequence[int]], Q]
) -> tuple[QuerySet[M], bool]:
    """Return a list's matching rows for `get_search_results`. Each row matches once, so no DISTINCT is needed.

    Names are looked up among the few reports, never among the many runs or changes.
    """
    term = search_term.strip()
    if not term:
        return rows, False
    matching_keys = matching_reports(term)
    if request.method == "GET" and len(matching_keys) > REPORTS_AT_MOST:
        message = gettext("More than {count} reports match. Only the first {count} are searched.")
        messages.warning(request, message.format(count=REPORTS_AT_MOST))
    return rows.filter(matching(term, matching_keys)), False


def runs_matching(term: str, matching_keys: Sequence[int]) -> Q:
    """Match runs by number, reference or Fireant job, and all runs of the reports found by `matching_reports`."""
    matching = Q(schedule__in=matching_keys[:REPORTS_AT_MOST]) | Q(fireant_job_id=term)
    digits = ungrouped(term)
    if digits.isdecimal() and len(digits) <= LONGEST_KEY:
        matching |= Q(pk=int(digits))
    if reference := _reference(term):
        matching |= Q(reference=reference)
    return matching


def changes_matching(_term: str, matching_keys: Sequence[int]) -> Q:
    """Match all changes of the reports found by `matching_reports`."""
    return Q(schedule__in=matching_keys[:REPORTS_AT_MOST])


def matching_reports(term: str) -> list[int]:
    """Return the keys of reports with this name or key, at most one more than are searched.

    A list rather than a subquery, so that every database knows how few they are.
    """
    matching_keys = Q()
    for word in term.split():
        matching_keys &= Q(name__icontains=word)
    reports = ReportSchedule.objects.filter(matching_keys | Q(report_key__in={term, ungrouped(term)})).order_by("pk")
    return list(reports.values_list("pk", flat=True)[: REPORTS_AT_MOST + 1])


def ungrouped(term: str) -> str:
    """Return a number without the separators of a locale, which other pages of the admin may show; else the term."""
    return "".join(filter(str.isdigit, term)) if _GROUPED.match(term) else term


def _reference(term: str) -> uuid.UUID | None:
    """Parse a run's reference, alone or with the submission's number as Fireant has it."""
    try:
        return uuid.UUID(term[:36])
    except ValueError:
        return None
