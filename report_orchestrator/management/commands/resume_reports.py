"""`manage.py resume_reports`: resume paused reports."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.base import pluralize
from report_orchestrator.management.pause_command import PauseCommand
from report_orchestrator.models import ReportChange
from report_orchestrator.services.scheduling.pausing import ScheduledCounts, resume, resume_all


class Command(PauseCommand):
    help = "Resumes the scheduling of reports. MISSED_RUNS selects which of the missed times run."
    examples = """examples:
  manage.py resume_reports 42 43
  manage.py resume_reports --all                 end the pause of all; reports paused individually stay paused
  manage.py resume_reports --all --from-now      the same, and the times of the pause are dropped

exit status: 0 success, 1 a report does not exist, 2 wrong usage"""
    change_reports = staticmethod(resume)
    change_all = staticmethod(resume_all)
    done = "resumed"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--from-now",
            action="store_true",
            help="drop the times of the pause: they get no run and no recorded skip, as after another system has served them",
        )

    def choices(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"from_now": options["from_now"]}

    def describe_all(self, change: ReportChange | None, counts: ScheduledCounts) -> str:
        resumed = f"Scheduling resumed for {pluralize(counts.scheduled, 'active report')}."
        text = resumed if change else "There was no pause of all reports. Nothing changed."
        if not counts.paused:
            return text
        stay = "stays" if counts.paused == 1 else "stay"
        return f"{text} {pluralize(counts.paused, 'report')} {stay} paused individually. Resume by ID."
