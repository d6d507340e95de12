"""Filters by an interval of due times, to which the bars of charts lead. An index answers them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.filters import ReportFilter
from report_orchestrator.admin.ui.links import INTERVAL_FORMAT
from report_orchestrator.admin.ui.phrases import date_and_clock
from report_orchestrator.admin.ui.request_settings import settings_for
from report_orchestrator.domain.runs import Trigger
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.services.monitoring.forecast import due_between
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from report_orchestrator.admin.ui.filters import Lookups


class DueFilter(SimpleListFilter):
    """Rows with a due time in an interval, chosen by a link."""

    title = _("due")
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return only the chosen interval, to show and remove it."""
        chosen = self.value()
        return [] if chosen is None else [(chosen, " – ".join(date_and_clock(at) for at in parsed(chosen)))]  # noqa: RUF001

    def value(self) -> str | None:
        """Return the chosen interval; Django asks before and after it knows the choices."""
        return self.used_parameters.get(self.parameter_name)


class RunDueFilter(DueFilter):
    """Runs by due time: of one report all its runs, of all reports those that this app had to run by schedule."""

    NOT_DUE_HERE = (Trigger.MANUAL, Trigger.SHADOW)

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        chosen = self.value()
        if chosen is None:
            return queryset
        start, end = parsed(chosen)
        if ReportFilter.parameter_name not in request.GET:
            # The index on due times leaves out manual runs.
            queryset = queryset.filter(*(~Q(trigger=trigger.value) for trigger in self.NOT_DUE_HERE))
        return queryset.filter(scheduled_for__gte=start, scheduled_for__lt=end)


class ReportDueFilter(DueFilter):
    """Reports that will be due in an interval."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportSchedule]) -> QuerySet[ReportSchedule]:
        chosen = self.value()
        if chosen is None:
            return queryset
        return due_between(queryset, *parsed(chosen), now=get_ports().clock(), settings=settings_for(request))


def parsed(interval: str) -> tuple[datetime, datetime]:
    """Return start and end. Raises ValueError if it is none, at which Django shows the list without it."""
    start, end = (datetime.strptime(at, INTERVAL_FORMAT).replace(tzinfo=UTC) for at in interval.split("/"))
    return start, end
