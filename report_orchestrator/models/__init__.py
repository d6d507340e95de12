"""Our tables. The run table is the truth; the others explain it or speed it up.

runs              runs, with guarded writes
run_parts         their payloads and the attempts at their steps
schedules         the reports that discovery knows, and when each is due
earlier_jobs      the Fireant jobs of earlier submissions
changes           the differences that discovery and people made to them
operator_actions  the actions of people on runs
shared_state      named rows that all processes share
instants          the database field of all instants
managers          the manager of all our tables, which reads where they are written
partial_indexes   models whose indexes have conditions, which MySQL ignores
database_errors   temporary errors of the database
connections       close the process's connections
upsert            insert or update a row in one statement
"""

from report_orchestrator.models.changes import ReportChange
from report_orchestrator.models.earlier_jobs import EarlierJob
from report_orchestrator.models.operator_actions import Intervention, InterventionKind
from report_orchestrator.models.run_parts import RunPayload, RunStep
from report_orchestrator.models.runs import ReportRun
from report_orchestrator.models.schedules import ReportSchedule, ScheduleState
from report_orchestrator.models.shared_state import SharedState, StateName

__all__ = [
    "EarlierJob",
    "Intervention",
    "InterventionKind",
    "ReportChange",
    "ReportRun",
    "ReportSchedule",
    "RunPayload",
    "RunStep",
    "ScheduleState",
    "SharedState",
    "StateName",
]
