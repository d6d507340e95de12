"""The forms of confirmation pages."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.services.scheduling.create_runs import YEARS_AWAY, is_far_away
from report_orchestrator.wiring import get_ports

LONGEST_BACKFILL = timedelta(days=366)


class DateInput(forms.DateInput):
    """The browser's date field, which requires ISO dates in every language."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class ReasonForm(forms.Form):
    """A reason, recorded with the action."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Recorded with your name and the time."),
    )


class DayField(forms.DateField):
    """A plausible day."""

    widget = DateInput

    def clean(self, value: Any) -> date | None:
        """Refuse days that the services refuse."""
        day: date | None = super().clean(value)
        if day is not None and is_far_away(day, get_ports().clock()):
            text = gettext("This day is more than {years} years away. Check the year.")
            raise forms.ValidationError(text.format(years=YEARS_AWAY))
        return day


class RunForm(ReasonForm):
    """A manual run. `token` identifies the confirmation, so that sending it twice creates one run."""

    run_date = DayField(
        label=_("Run date"), required=False, help_text=_("In the report's own time zone. Empty: today.")
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    field_order = ("run_date", "reason")


class BackfillForm(ReasonForm):
    """The range of days to backfill."""

    since = DayField(label=_("From"))
    until = DayField(label=_("To"), help_text=_("This day is included. Days are in each report's own time zone."))
    field_order = ("since", "until", "reason")

    def clean(self) -> dict[str, Any] | None:
        """Refuse a reversed or too long range."""
        cleaned = super().clean()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", gettext("This day is before the first one."))
        elif since and until and until - since > LONGEST_BACKFILL:
            self.add_error(
                "until", gettext("That is more than a year. Take less, or use the command backfill_reports.")
            )
        return cleaned
