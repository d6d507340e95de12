"""Reports under other names: an analysis, timed by a row of its own, over a footprint of shapes."""

from __future__ import annotations

import uuid

from django.db import models


class Timing(models.Model):
    """The schedule of an analysis."""

    expression = models.CharField(max_length=100)
    zone = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.expression


class Shape(models.Model):
    """A place, of one kind or another."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    label = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.label


class Circle(Shape):
    """A ring, as others call it."""

    lat = models.DecimalField(max_digits=9, decimal_places=6)
    lon = models.DecimalField(max_digits=9, decimal_places=6)
    km = models.FloatField()


class Footprint(models.Model):
    """An event group, as others call it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    shapes = models.ManyToManyField(Shape)

    def __str__(self) -> str:
        return str(self.pk)


class Analysis(models.Model):
    """A report, as others call it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=100)
    timing = models.ForeignKey(Timing, on_delete=models.PROTECT)
    footprint = models.ForeignKey(Footprint, null=True, on_delete=models.SET_NULL)
    live = models.BooleanField(default=True)
    threshold = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    touched_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


def make_analysis() -> str:
    """One analysis of two circles, every day at half past two; returns its key."""
    footprint = Footprint._default_manager.create()
    for label in ("Thames", "Humber"):
        footprint.shapes.add(Circle._default_manager.create(label=label, lat="51.5", lon="-0.1", km=5))
    timing = Timing._default_manager.create(expression="30 2 * * *", zone="Europe/London")
    analysis = Analysis._default_manager.create(title="Surge", timing=timing, footprint=footprint, threshold="1.50")
    return str(analysis.pk)
