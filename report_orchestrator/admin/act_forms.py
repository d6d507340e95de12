"""What a confirmation asks of a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

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


class RunForm(ReasonForm):
    """A run by hand. `token` is the confirmation's own, so that sending it twice opens one run."""

    run_date = forms.DateField(
        label=_("Run date"),
        required=False,
        widget=DateInput(),
        help_text=_("In the report's own time zone. Empty: today."),
    )
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    field_order = ("run_date", "reason")


class BackfillForm(ReasonForm):
    """The days of the past whose times are run."""

    since = forms.DateField(label=_("From"), widget=DateInput())
    until = forms.DateField(label=_("To"), widget=DateInput(), help_text=_("This day is included."))
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


def days_as_span(asked: Mapping[str, Any], now: datetime) -> tuple[datetime, datetime]:
    """The asked days, the last one whole, in the project's zone, and no future."""
    zone = timezone.get_default_timezone()
    since = datetime.combine(asked["since"], time(), tzinfo=zone)
    until = datetime.combine(asked["until"] + timedelta(days=1), time(), tzinfo=zone)
    return since, min(until, now)
