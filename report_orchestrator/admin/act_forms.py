"""What a confirmation asks of a person."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.services.opening import YEARS_AWAY, is_far_away

LONGEST_BACKFILL = timedelta(days=366)


class DateInput(forms.DateInput):
    """The browser's own date field, which wants ISO dates in every language."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class ReasonForm(forms.Form):
    """Why it is done, for those who look at it later."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Kept with your name and the time, for those who look at it later."),
    )


class DayField(forms.DateField):
    """A day that somebody can have meant."""

    widget = DateInput

    def clean(self, value: Any) -> date | None:
        """Refuses what the services would refuse."""
        day: date | None = super().clean(value)
        if day is not None and is_far_away(day, datetime.now(UTC)):
            text = gettext("This day is more than {years} years away. Check the year.")
            raise forms.ValidationError(text.format(years=YEARS_AWAY))
        return day


class RunForm(ReasonForm):
    """A run by hand. `token` is the confirmation's own, so that sending it twice opens one run."""

    run_date = DayField(
        label=_("Run date"),
        required=False,
        help_text=_("In the report's own time zone. Empty: today."),
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    field_order = ("run_date", "reason")


class BackfillForm(ReasonForm):
    """The days of the past whose times are run."""

    since = DayField(label=_("From"))
    until = DayField(label=_("To"), help_text=_("This day is included."))
    field_order = ("since", "until", "reason")

    def clean(self) -> dict[str, Any] | None:
        """Refuses days that are the wrong way round, or too many."""
        cleaned = super().clean()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", gettext("This day is before the first one."))
        elif since and until and until - since > LONGEST_BACKFILL:
            self.add_error(
                "until", gettext("That is more than a year. Take less, or use the command backfill_reports.")
            )
        return cleaned
