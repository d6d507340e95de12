"""Hosts whose events are no child models: a column holds the kind, several relations lead to them, or a function reads them."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat

from report_orchestrator.domain.reports import Event as OurEvent
from report_orchestrator.domain.reports import RingEvent as OurRing
from tests.hosts.base import Base, Event, EventGroup, Host


class Spot(Host):
    """One table for rings and boxes."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, default="ring")
    number = models.IntegerField(default=1)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    radius = models.FloatField(null=True)
    max_lat = models.FloatField(null=True)
    min_lat = models.FloatField(null=True)
    max_lon = models.FloatField(null=True)
    min_lon = models.FloatField(null=True)


class SpotGroup(Host):
    events = models.ManyToManyField(Spot)


class SpotReport(Base):
    event_group = models.ForeignKey(SpotGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class OwnReport(Base):
    """A report with events of its own, of child models."""

    events = models.ManyToManyField(Event)


class Circle(Host):
    name = models.CharField(max_length=200)
    latitude = models.FloatField()
    longitude = models.FloatField()
    radius = models.FloatField(null=True)


class SplitReport(Base):
    """A report with a relation to each kind of event."""

    circles = models.ManyToManyField(Circle)


class Square(Host):
    name = models.CharField(max_length=200)
    report = models.ForeignKey(SplitReport, null=True, on_delete=models.CASCADE, related_name="squares")
    max_lat = models.FloatField(default=2)
    min_lat = models.FloatField(default=1)
    max_lon = models.FloatField(default=2)
    min_lon = models.FloatField(default=1)


class SplitGroup(Host):
    circles = models.ManyToManyField(Circle)
    squares = models.ManyToManyField(Square)


class SplitGroupReport(Base):
    event_group = models.ForeignKey(SplitGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class TextReport(Base):
    """A report whose events are text: a line for each."""

    places = models.TextField(default="")
    circles = models.ManyToManyField(Circle)


class ColumnsReport(Host):
    """A report whose cron is in five columns. Another joins them."""

    name = models.CharField(max_length=200)
    minute = models.CharField(max_length=50, default="*")
    hour = models.CharField(max_length=50, default="*")
    day_of_month = models.CharField(max_length=50, default="*")
    month_of_year = models.CharField(max_length=50, default="*")
    day_of_week = models.CharField(max_length=50, default="*")
    cron = models.GeneratedField(
        expression=Concat(
            "minute",
            Value(" "),
            "hour",
            Value(" "),
            "day_of_month",
            Value(" "),
            "month_of_year",
            Value(" "),
            "day_of_week",
        ),
        output_field=models.CharField(max_length=254),
        db_persist=True,
    )
    event_group = models.ForeignKey(EventGroup, null=True, on_delete=models.SET_NULL, related_name="+")


def events_of(report: TextReport) -> Iterator[OurEvent | dict[str, Any]]:
    """Yield dicts of the report's text, and rings of its circles."""
    for number, line in enumerate(report.places.splitlines(), 1):
        kind, latitude, longitude, radius = line.split()
        yield {
            "kind": kind,
            "id": number,
            "name": f"{kind} {number}",
            "latitude": Decimal(latitude),
            "longitude": Decimal(longitude),
            "radius": None if radius == "-" else float(radius),
        }
    for circle in report.circles.all():
        yield OurRing(
            id=circle.pk, name=circle.name, description="", is_valid=True,
            latitude=circle.latitude, longitude=circle.longitude, radius=circle.radius or 0,
        )  # fmt: skip


events_of.prefetch_related = ("circles",)  # type: ignore[attr-defined]


def one_ring(_report: models.Model) -> list[dict[str, Any]]:
    return [{"kind": "ring", "id": "r1", "latitude": 1, "longitude": 2, "radius": 3}]


def unfit(report: TextReport) -> list[Any]:
    """Return the report's text, evaluated as Python."""
    return [eval(report.places)]  # noqa: S307


def offline(report: TextReport) -> list[Any]:
    raise ConnectionError("geo.example is not reachable")


def raising(report: TextReport) -> list[Any]:
    """Raise the error that the report's text is as Python, caught and wrapped as its name asks."""
    error = eval(report.places)  # noqa: S307
    if not report.name:
        raise error
    try:
        raise error
    except type(error) as cause:
        raise OSError(str(report.name)) from cause


def from_files(report: TextReport) -> list[Any]:
    """Return the events in the file that bears the report's name."""
    rows: list[Any] = json.loads(Path(str(report.name)).read_text())
    return rows
