"""Filters that an index answers, whatever the number of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.addresses import may_view_runs
from report_orchestrator.admin.causes import cause_in_words
from report_orchestrator.admin.settings_in_force import settings_for
from report_orchestrator.domain.runs import ENDED, LIVE, RETRYABLE_BY_PERSON, Status
from report_orchestrator.models import ReportRun, ReportSchedule, ScheduleState
from report_orchestrator.models.runs import STATUS_LABELS, STEP_LABELS
from report_orchestrator.services.reading.conditions import CONDITIONS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Lookups: TypeAlias = list[tuple[str, _StrPromise | str]]


class StatusFilter(SimpleListFilter):
    """One status, or one of the two groups that people ask for."""

    title = _("status")
    parameter_name = "status"

    GROUPS = {"unfinished": sorted(LIVE), "stopped": sorted(RETRYABLE_BY_PERSON)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The groups, then the statuses."""
        groups: Lookups = [("stopped", _("needs a person")), ("unfinished", _("has not ended"))]
        return groups + [(status.value, label) for status, label in STATUS_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        """The runs that stand there."""
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen in self.GROUPS:
            return queryset.filter(status__in=self.GROUPS[chosen])
        return queryset.filter(status=chosen)


class StepFilter(SimpleListFilter):
    """The step at which a run stands, or stopped. Runs that succeeded are past all steps, and far too many to sift."""

    title = _("step where it stands")
    parameter_name = "step"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The steps, in order."""
        return [(step.value, label) for step, label in STEP_LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        """The runs at that step."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(status__in=[*LIVE, *ENDED - {Status.SUCCEEDED}], step=chosen)


class LatelyFilter(SimpleListFilter):
    """Rows of the last hour, day, week or month, by the instant in `column`."""

    column: str
    also: Mapping[str, object] = {}

    SPANS = {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(weeks=1),
        "month": timedelta(days=30),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The spans, shortest first."""
        return [
            ("hour", _("in the last hour")),
            ("day", _("in the last 24 hours")),
            ("week", _("in the last 7 days")),
            ("month", _("in the last 30 days")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows within the span."""
        span = self.SPANS.get(self.value() or "")
        if span is None:
            return queryset
        return queryset.filter(**{f"{self.column}__gte": datetime.now(UTC) - span}, **self.also)


class OpenedFilter(LatelyFilter):
    """Runs opened lately."""

    title = _("time opened")
    parameter_name = "opened"
    column = "created_at"
    # The index on when a run was opened begins with its status: naming all of them lets it answer.
    also = {"status__in": list(Status)}


class EndedFilter(LatelyFilter):
    """Runs that ended lately."""

    title = _("time ended")
    parameter_name = "ended"
    column = "ended_at"


class NoticedFilter(LatelyFilter):
    """Changes noticed lately."""

    title = _("time noticed")
    parameter_name = "noticed"
    column = "noticed_at"


class ChosenFilter(SimpleListFilter):
    """A value that a link chose. A list of all values would take a scan; the chosen one is shown, to let go of it."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The chosen value only."""
        chosen = self.value()
        return [] if chosen is None else [(chosen, cause_in_words(chosen))]

    def value(self) -> str | None:
        """The chosen value; Django asks for it before and after it knows the choices."""
        return self.used_parameters.get(str(self.parameter_name))


class CauseFilter(ChosenFilter):
    """Runs with one error code. Those that succeeded have none, and are far too many to sift."""

    title = _("cause")
    parameter_name = "cause"

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportRun]) -> QuerySet[ReportRun]:
        """The runs that say so."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(status__in=[*LIVE, *ENDED - {Status.SUCCEEDED}], error_code=chosen)


class ProblemFilter(ChosenFilter):
    """Reports that cannot run for one reason."""

    title = _("what is wrong")
    parameter_name = "problem"

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportSchedule]) -> QuerySet[ReportSchedule]:
        """Quarantined reports with that reason."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(state=ScheduleState.QUARANTINED, problem_code=chosen)


class ConditionFilter(SimpleListFilter):
    """What a person looks for in the morning."""

    title = _("condition")
    parameter_name = "condition"

    OF_RUNS = frozenset({"failing", "flaky", "never_run"})

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The conditions, the most urgent first; those that tell of runs are for whoever may see runs."""
        conditions: Lookups = [
            ("late", _("late")),
            ("failing", _("failed in the last 24 hours")),
            ("flaky", _("flaky: fails and succeeds in turn")),
            ("never_run", _("never run")),
            ("invalid", _("invalid: cannot run as it is defined")),
            ("paused", _("paused")),
        ]
        return [one for one in conditions if may_view_runs(request) or one[0] not in self.OF_RUNS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ReportSchedule]) -> QuerySet[ReportSchedule]:
        """The reports of which that is so."""
        name = self.value() or ""
        if name in self.OF_RUNS and not may_view_runs(request):
            raise PermissionDenied
        chosen = CONDITIONS.get(name)
        return queryset if chosen is None else chosen(queryset, datetime.now(UTC), settings_for(request))


class ReportFilter(SimpleListFilter):
    """One report, chosen on its own page or in a list: a list of all reports here would be as long as there are reports."""

    title = _("report")
    parameter_name = "report"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        """The chosen report only, so that the page says which it is and can let go of it."""
        chosen = self.value()
        if chosen is None:
            return []
        report = ReportSchedule.objects.filter(pk=_key(chosen)).first()
        # Without a choice Django would drop the filter, and show all reports' rows as if they were this one's.
        return [(chosen, str(report) if report else _("no such report"))]

    def value(self) -> str | None:
        """The chosen report's key; Django asks for it before and after it knows the choices."""
        return self.used_parameters.get(self.parameter_name)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that report."""
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(schedule=_key(chosen))


def _key(chosen: str) -> int:
    """A key out of an address, which may hold anything; 0 is no row's."""
    return int(chosen) if chosen.isdecimal() and len(chosen) < 19 else 0
