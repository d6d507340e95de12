"""Relations in other directions, to other columns, and of other types."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from tests.hosts.base import Base, Event, EventGroup, Grouped, Host


class CodedGroupReport(Base):
    """Knows its group by a code."""

    event_group = models.ForeignKey(
        EventGroup, to_field="code", null=True, on_delete=models.SET_NULL, related_name="coded"
    )


class BackReport(Base):
    """Its group knows the report."""


class BackGroup(Host):
    report = models.OneToOneField(BackReport, on_delete=models.CASCADE, related_name="scope")
    events = models.ManyToManyField(Event, related_name="+")

    def __str__(self) -> str:
        return "for people"


class TranslatedReport(Grouped):
    pass


class Translation(Host):
    report = models.ForeignKey(TranslatedReport, on_delete=models.CASCADE, related_name="translations")
    name = models.CharField(max_length=200)
    group = models.ForeignKey(EventGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class GenericEvent(Host):
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, related_name="+")
    object_id = models.BigIntegerField()
    owner = GenericForeignKey()


class GenericGroup(Host):
    events = GenericRelation(GenericEvent)
    first = models.ForeignKey(Event, null=True, on_delete=models.SET_NULL, related_name="+")
    payload = models.JSONField(default=dict)


class GenericReport(Base):
    event_group = models.ForeignKey(GenericGroup, null=True, on_delete=models.SET_NULL, related_name="+")
    content_type = models.ForeignKey(ContentType, null=True, on_delete=models.CASCADE, related_name="+")
    object_id = models.BigIntegerField(null=True)
    owner = GenericForeignKey()


class BackFkGroup(Host):
    """Its events know the group."""


class BackFkEvent(Host):
    name = models.CharField(max_length=200)
    group = models.ForeignKey(BackFkGroup, null=True, on_delete=models.SET_NULL, related_name="events")


class BackFkRing(BackFkEvent):
    latitude = models.FloatField()
    longitude = models.FloatField()
    radius = models.FloatField()


class BackFkReport(Base):
    event_group = models.ForeignKey(BackFkGroup, null=True, on_delete=models.SET_NULL, related_name="+")


class LinkedEvent(Host):
    name = models.CharField(max_length=200, unique=True)


class LinkedGroup(Host):
    """Knows its events by a model of its own, and by another column than their key."""

    events: models.ManyToManyField[Any, Any] = models.ManyToManyField(
        LinkedEvent,
        related_name="+",
        through="hosts.Link",  # type: ignore[misc]  # not in mypy's settings
    )


class LinkedRing(LinkedEvent):
    latitude = models.DecimalField(max_digits=9, decimal_places=6)
    longitude = models.DecimalField(max_digits=9, decimal_places=6)
    radius = models.IntegerField()


class Link(Host):
    group = models.ForeignKey(LinkedGroup, on_delete=models.CASCADE)
    event = models.ForeignKey(LinkedEvent, to_field="name", on_delete=models.CASCADE)


class LinkedReport(Base):
    event_group = models.ForeignKey(LinkedGroup, null=True, on_delete=models.SET_NULL, related_name="+")
