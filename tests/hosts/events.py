"""Event models that are hard to guess, and rows that count as deleted."""

from __future__ import annotations

from typing import Any

from django.db import models

from tests.hosts.base import Base, Event, Host


class MonitoringEvent(Event):
    """Its name contains a kind, and it has no rows of its own."""

    class Meta:
        app_label = "hosts"
        proxy = True


class Place(Host):
    """One table for all kinds."""

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10)
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    radius = models.FloatField(null=True)


class RingPlace(Place):
    class Meta:
        app_label = "hosts"
        proxy = True


class PlaceGroup(Host):
    events = models.ManyToManyField(Place)


class PlaceReport(Base):
    event_group = models.ForeignKey(PlaceGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class Doubt(Host):
    name = models.CharField(max_length=200)


class RingDoubt(Doubt):
    latitude = models.FloatField(null=True)
    longitude = models.FloatField(null=True)
    radius = models.FloatField(null=True)


class WeatheringDoubt(Doubt):
    """A second model whose name contains a kind."""

    grade = models.IntegerField(default=0)


class GeologyDoubt(Doubt):
    """The only model whose name contains a kind, without that kind's fields."""

    layer = models.IntegerField(default=0)


class DoubtGroup(Host):
    events = models.ManyToManyField(Doubt)


class DoubtReport(Base):
    event_group = models.ForeignKey(DoubtGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class Kept(models.Manager[Any]):
    """Leaves out the rows that are marked as deleted."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(deleted=False)


class SoftEvent(Host):
    name = models.CharField(max_length=200)
    deleted = models.BooleanField(default=False)
    objects = Kept()
    everything: models.Manager[Any] = models.Manager()


class SoftRing(SoftEvent):
    latitude = models.FloatField()
    longitude = models.FloatField()
    radius = models.FloatField()
    retired = models.BooleanField(default=False)

    class Unretired(models.Manager[Any]):
        def get_queryset(self) -> models.QuerySet[Any]:
            return super().get_queryset().filter(retired=False)

    objects = Unretired()  # type: ignore[assignment]


class SoftBox(SoftEvent):
    max_lat = models.FloatField()
    min_lat = models.FloatField()
    max_lon = models.FloatField()
    min_lon = models.FloatField()


class SoftGroup(Host):
    events = models.ManyToManyField(SoftEvent)
    deleted = models.BooleanField(default=False)
    objects = Kept()


class SoftReport(Base):
    event_group = models.ForeignKey(SoftGroup, null=True, on_delete=models.DO_NOTHING, related_name="+")
