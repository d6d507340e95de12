"""List filters that an index answers, whatever the number of runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.links import may_view_runs, visible_rows
from report_orchestrator.admin.ui.phrases import error_title, isolated
from report_orchestrator.admin.ui.request_settings import settings_for
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.lists import filters
from report_orchestrator.services.reports.conditions import CONDITIONS
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Lookups: TypeAlias = list[tuple[str, _StrPromise | str]]


class StatusFilter(SimpleListFilter):
    """A status, or one of two groups of statuses."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return the groups, then the statuses."""
        groups: Lookups = [("stopped", _("needs attention")), ("unfinished", _("in progress"))]
        return groups + [(status.value, label) for status, label in STATUS_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        chosen = self.value()
        return queryset if chosen is None else filters.with_status(queryset, chosen)


class ResultFilter(SimpleListFilter):
    """Runs with a stored result: the list then shows their results."""

    title = _("result")
    parameter_name = "result"
    STORED = "stored"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(self.STORED, _("stored"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        return queryset if self.value() is None else filters.with_result(queryset)


class ValueFilter(SimpleListFilter):
    """Rows with the chosen value, found by `narrow`."""

    narrow: Callable[[QuerySet[Any], str], QuerySet[Any]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset if chosen is None else type(self).narrow(queryset, chosen)


class StepFilter(ValueFilter):
    title = _("current step")
    parameter_name = "step"
    narrow = staticmethod(filters.at_step)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(step.value, label) for step, label in STEP_LABELS.items()]


class LatelyFilter(SimpleListFilter):
    """Rows of the last hour, day, week or month, found by `narrow`."""

    narrow: Callable[[QuerySet[Any], datetime], QuerySet[Any]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return the time spans, shortest first."""
        return [
            ("hour", _("in the last hour")),
            ("day", _("in the last 24 hours")),
            ("week", _("in the last 7 days")),
            ("month", _("in the last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = filters.SPANS.get(self.value() or "")
        return queryset if span is None else type(self).narrow(queryset, get_ports().clock() - span)


class OpenedFilter(LatelyFilter):
    """Runs by the time they were opened."""

    title = _("created")
    parameter_name = "opened"
    narrow = staticmethod(filters.created_since)


class EndedFilter(LatelyFilter):
    """Runs by the time they ended."""

    title = _("ended")
    parameter_name = "ended"
    narrow = staticmethod(filters.ended_since)


class NoticedFilter(LatelyFilter):
    """Changes by the time they were noticed."""

    title = _("detected")
    parameter_name = "noticed"
    narrow = staticmethod(filters.detected_since)


class ChosenFilter(ValueFilter):
    """A value chosen by a link. Only the chosen value is listed, to be removed: a list of all would need a scan."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        chosen = self.value()
        return [] if chosen is None else [(chosen, error_title(chosen))]

    def value(self) -> str | None:
        """Return the chosen value; Django asks before and after it knows the choices."""
        return self.used_parameters.get(str(self.parameter_name))


class CauseFilter(ChosenFilter):
    """Runs with one error code."""

    title = _("cause")
    parameter_name = "cause"
    narrow = staticmethod(filters.with_cause)


class ProblemFilter(ChosenFilter):
    """Reports that cannot run for one reason."""

    title = _("problem")
    parameter_name = "problem"
    narrow = staticmethod(filters.with_problem)


class ConditionFilter(SimpleListFilter):
    """Conditions that need attention."""

    title = _("condition")
    parameter_name = "condition"

    OF_RUNS = frozenset({"failing", "flaky", "never_run"})

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return the conditions, most urgent first; those about runs only for viewers of runs."""
        conditions: Lookups = [
            ("late", _("late")),
            ("failing", _("failed in the last 24 hours")),
            ("flaky", _("flaky: alternates between success and failure")),
            ("never_run", _("never run")),
            ("invalid", _("invalid definition")),
            ("paused", _("paused")),
            ("shadow", _("in shadow")),
        ]
        return [condition for condition in conditions if may_view_runs(request) or condition[0] not in self.OF_RUNS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportSchedule]) -> QuerySet[ReportSchedule]:
        name = self.value() or ""
        if name in self.OF_RUNS and not may_view_runs(request):
            raise PermissionDenied
        chosen = CONDITIONS.get(name)
        return queryset if chosen is None else chosen(queryset, get_ports().clock(), settings_for(request))


class ReportFilter(SimpleListFilter):
    """One report, chosen by a link: a list of all reports would be too long."""

    title = _("report")
    parameter_name = "report"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return only the chosen report, to show and remove it."""
        chosen = self.value()
        if chosen is None:
            return []
        report = visible_rows(model_admin.admin_site, ReportSchedule, request).filter(pk=_key(chosen)).first()
        # Without a choice Django would drop the filter, and show all reports' rows as if they were this one's.
        return [(chosen, isolated(str(report)) if report else _("no such report"))]

    def value(self) -> str | None:
        """Return the chosen report's key; Django asks before and after it knows the choices."""
        return self.used_parameters.get(self.parameter_name)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(schedule=_key(chosen))


def _key(chosen: str) -> int:
    """Parse a key in an address; 0, which no row has, if it is none."""
    return int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0
