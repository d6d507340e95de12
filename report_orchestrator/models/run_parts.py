"""The payload of a run, and the attempts at its steps."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from report_orchestrator.domain.reports import Json
from report_orchestrator.domain.runs import StepResult
from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager
from report_orchestrator.models.partial_indexes import PartiallyIndexedModel
from report_orchestrator.models.runs import STEP_LABELS, ReportRun

RESULT_LABELS = {
    StepResult.STARTED: _("started"),
    StepResult.COMPLETED: _("completed"),
    StepResult.WAITING: _("waiting"),
    StepResult.RETRIED: _("failed, retried"),
    StepResult.FAILED: _("failed"),
    StepResult.LOST: _("worker lost"),
    StepResult.CANCELED: _("canceled"),
}


class RunPayload(models.Model):
    """The payload sent to Fireant, in a table of its own so that lists of runs do not load it."""

    run = models.OneToOneField(
        ReportRun, on_delete=models.CASCADE, primary_key=True, related_name="payload", verbose_name=_("run")
    )
    body = models.JSONField(_("body"))

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("payload")
        verbose_name_plural = _("payloads")

    def __str__(self) -> str:
        return f"payload of run {self.pk}"


class RunStep(PartiallyIndexedModel):
    """One attempt at one step; all polls of an attempt share its row."""

    run = models.ForeignKey(ReportRun, on_delete=models.CASCADE, related_name="steps", verbose_name=_("run"))
    step = models.CharField(_("step"), max_length=32, choices=[(s.value, label) for s, label in STEP_LABELS.items()])
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    result = models.CharField(
        _("result"),
        max_length=16,
        default=StepResult.STARTED.value,
        choices=[(r.value, label) for r, label in RESULT_LABELS.items()],
    )
    started_at = InstantField(_("started"))
    ended_at = InstantField(_("ended"), null=True, blank=True)
    metadata: models.JSONField[Mapping[str, Json], Mapping[str, Json]] = models.JSONField(_("details"), default=dict)
    error_code = models.CharField(_("error code"), max_length=40, blank=True)
    error = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ("pk",)
        constraints = [models.UniqueConstraint(fields=["run", "step", "attempt"], name="ro_step_attempt_uniq")]
        indexes = [
            models.Index(
                fields=["started_at"], name="ro_step_submitted_idx", condition=Q(step="external_job_submission")
            )
        ]

    def __str__(self) -> str:
        return f"{self.step}, attempt {self.attempt}"
