"""`manage.py orchestrator_status`: a summary of reports, runs and workers."""

from collections.abc import Iterator, Mapping
from typing import Any

from report_orchestrator.domain.runs import Status
from report_orchestrator.management.base import OrchestratorCommand, pluralize
from report_orchestrator.models.runs import STATUS_LABELS
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.status import StatusSummary, read_status_summary

SPANS_SHOWN = 5


class Command(OrchestratorCommand):
    help = (
        "Says if all is well, and each problem with its remedy. Then shows reports by state, runs by status, the next due "
        "reports, active workers, the longest wait and who paused reports."
    )
    examples = """examples:
  manage.py orchestrator_status
  manage.py orchestrator_status --format json

exit status: 0 success, 1 failure, 2 wrong usage"""

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        summary = read_status_summary(runtime=runtime)
        if options["format"] == "json":
            self.write_json(summary)
        else:
            self._write_tables(summary)
        return False

    def _write_tables(self, summary: StatusSummary) -> None:
        self.stdout.write(summary.verdict)
        self.write_table(("problem", "what to do"), [(each.problem, each.remedy) for each in summary.problems])
        overdue = summary.most_overdue_seconds
        rows: list[tuple[str, object]] = [
            ("approach", summary.approach),
            ("reports", _describe(summary.reports)),
            ("paused", "all" if summary.all_paused else summary.paused or "none"),
            *([("in shadow", summary.in_shadow)] if summary.in_shadow else []),
            ("runs in progress", _describe_statuses(summary.live_runs)),
            ("runs ended in 24 h", _describe_statuses(summary.ended_last_day)),
            ("oldest run in progress", summary.oldest_live_run),
            ("longest overdue", overdue and f"{overdue.total_seconds():.0f} s"),
            ("workers", _describe_workers(summary)),
            ("worker processes", _describe_processes(summary.workers_alive)),
            ("last tick", summary.last_tick or "never"),
            ("last discovery", summary.last_discovery or "never: run python manage.py discover_reports"),
        ]
        self.write_table(("item", "value"), rows)
        spans = [(span.since, span.until, f"{span.count} times") for span in summary.evaluations[:SPANS_SHOWN]]
        self.write_table(("checked for due reports from", "to, without a gap", "checks"), spans)
        due_next = "due next if resumed" if summary.all_paused else "due next"
        self.write_table((due_next, "at"), [tuple(due.values()) for due in summary.next_due])
        self.write_table(("paused", "since", "by", "reason"), _pauses(summary))


def _describe_workers(summary: StatusSummary) -> str:
    if summary.last_tick is None:
        return "none: start one with python manage.py qcluster"
    finding = summary.workers
    return f"active, {finding.detail}" if finding.well else f"not active, {finding.detail}. {finding.hint}"


def _describe_processes(count: int | None) -> str:
    return "unknown: the database does not respond" if count is None else str(count)


def _pauses(summary: StatusSummary) -> Iterator[tuple[object, ...]]:
    """Yield the pause of all reports, then one row for all reports with the same person and reason."""
    for pause in summary.pauses:
        if pause.report is None:
            yield "all reports", pause.since, pause.by, pause.reason
    for group in summary.paused_together:
        yield group.report or pluralize(group.count, "report"), group.since, group.by, group.reason
    more = summary.paused - sum(group.count for group in summary.paused_together)
    if more > 0:
        yield f"and {more} more", None, None, None


def _describe(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _describe_statuses(counts: Mapping[str, int]) -> str:
    return _describe({str(STATUS_LABELS[Status(status)]): count for status, count in counts.items()})
