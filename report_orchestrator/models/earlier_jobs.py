"""The Fireant jobs of a run's earlier submissions, to find the run by what Fireant's messages name."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.managers import PrimaryManager


class EarlierJob(models.Model):
    """A job that a retry replaced by a new one; the present job is a column of the run."""

    run = models.ForeignKey(
        "report_orchestrator.ReportRun", on_delete=models.CASCADE, related_name="earlier_jobs", verbose_name=_("run")
    )
    submission = models.PositiveSmallIntegerField(_("submission"))
    fireant_job_id = models.CharField(_("Fireant job"), max_length=200)

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("earlier Fireant job")
        verbose_name_plural = _("earlier Fireant jobs")
        indexes = [models.Index(fields=["fireant_job_id"], name="ro_earlier_job_idx")]

    def __str__(self) -> str:
        return f"job {self.fireant_job_id} of run {self.run_id}"
