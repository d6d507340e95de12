"""Our tables. The run table is the truth; everything else explains it or speeds it up."""

from report_orchestrator.models.changes import ReportChange
from report_orchestrator.models.interventions import Intervention, InterventionKind
from report_orchestrator.models.marks import Mark
from report_orchestrator.models.runs import ReportRun, RunPayload, RunStep
from report_orchestrator.models.schedules import ReportSchedule, ScheduleState

__all__ = [
    "Intervention",
    "InterventionKind",
    "Mark",
    "ReportChange",
    "ReportRun",
    "ReportSchedule",
    "RunPayload",
    "RunStep",
    "ScheduleState",
]
