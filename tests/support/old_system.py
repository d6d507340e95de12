"""An imitation of the system that the app replaces: it reads the project, submits to the same Fireant and records its jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import requests
from croniter import croniter
from django.forms.models import model_to_dict
from django.utils import timezone

from tests.host.api.models import GeoEvent, Job, Report, ReportModifier

NOT_SENT = {"id", "cron"}


@dataclass(kw_only=True)
class OldSystem:
    """Its sensor serves the due times since its last tick, of the reports that it has not handed over.

    `served` names each submission's job by report and scheduled time.
    """

    url: str
    key: str
    folder: Path
    ticked_at: datetime
    stopped: set[int] = field(default_factory=set)
    served: list[tuple[int, datetime]] = field(default_factory=list)

    def stop(self, reports: Iterable[Report]) -> None:
        self.stopped |= {report.pk for report in reports}

    def start(self, reports: Iterable[Report]) -> None:
        self.stopped -= {report.pk for report in reports}

    def tick(self, now: datetime) -> None:
        """Submit every time since the last tick."""
        for report in Report.objects.exclude(pk__in=self.stopped).order_by("pk"):
            for due_at in due_times(report, after=self.ticked_at, until=now):
                self._serve(report, due_at, now)
        self.ticked_at = now

    def _serve(self, report: Report, due_at: datetime, now: datetime) -> None:
        modifier = _modifier(report, due_at.astimezone(timezone.get_default_timezone()).date())
        payload = _payload(report, modifier)
        response = requests.post(
            f"{self.url}/job_exposure_geo_agg",
            json=payload,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=10,
        )
        response.raise_for_status()
        job_id = response.json()["job_id"]
        job = Job.objects.create(report=report, report_modifier=modifier, fireant_jobid=job_id)
        Job.objects.filter(pk=job.pk).update(created=now)
        (self.folder / f"{report.pk}_job-{job_id}.json").write_text(json.dumps(payload))
        self.served.append((report.pk, due_at))


def due_times(report: Report, *, after: datetime, until: datetime) -> list[datetime]:
    """Return the report's times in (after, until]."""
    times = croniter(str(report.cron), after.astimezone(timezone.get_default_timezone()))
    found = []
    while (moment := times.get_next(datetime)) <= until:
        found.append(moment.astimezone(after.tzinfo))
    return found


def _modifier(report: Report, day: date) -> ReportModifier:
    modifier, _new = ReportModifier.objects.get_or_create(as_at_date=day, defaults={"fx_date": day})
    modifier.reports.add(report)
    return modifier


def _payload(report: Report, modifier: ReportModifier) -> dict[str, object]:
    fields = {name: value for name, value in model_to_dict(report).items() if name not in NOT_SENT}
    stamps = {name: getattr(report, name).isoformat() for name in ("created", "updated")}
    assert report.event_group is not None
    events = GeoEvent.objects.filter(groups=report.event_group).order_by("pk")
    return {
        **fields,
        **stamps,
        "as_at_date": str(modifier.as_at_date),
        "fx_date": str(modifier.fx_date),
        "geos": [
            {
                **{name: getattr(event, name) for name in ("id", "name", "description", "is_valid")},
                **{name: getattr(event, name) for name in ("country", "area", "subarea", "subarea2")},
                "event_type": "geo",
            }
            for event in events
        ],
        "meta": {"report_id": report.pk, "event_group_id": report.event_group_id, "modifier_id": modifier.pk},
    }
