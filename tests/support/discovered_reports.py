"""Reports that discovery has found, and the kinds of changes that it made."""

from __future__ import annotations

from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportSchedule
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.discovery.result import Discovery
from report_orchestrator.testing import FakePorts, geo_report


def kinds(found: Discovery) -> list[str]:
    return [change.kind.value for change in found.changes]


def row(key: str = "1") -> ReportSchedule:
    return ReportSchedule.objects.get(report_key=key)


def known(fakes: FakePorts, count: int = 1) -> None:
    for number in range(1, count + 1):
        fakes.reports.add(geo_report(str(number)))
    discover(runtime=fakes.runtime(get_settings()))
