"""List filters that an index answers, whatever the number of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.ui.links import may_view_runs, visible_rows
from report_orchestrator.admin.ui.phrases import error_title, isolated
from report_orchestrator.admin.ui.request_settings import settings_for
from report_orchestrator.domain.runs import ENDED, RETRYABLE_BY_PERSON, UNFINISHED, Status
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.monitoring.failure_groups import RECENTLY
from report_orchestrator.services.reports.conditions import CONDITIONS
from report_orchestrator.wiring import get_ports

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Lookups: TypeAlias = list[tuple[str, _StrPromise | str]]


NOT_SUCCEEDED = [*UNFINISHED, *ENDED - {Status.SUCCEEDED}]


class StatusFilter(SimpleListFilter):
    """A status, or one of two groups of statuses."""

    title = _("status")
    parameter_name = "status"

    GROUPS = {"unfinished": sorted(UNFINISHED), "stopped": sorted(RETRYABLE_BY_PERSON)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return the groups, then the statuses."""
        groups: Lookups = [("stopped", _("needs attention")), ("unfinished", _("in progress"))]
        return groups + [(status.value, label) for status, label in STATUS_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen in self.GROUPS:
            return queryset.filter(status__in=self.GROUPS[chosen])
        return queryset.filter(status=chosen)


class ResultFilter(SimpleListFilter):
    """Runs with a stored result: the list then shows their results."""

    title = _("result")
    parameter_name = "result"
    STORED = "stored"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(self.STORED, _("stored"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        # By the status too, which has an index in the order of time.
        return queryset if self.value() is None else queryset.filter(status=Status.SUCCEEDED).exclude(results_path="")


class ColumnFilter(SimpleListFilter):
    """Rows whose `column` has the chosen value, with the conditions in `also` that let an index answer."""

    column: str
    also: Mapping[str, object] = {}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(**self.also, **{self.column: chosen})


class StepFilter(ColumnFilter):
    """The current or last step. Succeeded runs are past all steps and are left out."""

    title = _("current step")
    parameter_name = "step"
    column = "step"
    also = {"status__in": NOT_SUCCEEDED}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(step.value, label) for step, label in STEP_LABELS.items()]


class LatelyFilter(SimpleListFilter):
    """Rows of the last hour, day, week or month, by the instant in `column`."""

    column: str
    also: Mapping[str, object] = {}

    SPANS = {"hour": timedelta(hours=1), "day": RECENTLY, "week": timedelta(weeks=1), "month": timedelta(days=30)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """Return the time spans, shortest first."""
        return [
            ("hour", _("in the last hour")),
            ("day", _("in the last 24 hours")),
            ("week", _("in the last 7 days")),
            ("month", _("in the last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.SPANS.get(self.value() or "")
        if span is None:
            return queryset
        return queryset.filter(**{f"{self.column}__gte": get_ports().clock() - span}, **self.also)


class OpenedFilter(LatelyFilter):
    """Runs by the time they were opened."""

    title = _("created")
    parameter_name = "opened"
    column = "created_at"
    # The index on when a run was opened begins with its status: naming all of them lets it answer.
    also = {"status__in": list(Status)}


class EndedFilter(LatelyFilter):
    """Runs by the time they ended."""

    title = _("ended")
    parameter_name = "ended"
    column = "ended_at"


class NoticedFilter(LatelyFilter):
    """Changes by the time they were noticed."""

    title = _("detected")
    parameter_name = "noticed"
    column = "noticed_at"


class ChosenFilter(ColumnFilter):
    """A value chosen by a link. Only the chosen value is listed, to be removed: a list of all would need a scan."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        chosen = self.value()
        return [] if chosen is None else [(chosen, error_title(chosen))]

    def value(self) -> str | None:
        """Return the chosen value; Django asks before and after it knows the choices."""
        return self.used_parameters.get(str(self.parameter_name))


class CauseFilter(ChosenFilter):
    """Runs with one error code. Succeeded runs have none and are left out."""

    title = _("cause")
    parameter_name = "cause"
    column = "error_code"
    also = {"status__in": NOT_SUCCEEDED}


class ProblemFilter(ChosenFilter):
    """Reports that cannot run for one reason."""

    title = _("problem")
    parameter_name = "problem"
    column = "problem_code"
    also = {"state": ScheduleState.QUARANTINED}


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
