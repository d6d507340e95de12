"""What a person types to find runs, turned into lookups that an index answers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext

from report_orchestrator.models import ReportSchedule

LONGEST_KEY = 18  # digits that certainly fit a 64-bit key
REPORTS_AT_MOST = 200
"""A term that names more reports than this is too wide to be a search; the first ones are taken."""


def runs_matching(term: str, named: Sequence[int]) -> Q:
    """Runs with that number, reference or Fireant job, and all runs of the reports that the term names: those of `reports_named`.

    The names are looked up among the reports, which are few, and never among the runs, which are many.
    """
    found = Q(schedule__in=named[:REPORTS_AT_MOST]) | Q(fireant_job_id=term)
    if term.isdecimal() and len(term) <= LONGEST_KEY:
        found |= Q(pk=int(term))
    if reference := _reference(term):
        found |= Q(reference=reference)
    return found


def changes_matching(named: Sequence[int]) -> Q:
    """All changes of these reports, those of `reports_named`."""
    return Q(schedule__in=named[:REPORTS_AT_MOST])


def say_if_too_wide(request: HttpRequest, named: Sequence[int]) -> None:
    """Tells the reader that a term names more reports than are looked through."""
    if request.method == "GET" and len(named) > REPORTS_AT_MOST:
        told = gettext("This names more than {count} reports: only the first {count} are looked through.")
        messages.warning(request, told.format(count=REPORTS_AT_MOST))


def reports_named(term: str) -> list[int]:
    """The keys of the reports with these words in their name, or with that key: the first, and one more than are taken.

    A list rather than a subquery, so that every database sees how few they are.
    """
    named = Q()
    for word in term.split():
        named &= Q(name__icontains=word)
    reports = ReportSchedule.objects.filter(named | Q(report_key=term)).order_by("pk")
    return list(reports.values_list("pk", flat=True)[: REPORTS_AT_MOST + 1])


def _reference(term: str) -> uuid.UUID | None:
    """The run's reference, alone or as Fireant knows it, with the number of the submission behind it."""
    try:
        return uuid.UUID(term[:36])
    except ValueError:
        return None
