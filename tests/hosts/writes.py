"""Modifiers and jobs in other forms, and tables that refuse rows."""

from __future__ import annotations

from django.db import models

from tests.hosts.base import Base, EventGroup, Grouped, Host, Report


class Job(Host):
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="+")
    fireant_jobid = models.CharField(max_length=20)
    status = models.CharField(max_length=8, default="")
    results_url = models.URLField(max_length=50, default="")
    updated = models.DateTimeField(auto_now=True)
    note = models.TextField(default="kept")


class StrictJob(Host):
    """Takes one status only."""

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="+")
    fireant_jobid = models.IntegerField()
    status = models.CharField(max_length=20, default="done")

    class Meta(Host.Meta):
        constraints = (models.CheckConstraint(condition=models.Q(status="done"), name="hosts_strict_status"),)


class NeedyModifier(Host):
    """Cannot be created without a group."""

    as_at_date = models.DateField()
    fx_date = models.DateField()
    owner = models.ForeignKey(EventGroup, on_delete=models.CASCADE, related_name="+")
    reports = models.ManyToManyField(Report)


class Dates(Host):
    as_at_date = models.DateField()
    fx_date = models.DateField()
    code = models.CharField(max_length=20, unique=True, null=True)


class BagReport(Grouped):
    """Declares the relation to its modifiers, and no name for its other end."""

    dates = models.ManyToManyField(Dates)


class CodeReport(Grouped):
    code = models.CharField(max_length=20, unique=True, null=True)


class CodeModifier(Host):
    """Knows its reports by their codes."""

    as_at_date = models.DateField()
    fx_date = models.DateField()
    number = models.CharField(max_length=20, unique=True, default="first")
    reports = models.ManyToManyField(CodeReport, through="hosts.CodeLink")  # type: ignore[misc]  # as Link


class CodeLink(Host):
    modifier = models.ForeignKey(CodeModifier, on_delete=models.CASCADE)
    report = models.ForeignKey(CodeReport, to_field="code", on_delete=models.CASCADE)


class CodeJob(Host):
    """Knows its report and its modifier by other columns than their keys."""

    report = models.ForeignKey(CodeReport, to_field="code", on_delete=models.CASCADE, related_name="+")
    report_modifier = models.ForeignKey(
        CodeModifier, to_field="number", null=True, on_delete=models.CASCADE, related_name="+"
    )
    fireant_jobid = models.IntegerField()
    status = models.CharField(max_length=20, default="")


class Holder(Host):
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="+")


class HeldJob(Host):
    """Knows its report through another row only."""

    holder = models.ForeignKey(Holder, on_delete=models.CASCADE, related_name="+")
    fireant_jobid = models.IntegerField()


class KeyJob(Host):
    """Keeps the report's key without a relation."""

    report = models.CharField(max_length=200)
    fireant_jobid = models.BigIntegerField()


class Unrelated(Base):
    pass
