"""What went wrong in plain words, and what a person can do, in the reader's language: made from the code of an error.

The error's own text is a record. It is in English, has the names and numbers, and is shown beside these words as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from report_orchestrator.exceptions import NotPossibleError

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

RETRY = _("Retry the run.")
ASK_AGAIN = _("Nothing is wrong with the report: retry the run when the other side is well again.")
CORRECT_SETTING = _(
    "Correct the setting or the right that the record names, restart qcluster, then retry the run."
)
CORRECT_REPORT = _("Correct the report in the project, then retry the run.")
START_NEW = _("Run the report anew.")
RUN_OR_BACKFILL = _("Run it by hand or backfill it, if it is still wanted.")
LOOK_AT_LAKE = _("Look at the result's place in the lake, then retry the run.")
ASK_DEVELOPERS = _(
    "Show the record and its traceback to those who look after the project; then retry the run."
)
NOTHING_TO_DO = _("Nothing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A cause as a few words, and what a person can do about it once it has ended a run."""

    word: _StrPromise
    advice: _StrPromise


def _cause(word: _StrPromise, advice: _StrPromise) -> Cause:
    return Cause(word=word, advice=advice)


CAUSES: Mapping[str, Cause] = {
    "fireant": _cause(_("Fireant refused"), CORRECT_SETTING),
    "fireant_unreachable": _cause(_("Fireant cannot be reached"), ASK_AGAIN),
    "fireant_no_answer": _cause(_("no answer from Fireant"), ASK_AGAIN),
    "fireant_job_failed": _cause(
        _("the job failed in Fireant"),
        _("Look at the job in Fireant. A retry reads the report again and submits a new job."),
    ),
    "job_unknown": _cause(_("Fireant does not know the job"), _("Retry the run: it submits a new job.")),
    "malformed_answer": _cause(
        _("Fireant's answer cannot be read"),
        _("Check that FIREANT_API_URL is Fireant's address, then retry the run."),
    ),
    "no_job_id": _cause(_("Fireant gave no job id"), _("Look in Fireant for the job, then retry the run.")),
    "no_result": _cause(_("Fireant gave no result"), _("Retry the run: it submits a new job.")),
    "result_cut_short": _cause(_("the result was cut short"), RETRY),
    "result_is_a_page": _cause(
        _("a web page came instead of the result"),
        _("Check FIREANT_API_URL, and whether a gateway before Fireant wants a login; then retry the run."),
    ),
    "result_end_unknown": _cause(
        _("nobody can know whether the result is complete"),
        _("Let Fireant say the result's length, then retry the run."),
    ),
    "result_too_large": _cause(
        _("the result is too large"),
        _("Make the report smaller or raise MAX_RESULT_BYTES, then retry the run."),
    ),
    "submission_unknown": _cause(
        _("unknown whether it was submitted"),
        _(
            "Look in Fireant for the reference; then release the run, which sends it again under the same one."
        ),
    ),
    "submission_failed": _cause(
        _("the submission failed"), _("Look in Fireant whether the job exists, then retry the run.")
    ),
    "poll_attempts_used_up": _cause(
        _("Fireant did not finish in time"),
        _(
            "Look at the job in Fireant. Raise MAX_POLL_ATTEMPTS or POLL_INTERVAL_SECONDS if jobs of this size take longer; "
            "then retry the run, which goes on asking about the same job."
        ),
    ),
    "payload_missing": _cause(_("the payload is lost"), START_NEW),
    "invalid_payload": _cause(
        _("the payload cannot be built"), _("Correct the report, or PAYLOAD_BUILDER; then retry the run.")
    ),
    "invalid_report": _cause(_("the report cannot run as it is defined"), CORRECT_REPORT),
    "unexpected": _cause(_("an unexpected error"), ASK_DEVELOPERS),
    "unstorable": _cause(
        _("the result cannot be stored"), _("Correct what was answered, then retry the run.")
    ),
    "set_aside": _cause(
        _("its worker was lost again and again"),
        _(
            "Look for what kills the worker: memory, a library that crashes, a lease that is too short. Then retry the run."
        ),
    ),
    "worker_lost": _cause(_("a worker was lost"), NOTHING_TO_DO),
    "handed_back": _cause(_("its worker was ended and handed it back"), NOTHING_TO_DO),
    "gave_way": _cause(_("its download gave way to others"), NOTHING_TO_DO),
    "transient": _cause(_("something that may pass"), RETRY),
    "configuration": _cause(_("a setting or a right is missing or was refused"), CORRECT_SETTING),
    "storage": _cause(_("the lake refused the result"), LOOK_AT_LAKE),
    "job_record": _cause(
        _("the project's job table cannot take the job"),
        _("Correct JOB_FIELDS or the table, then retry the run."),
    ),
    "other_report_model": _cause(_("the report is of another model than REPORT_MODEL now"), START_NEW),
    "no_space": _cause(_("the lake is full"), _("Make room in the lake, then retry the run.")),
    "onelake_at_capacity": _cause(_("OneLake is at its capacity"), ASK_AGAIN),
    "onelake_damaged": _cause(_("the result was damaged on its way to OneLake"), RETRY),
    "onelake_no_answer": _cause(_("no answer from OneLake"), ASK_AGAIN),
    "onelake_result_missing": _cause(_("OneLake does not show the stored result"), LOOK_AT_LAKE),
    "onelake_size_differs": _cause(_("OneLake has another size than was sent"), LOOK_AT_LAKE),
    "entra_no_answer": _cause(_("no answer from Entra"), ASK_AGAIN),
    "table": _cause(_("the Delta table cannot be written"), RETRY),
    "table_conflict": _cause(_("another writer changed the Delta table first"), RETRY),
    "no_event_group": _cause(_("no event group"), CORRECT_REPORT),
    "empty_event_group": _cause(_("an empty event group"), CORRECT_REPORT),
    "unknown_event_type": _cause(_("an unknown kind of event"), CORRECT_REPORT),
    "mixed_event_types": _cause(_("events of different kinds"), CORRECT_REPORT),
    "invalid_cron": _cause(_("a cron that cannot be read"), CORRECT_REPORT),
    "invalid_timezone": _cause(_("a time zone that does not exist"), CORRECT_REPORT),
    "no_cron": _cause(_("no cron"), CORRECT_REPORT),
    "report_not_found": _cause(_("the report is gone"), NOTHING_TO_DO),
    "disabled": _cause(_("the report is disabled"), _("Enable it in the project, if it should run.")),
    "canceled": _cause(_("a person canceled it"), START_NEW),
    "missed": _cause(_("nobody was there at its time"), RUN_OR_BACKFILL),
    "overlap": _cause(_("the report's last run had not ended"), RUN_OR_BACKFILL),
    "beyond_lookback": _cause(_("nobody was there for too long"), RUN_OR_BACKFILL),
}
REFUSALS: Mapping[str, _StrPromise] = {
    "moved_on": _("The run has moved on since you looked at it. Nothing was done. Look at it again."),
    "changed_just_now": _("The run was changed by somebody else just now. Look at it again."),
    "keeps_changing": _("The run keeps changing. Try again in a moment."),
    "has_ended": _("The run has ended already. There is nothing to cancel."),
    "nothing_to_retry": _("The run has not failed, so there is nothing to retry."),
    "no_such_run": _("The run is no longer there."),
    "no_such_report": _("The report is no longer known. Run discover_reports if it is new."),
    "opened_already": _("The run that was asked for is there already. Nothing more was opened."),
    "far_away": _("The day is too many years away. Check the year. Nothing was opened."),
    "paused_already": _("The report was paused already. Nothing was changed."),
    "paused_anew": _(
        "The report was resumed or paused anew since you looked at it. Nothing was changed. Look at it again."
    ),
    "no_time_left": _("No time is left between these days that has not run."),
}
"""Why what a person asked for was not done, by the code of the `NotPossibleError`."""
_ANSWERED = re.compile(r"(fireant|entra|onelake)_(\d{3})")
_NAMES = {"fireant": "Fireant", "entra": "Entra", "onelake": "OneLake"}


def cause_in_words(code: str) -> str:
    """An error code for people: `fireant_503` is "Fireant 503"."""
    if known := CAUSES.get(code):
        return str(known.word)
    if answered := _ANSWERED.fullmatch(code):
        return f"{_NAMES[answered[1]]} {answered[2]}"
    return code.replace("_", " ") or gettext("no error code")


def refusal_in_words(error: NotPossibleError) -> str:
    """Why something was not done; in the error's own words where its code is none that we know."""
    return str(REFUSALS.get(error.code, error.message))


def advice_for(code: str) -> str:
    """What a person can do about an error that has ended a run; empty where the code is none that we know."""
    if known := CAUSES.get(code):
        return str(known.advice)
    if answered := _ANSWERED.fullmatch(code):
        passes = answered[2].startswith("5") or answered[2] in {"408", "425", "429"}
        return str(ASK_AGAIN if passes else CORRECT_SETTING)
    return ""
