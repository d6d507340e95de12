"""The host's own tables: reports, their events, and the jobs that were run for them."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

# Deliberately weak, like the host's own: it counts five fields and reads none, so `99 99 99 99 99` passes.
five_fields = RegexValidator(r"^\S+( +\S+){4}$", "A cron has five fields: minute, hour, day, month, weekday.")


class Priority(models.TextChoices):
    BELOW_NORMAL = "BelowNormal", "Below normal"
    NORMAL = "Normal", "Normal"
    ABOVE_NORMAL = "AboveNormal", "Above normal"
    HIGH = "High", "High"


class Peril(models.TextChoices):
    WINDSTORM = "WS", "Windstorm"
    EARTHQUAKE = "EQ", "Earthquake"
    FLOOD = "FL", "Flood"
    TERRORISM = "TR", "Terrorism"
    WILDFIRE = "WF", "Wildfire"
    CONVECTIVE_STORM = "CS", "Convective storm"
    WINTER_STORM = "WT", "Winter storm"
    TSUNAMI = "TS", "Tsunami"
    VOLCANO = "VO", "Volcano"


class LossPerspective(models.TextChoices):
    GROUND_UP = "GroundUp", "Ground up"
    GROSS = "Gross", "Gross"
    NET = "Net", "Net"


class Event(models.Model):
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    zone = models.CharField(max_length=100, blank=True, default="")
    is_valid = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class RingEvent(Event):
    latitude = models.FloatField()
    longitude = models.FloatField()
    radius = models.FloatField()


class BoxEvent(Event):
    max_lat = models.FloatField()
    min_lat = models.FloatField()
    max_lon = models.FloatField()
    min_lon = models.FloatField()


class GeoEvent(Event):
    country = models.CharField(max_length=100)
    area = models.CharField(max_length=100, null=True, blank=True)
    subarea = models.CharField(max_length=100, null=True, blank=True)
    subarea2 = models.CharField(max_length=100, null=True, blank=True)


class EventGroup(models.Model):
    name = models.CharField(max_length=200)
    events = models.ManyToManyField(Event, related_name="groups", blank=True)
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Report(models.Model):
    name = models.CharField(max_length=200)
    peril = models.CharField(max_length=10, choices=Peril)
    dr = models.FloatField("damage ratio", default=1.0)
    event_group = models.ForeignKey(
        EventGroup, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    cron = models.CharField(max_length=100, null=True, blank=True, validators=[five_fields])
    cob = models.CharField("class of business", max_length=100, default="Property")
    loss_perspective = models.CharField(max_length=20, choices=LossPerspective, default=LossPerspective.GROSS)
    is_apply_calibration = models.BooleanField(default=True)
    is_apply_inflation = models.BooleanField(default=True)
    is_tag_outwards_ptns = models.BooleanField(default=False)
    is_location_breakout = models.BooleanField(default=False)
    is_ignore_missing_lat_lon = models.BooleanField(default=True)
    location_breakout_max_events = models.IntegerField(default=500_000)
    location_breakout_max_locations = models.IntegerField(default=1_000_000)
    priority = models.CharField(max_length=20, choices=Priority, default=Priority.ABOVE_NORMAL)
    ncores = models.IntegerField(default=24)
    gross_node_id = models.IntegerField(default=0)
    net_node_id = models.IntegerField(default=0)
    rollup_context_id = models.IntegerField(default=42)
    dynamic_ring_loss_threshold = models.IntegerField(default=5_000_000)
    blast_radius = models.FloatField(default=50.0)
    no_overlap_radius = models.FloatField(default=50.0)
    is_valid = models.BooleanField(default=True, help_text="The report may run.")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "reports"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ReportModifier(models.Model):
    as_at_date = models.DateField(null=True, blank=True)
    fx_date = models.DateField(null=True, blank=True)
    reports = models.ManyToManyField(Report, related_name="modifiers", blank=True)

    class Meta:
        ordering = ("-as_at_date",)

    def __str__(self) -> str:
        return f"as at {self.as_at_date}, exchange rates of {self.fx_date}"


class Job(models.Model):
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="jobs")
    report_modifier = models.ForeignKey(
        ReportModifier, on_delete=models.SET_NULL, null=True, blank=True, related_name="jobs"
    )
    fireant_jobid = models.IntegerField("Fireant job id")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"Fireant job {self.fireant_jobid}"
