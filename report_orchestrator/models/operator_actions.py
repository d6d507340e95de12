"""The actions of people on runs."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from report_orchestrator.models.instants import InstantField
from report_orchestrator.models.managers import PrimaryManager

LONGEST_NAME = 100
"""Characters of a user name in the audit, which also has the ID."""


def actor_name(user_name: object, user_id: object) -> str:
    """Return a user as the audit names them. The name alone could be another person's once this user is deleted.

    A project's user model may have names that are no texts, such as numbers.
    """
    return f"{str(user_name)[:LONGEST_NAME]} (user {user_id})"


class InterventionKind(models.TextChoices):
    OPENED = "opened", _("created manually")
    BACKFILLED = "backfilled", _("created by a backfill")
    RETRIED = "retried", _("retried")
    CANCELED = "canceled", _("canceled")
    DOWNLOADED = "downloaded", _("result downloaded")


class Intervention(models.Model):
    run = models.ForeignKey(
        "report_orchestrator.ReportRun", on_delete=models.CASCADE, related_name="interventions", verbose_name=_("run")
    )
    kind = models.CharField(_("action"), max_length=16, choices=InterventionKind.choices)
    actor = models.CharField(_("actor"), max_length=150)
    reason = models.TextField(_("reason"), blank=True)
    made_at = InstantField(_("time"))

    objects = PrimaryManager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = _("operator action")
        verbose_name_plural = _("operator actions")
        ordering = ("-made_at", "-pk")

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.actor}"
