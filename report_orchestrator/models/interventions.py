"""What people did: who, when, to what, and why."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField


class InterventionKind(models.TextChoices):
    """What was done."""

    OPENED = "opened", _("opened by hand")
    BACKFILLED = "backfilled", _("opened by a backfill")
    RETRIED = "retried", _("retried")
    CANCELED = "canceled", _("canceled")


class Intervention(models.Model):
    """One act of one person on one run."""

    run = models.ForeignKey(
        "report_orchestrator.ReportRun",
        on_delete=models.CASCADE,
        related_name="interventions",
        verbose_name=_("run"),
    )
    kind = models.CharField(_("what"), max_length=16, choices=InterventionKind.choices)
    actor = models.CharField(_("who"), max_length=150)
    reason = models.TextField(_("why"), blank=True)
    made_at = InstantField(_("when"))

    class Meta:
        verbose_name = _("intervention")
        verbose_name_plural = _("interventions")
        ordering = ("-made_at", "-pk")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.actor}"
