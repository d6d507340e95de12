"""The rows of the timeline's table of runs under way, with their expected ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from report_orchestrator.admin.ui.expected import describe_end, describe_progress, slow_warning
from report_orchestrator.admin.ui.format import NOTHING, duration, name_of
from report_orchestrator.admin.ui.links import Viewer
from report_orchestrator.models import ReportRun
from report_orchestrator.services.reports.runs_under_way import RunUnderWay


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    name: SafeString
    address: str | None
    step: str
    so_far: str
    warning: str
    typical: str
    end: str
    progress: str


def run_rows(under_way: Sequence[RunUnderWay], now: datetime, viewer: Viewer) -> list[RunRow]:
    return [_row(each, now, viewer) for each in under_way]


def _row(under_way: RunUnderWay, now: datetime, viewer: Viewer) -> RunRow:
    run, expected = under_way.run, under_way.expected
    return RunRow(
        name=name_of(run.report),
        address=viewer.page_address(ReportRun, run.pk),
        step=run.get_step_display(),
        so_far=duration(expected.so_far),
        warning=slow_warning(expected),
        typical=NOTHING if expected.typical is None else duration(expected.typical),
        end=describe_end(expected, now),
        progress=describe_progress(under_way.progress) or NOTHING,
    )
