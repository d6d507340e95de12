"""The facts of one run, under labels in plain words."""

from __future__ import annotations

from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.display import NOTHING, code, folded, instant, preformatted
from report_orchestrator.admin.masking import beginning_without_secrets
from report_orchestrator.admin.readonly import ReadOnlyAdmin
from report_orchestrator.admin.story import what_happened, what_happens_next, what_to_do
from report_orchestrator.models import ReportRun

PAYLOAD_SHOWN = 32 * 1024
"""Characters, however many events were sent."""


class RunPage(ReadOnlyAdmin[ReportRun]):
    """The fields of a run's page that its list does not have."""

    fieldsets = (
        (None, {"fields": ("report", "signed_status", "happened", "happens_next", "advice")}),
        (
            _("The run"),
            {
                "fields": (
                    "due",
                    "run_date",
                    "trigger",
                    "triggered_by",
                    "priority",
                    "step",
                    "tries",
                    "opened",
                    "started",
                    "ended",
                    "took",
                    "next_look",
                    "error_code",
                    "copied_reference",
                )
            },
        ),
        (
            _("The job in Fireant"),
            {
                "fields": (
                    "job",
                    "fireant_status",
                    "job_kind",
                    "modifier_key",
                    "submission",
                    "sent_twice",
                    "sent_as",
                )
            },
        ),
        (_("The result"), {"fields": ("place", "size", "checksum")}),
        (_("What was sent"), {"fields": ("digest", "sent")}),
    )

    @admin.display(description=_("what happened"))
    def happened(self, run: ReportRun) -> SafeString:
        """How it was opened, how it went, and where it stands."""
        return what_happened(run)

    @admin.display(description=_("what happens next by itself"))
    def happens_next(self, run: ReportRun) -> SafeString:
        """What the machine does, and when."""
        return what_happens_next(run)

    @admin.display(description=_("what you can do"))
    def advice(self, run: ReportRun) -> SafeString:
        """What a person can do."""
        return what_to_do(run)

    @admin.display(description=_("started"))
    def started(self, run: ReportRun) -> str:
        """When a worker first took it."""
        return instant(run.started_at)

    @admin.display(description=_("ended"))
    def ended(self, run: ReportRun) -> str:
        """When it ended."""
        return instant(run.ended_at)

    @admin.display(description=_("next look"))
    def next_look(self, run: ReportRun) -> str:
        """When somebody must look at it."""
        return instant(run.wake_at)

    @admin.display(description=_("reference"))
    def copied_reference(self, run: ReportRun) -> str:
        """What names the result in the store."""
        return code(run.reference)

    @admin.display(description=_("Fireant job"))
    def job(self, run: ReportRun) -> str:
        """The job's id."""
        return code(run.fireant_job_id)

    @admin.display(description=_("possibly sent twice"))
    def sent_twice(self, run: ReportRun) -> str:
        """A word, where Django would show a red cross for the good case."""
        return str(_("yes: look in Fireant") if run.possibly_submitted_twice else _("no"))

    @admin.display(description=_("sent under the reference"))
    def sent_as(self, run: ReportRun) -> str:
        """What Fireant was told to know the job by."""
        return code(run.client_reference)

    @admin.display(description=_("stored at"))
    def place(self, run: ReportRun) -> str:
        """Where the result is."""
        return code(run.results_path)

    @admin.display(description=_("size"))
    def size(self, run: ReportRun) -> str:
        """The result's size, in short and to the byte."""
        if run.result_size is None:
            return NOTHING
        exact = number_format(run.result_size, force_grouping=True)
        return str(_("{short} ({exact} bytes)")).format(short=filesizeformat(run.result_size), exact=exact)

    @admin.display(description=_("SHA-256 of the result"))
    def checksum(self, run: ReportRun) -> str:
        """The result's hash."""
        return code(run.result_sha256)

    @admin.display(description=_("SHA-256 of the payload"))
    def digest(self, run: ReportRun) -> str:
        """The payload's hash."""
        return code(run.payload_digest)

    @admin.display(description=_("payload"))
    def sent(self, run: ReportRun) -> str:
        """The payload, folded: its beginning where it is long."""
        try:
            text, is_cut = beginning_without_secrets(run.payload.body, PAYLOAD_SHOWN)
        except ObjectDoesNotExist:
            return NOTHING
        summary = _("Show the beginning of the payload") if is_cut else _("Show the payload")
        return folded(summary, preformatted(text))
