"""Reports and events of the example host, and the adapters that read them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from report_orchestrator.adapters.host.jobs import HostJobs
from report_orchestrator.adapters.host.reports import HostReports
from tests.host.api import models as host
from tests.support.settings_factory import SettingsFactory

WHOLE_HOST = {"MODIFIER_MODEL": "api.ReportModifier", "JOB_MODEL": "api.Job"}


def aware(value: datetime) -> datetime:
    """A value of the host's, which is naive where the host uses no time zones."""
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def reports_of(**given: object) -> HostReports:
    return HostReports(SettingsFactory.make(**WHOLE_HOST | given))


def jobs_of(**given: object) -> HostJobs:
    return HostJobs(SettingsFactory.make(**WHOLE_HOST | given))


def make_report(name: str = "Windstorm", *events: host.Event, **given: Any) -> host.Report:
    """A report with an event group of its own."""
    group = host.EventGroup.objects.create(name=f"group of {name}")
    group.events.set(events)
    return host.Report.objects.create(**{"name": name, "peril": "WS", "event_group": group, **given})


def a_ring(**given: Any) -> host.RingEvent:
    place = {"name": "Canary Wharf", "latitude": 51.5, "longitude": -0.02, "radius": 0.4}
    return host.RingEvent.objects.create(**place | given)
