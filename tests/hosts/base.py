"""The models that most hosts share."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


class Host(models.Model):
    """The base of all models here, which names their app."""

    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True
        app_label = "hosts"


class Event(Host):
    name = models.CharField(max_length=200)


class RingEvent(Event):
    latitude = models.FloatField()
    longitude = models.FloatField()
    radius = models.FloatField()


class BoxEvent(Event):
    max_lat = models.FloatField()
    min_lat = models.FloatField()
    max_lon = models.FloatField()
    min_lon = models.FloatField()


class EventGroup(Host):
    name = models.CharField(max_length=200)
    code = models.CharField(max_length=20, unique=True, null=True)
    events = models.ManyToManyField(Event)


class Base(Host):
    """The fields of every report."""

    name = models.CharField(max_length=200, null=True)
    cron = models.CharField(max_length=100, null=True)

    class Meta(Host.Meta):
        abstract = True


class Grouped(Base):
    """A report with an event group in a foreign key."""

    event_group = models.ForeignKey(EventGroup, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta(Base.Meta):
        abstract = True


class Report(Grouped):
    pass


def make_group(*, code: str | None = None) -> EventGroup:
    """Return a group of one ring."""
    group: EventGroup = EventGroup.objects.create(name="Ports", code=code)
    group.events.add(RingEvent.objects.create(name="Thames", latitude=51.5, longitude=-0.1, radius=5))
    return group
