"""`manage.py resume_reports`: resume paused reports."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.domain.error_codes import RefusalCode
from report_orchestrator.exceptions import NotPossibleError
from report_orchestrator.management.base import format_local, parse_instant, pluralize
from report_orchestrator.management.pause_command import PauseCommand
from report_orchestrator.models import ReportChange
from report_orchestrator.services.scheduling.pausing import ScheduledCounts, resume, resume_all


class Command(PauseCommand):
    help = "Resumes the scheduling of reports. MISSED_RUNS selects which of the missed times run."
    examples = """examples:
  manage.py resume_reports 42 43 --reason "the data is loaded"
  manage.py resume_reports --all --reason "maintenance is over"
        end the pause of all; reports paused individually stay paused
  manage.py resume_reports --all --from-now --reason "another system has run the missed times"
        the same, and the times of the pause are dropped
  manage.py resume_reports --all --paused-at "2026-07-01 14:07:00" --reason "maintenance is over"
        the same, unless all were paused anew since that time

exit status: 0 success, 1 a report does not exist, or --paused-at is not the time of the pause, 2 wrong usage"""
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

        parser.add_argument(
            "--paused-at",
            type=parse_instant,
            metavar="TIME",
            help="with --all: end only the pause of this time, as orchestrator_status shows it, and none that came later",
        )

    def choices(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        chosen = {"from_now": options["from_now"]}
        if options["paused_at"] is None:
            return chosen
        if not options["all"]:
            self.usage_error("--paused-at needs --all.")
        return chosen | {"paused_at": options["paused_at"]}

    def refuse_unchanged(self, options: Mapping[str, Any]) -> None:
        if options["paused_at"] is not None:
            raise NotPossibleError(
                f"No pause of all reports that began at {format_local(options['paused_at'])} is in effect. Nothing was changed. "
                "orchestrator_status shows the pause in effect.",
                code=RefusalCode.PAUSED_ANEW,
            )

    def describe_all(self, change: ReportChange | None, counts: ScheduledCounts) -> str:
        resumed = f"Scheduling resumed for {pluralize(counts.scheduled, 'active report')}."
        text = resumed if change else "There was no pause of all reports. Nothing changed."
        if not counts.paused:
            return text
        stay = "stays" if counts.paused == 1 else "stay"
        return f"{text} {pluralize(counts.paused, 'report')} {stay} paused individually. Resume by ID."
