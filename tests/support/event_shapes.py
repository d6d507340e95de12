"""Settings and rows of hosts with events of other shapes, and runs of their reports."""

from typing import Any

from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.sandbox.fireant import FireantSandbox
from tests.hosts import base, shapes
from tests.support.commands import manage

RING = {"latitude": 51.5, "longitude": -0.1, "radius": 5.0}
BOX = {"max_lat": 2.0, "min_lat": 1.0, "max_lon": 2.0, "min_lon": 1.0}
DAILY = "0 6 * * *"
COLUMN = {"REPORT_MODEL": "hosts.SpotReport", "EVENT_KIND_FIELD": "kind"}
NUMBERED = COLUMN | {"EVENT_KIND_FIELD": "number", "EVENT_KINDS": {1: "ring", 2: "box", 3: "ring"}}
OWN = {"REPORT_MODEL": "hosts.OwnReport", "REPORT_FIELDS": {"event_group": ""}}
RELATIONS = {"ring": "circles", "box": "squares"}
SPLIT = {"REPORT_MODEL": "hosts.SplitReport", "REPORT_FIELDS": {"event_group": ""}, "EVENT_RELATIONS": RELATIONS}
SPLIT_GROUP = {"REPORT_MODEL": "hosts.SplitGroupReport", "EVENT_RELATIONS": RELATIONS}
SOURCE = {
    "REPORT_MODEL": "hosts.TextReport",
    "REPORT_FIELDS": {"event_group": ""},
    "EVENT_SOURCE": "tests.hosts.shapes.events_of",
}


def spot_report(*spots: shapes.Spot) -> shapes.SpotReport:
    group = shapes.SpotGroup.objects.create()
    group.events.set(spots)
    report: shapes.SpotReport = shapes.SpotReport.objects.create(name="Wind", cron=DAILY, event_group=group)
    return report


def spot(**given: Any) -> shapes.Spot:
    made: shapes.Spot = shapes.Spot.objects.create(**{"name": "Thames", **RING} | given)
    return made


def circle(name: str = "Thames") -> shapes.Circle:
    made: shapes.Circle = shapes.Circle.objects.create(name=name, **RING)
    return made


class Host:
    """A host with these settings, and a Fireant that shows the payloads it gets."""

    def __init__(self, fireant: FireantSandbox) -> None:
        self._fireant = fireant

    def discovered(self, report: base.Host) -> ReportSchedule:
        """Return the report as discovery finds it."""
        manage("discover_reports")
        return ReportSchedule.objects.get(report_key=str(report.pk))

    def run(self, report: base.Host) -> ReportRun:
        manage("run_report", report.pk, "--now")
        return ReportRun.objects.latest("pk")

    def payload_of(self, report: base.Host) -> dict[str, Any]:
        """Return the payload that Fireant gets in a run of an active report."""
        assert (self.discovered(report).problem, self.run(report).error) == ("", "")
        return dict(self._fireant.jobs[-1].payload)

    def refusal_of(self, report: base.Host, code: str) -> str:
        """Return the problem for which discovery and a run refuse the report alike."""
        row, run = self.discovered(report), self.run(report)
        assert (row.state, row.problem_code, run.error_code) == ("quarantined", code, code)
        assert self._fireant.jobs == ()
        assert row.problem == run.error
        return row.problem
