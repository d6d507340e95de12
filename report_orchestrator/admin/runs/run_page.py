"""The fields of a run's page."""

from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from report_orchestrator.admin.runs.run_narrative import describe_advice, describe_history, describe_next
from report_orchestrator.admin.ui.format import KIB, NOTHING, copyable, file_size, folded, preformatted
from report_orchestrator.admin.ui.masked_json import beginning_without_secrets
from report_orchestrator.admin.ui.phrases import isolated
from report_orchestrator.admin.ui.readonly import ReadOnlyAdmin, code_field, instant_field, text_field
from report_orchestrator.models import ReportRun

PAYLOAD_SHOWN = 32 * 1024  # characters

ORIGIN = ("due", "day", "trigger", "triggered_by", "priority")
PROGRESS = ("step", "tries", "created", "started", "ended", "took", "next_check", "error_code")
JOB = ("job", "fireant_status", "job_kind", "modifier_key", "submission", "sent_twice", "sent_as")


class RunPage(ReadOnlyAdmin[ReportRun]):
    """The fields that the runs' list does not have."""

    fieldsets = (
        (None, {"fields": ("report", "signed_status", "history", "happens_next", "advice")}),
        (_("Run"), {"fields": (*ORIGIN, *PROGRESS, "copied_reference")}),
        (_("Fireant job"), {"fields": JOB}),
        (_("Result"), {"fields": ("place", "size", "checksum")}),
        (_("Payload"), {"fields": ("digest", "sent")}),
    )

    history = text_field(describe_history, _("history"))
    happens_next = text_field(describe_next, _("next step"))
    advice = text_field(describe_advice, _("advice"))
    tries = text_field(lambda run: isolated(f"{run.attempt} / {run.polls}"), _("attempt / polls"))
    day = text_field(lambda run: run.run_date.isoformat(), _("run date"))
    due = instant_field("scheduled_for", _("scheduled for"))
    created = instant_field("created_at", _("created"))
    started = instant_field("started_at", _("started"))
    ended = instant_field("ended_at", _("ended"))
    next_check = instant_field("wake_at", _("next check"))
    copied_reference = code_field("reference", _("reference"))
    job = code_field("fireant_job_id", _("Fireant job"))
    sent_as = code_field("client_reference", _("reference in Fireant"))
    place = text_field(lambda run: copyable(run.results_path, _("Copy the path")), _("result path"))
    checksum = code_field("result_sha256", _("SHA-256 of the result"))
    digest = code_field("payload_digest", _("SHA-256 of the payload"))

    @admin.display(description=_("possibly submitted twice"))
    def sent_twice(self, run: ReportRun) -> str:
        """In words, because Django would show a red cross for the good case."""
        return str(_("yes: check Fireant") if run.possibly_submitted_twice else _("no"))

    @admin.display(description=_("size"))
    def size(self, run: ReportRun) -> str:
        if run.result_size is None:
            return NOTHING
        short = file_size(run.result_size)
        if run.result_size < KIB:  # in bytes already
            return short
        exact = number_format(run.result_size, force_grouping=True)
        return str(_("{short} ({exact} bytes)")).format(short=short, exact=exact)

    @admin.display(description=_("payload"))
    def sent(self, run: ReportRun) -> str:
        try:
            text, is_cut = beginning_without_secrets(run.payload.body, PAYLOAD_SHOWN)
        except ObjectDoesNotExist:
            return NOTHING
        summary = _("Show the start of the payload") if is_cut else _("Show the payload")
        return folded(summary, preformatted(text))
