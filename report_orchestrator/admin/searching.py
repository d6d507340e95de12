"""What a person types to find runs, turned into lookups that an index answers."""

from __future__ import annotations

import uuid

from django.db.models import Q

from report_orchestrator.models import ReportSchedule

LONGEST_KEY = 18  # digits that certainly fit a 64-bit key
REPORTS_AT_MOST = 200
"""A term that names more reports than this is too wide to be a search; the first ones are taken."""


def runs_matching(term: str) -> Q:
    """Runs with that number, reference or Fireant job, and all runs of the reports that the term names.

    The names are looked up among the reports, which are few, and never among the runs, which are many.
    """
    found = Q(schedule__in=_reports_named(term)) | Q(fireant_job_id=term)
    if term.isdecimal() and len(term) <= LONGEST_KEY:
        found |= Q(pk=int(term))
    if reference := _reference(term):
        found |= Q(reference=reference)
    return found


def _reports_named(term: str) -> list[int]:
    """A list rather than a subquery, so that every database sees how few they are."""
    named = Q()
    for word in term.split():
        named &= Q(name__icontains=word)
    reports = ReportSchedule.objects.filter(named | Q(report_key=term)).order_by("pk")
    return list(reports.values_list("pk", flat=True)[:REPORTS_AT_MOST])


def _reference(term: str) -> uuid.UUID | None:
    """The run's reference, alone or as Fireant knows it, with the number of the submission behind it."""
    try:
        return uuid.UUID(term[:36])
    except ValueError:
        return None
