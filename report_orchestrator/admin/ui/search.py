"""The search of a list, with a warning where it is too wide."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.contrib import messages
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from report_orchestrator.services.lists import search

M = TypeVar("M", bound=Model)


def search_rows(
    request: HttpRequest, rows: QuerySet[M], search_term: str, matching: Callable[[str, Sequence[int]], Q]
) -> tuple[QuerySet[M], bool]:
    """Return a list's matching rows for `get_search_results`. Each row matches once, so no DISTINCT is needed.

    Names are looked up among the few reports, never among the many runs or changes.
    """
    term = search_term.strip()
    if not term:
        return rows, False
    matching_keys = search.matching_reports(term)
    if request.method == "GET" and len(matching_keys) > search.REPORTS_AT_MOST:
        message = gettext("More than {count} reports match. Only the first {count} are searched.")
        messages.warning(request, message.format(count=search.REPORTS_AT_MOST))
    return rows.filter(matching(term, matching_keys)), False
