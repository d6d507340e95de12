"""The codes of errors: the title and the advice of each, and its meaning for retries and for the circuit breaker.

Codes are stored with runs and printed in logs, so they never change. Titles and advice are English msgids, which the
admin translates.
"""

from __future__ import annotations

import re
from enum import Flag, StrEnum, auto


def _(message: str) -> str:
    """Mark a text for translation."""
    return message


class Trait(Flag):
    """The meaning of an error for the runs and for the circuit breaker."""

    NONE = 0
    TRANSIENT = auto()
    """The same attempt may succeed later: it is retried."""
    FIREANT_DOWN = auto()
    """Counts against Fireant in the circuit breaker, not against a report."""
    FIREANT_UP = auto()
    """A definite response, which proves that Fireant is up."""
    FIREANT_REJECTED = auto()
    """Fireant refused the request itself, by a 4xx status: another request may pass."""
    UNKNOWN_OUTCOME = auto()
    """Fireant may or may not have the job, so a retry may submit it twice."""
    NEEDS_NEW_JOB = auto()
    """The job is of no further use: a retry by a person reads the report again and submits a new job."""
    REPORT_AT_FAULT = auto()
    """The report must be corrected in the project: until then a retry fails again."""
    NEEDS_NEW_RUN = auto()
    """No retry helps: what a person can do is to start a new run of the report."""


RETRY = _("Retry the run.")
SUBMITS_ANEW = _("Retry the run: it submits a new job.")
RETRY_LATER = _("The report is fine. Retry the run once the service has recovered.")
CORRECT_SETTING = _("Correct the setting or permission named in the error, restart qcluster, then retry the run.")
CORRECT_REPORT = _("Correct the report in the project, then retry the run.")
ENABLE_REPORT = _("Enable the report in the project if it should run.")
START_NEW = _("Start a new run of the report.")
RUN_OR_BACKFILL = _("Run or backfill the report if the result is still needed.")
CHECK_RESULT = _("Check the result's path in the result store, then retry the run.")
ASK_DEVELOPERS = _("Send the error and its traceback to the project's developers. Retry the run once it is fixed.")
CHECK_JOB = _("Check the job in Fireant. A retry reads the report again and submits a new job.")
CHECK_ADDRESS = _("Check that FIREANT_API_URL is Fireant's address, then retry the run.")
FIND_JOB = _("Search Fireant for the job, then retry the run.")
CHECK_GATEWAY = _(
    "Check FIREANT_API_URL and whether a gateway in front of Fireant requires a login, then retry the run."
)
SEND_LENGTH = _("Configure Fireant to send the length of the result, then retry the run.")
SHRINK_RESULT = _("Make the report smaller or raise MAX_RESULT_BYTES, then retry the run.")
FIND_REFERENCE = _(
    "Search Fireant for the reference. Then release the run to submit it again under the same reference."
)
CHECK_SUBMISSION = _("Check in Fireant whether the job exists, then retry the run.")
CORRECT_PAYLOAD = _("Correct the report or PAYLOAD_BUILDER, then retry the run.")
CORRECT_VALUE = _("Correct the value named in the error, then retry the run.")
FIND_REASON = _(
    "Find the reason: too little memory, a crashing library or a lease that is too short. Then retry the run."
)
CORRECT_EVENT_SOURCE = _("Correct the function that EVENT_SOURCE names, restart qcluster, then retry the run.")
CORRECT_MODIFIERS = _("Correct MODIFIER_FIELDS or the table, then retry the run.")
CORRECT_JOB_TABLE = _("Correct JOB_FIELDS or the table, then retry the run.")
FREE_SPACE = _("Free up space in the result store, then retry the run.")
RAISE_LIMIT = _(
    "Check the job in Fireant. If jobs of this size take longer, raise MAX_POLL_ATTEMPTS or POLL_INTERVAL_SECONDS. "
    "Then retry the run, which continues to poll the same job."
)
NOTHING_TO_DO = _("No action needed.")

_TRANSIENT = Trait.TRANSIENT
_DOWN = Trait.TRANSIENT | Trait.FIREANT_DOWN
_LOST = Trait.TRANSIENT | Trait.UNKNOWN_OUTCOME
_NEW_JOB = Trait.FIREANT_UP | Trait.NEEDS_NEW_JOB
_AT_FAULT = Trait.REPORT_AT_FAULT
_NEW_RUN = Trait.NEEDS_NEW_RUN


class ErrorCode(StrEnum):
    """The code of an error of a run or a report."""

    label: str
    advice: str
    traits: Trait

    def __new__(cls, code: str, label: str, advice: str, traits: Trait = Trait.NONE) -> ErrorCode:
        member = str.__new__(cls, code)
        member._value_ = code
        member.label, member.advice, member.traits = label, advice, traits
        return member

    __repr__ = str.__repr__  # as log lines show it

    FIREANT = "fireant", _("Fireant rejected the request"), CORRECT_SETTING
    FIREANT_UNREACHABLE = "fireant_unreachable", _("Fireant is unreachable"), RETRY_LATER, _DOWN
    FIREANT_NO_ANSWER = "fireant_no_answer", _("no response from Fireant"), RETRY_LATER, _DOWN
    FIREANT_JOB_FAILED = "fireant_job_failed", _("Fireant job failed"), CHECK_JOB, _NEW_JOB
    JOB_UNKNOWN = "job_unknown", _("Fireant does not know the job"), SUBMITS_ANEW, _NEW_JOB
    MALFORMED_ANSWER = (
        "malformed_answer",
        _("Fireant sent an unreadable response"),
        CHECK_ADDRESS,
        _TRANSIENT | Trait.FIREANT_UP,
    )
    NOT_FROM_FIREANT = ("not_from_fireant", _("a gateway responded instead of Fireant"), CHECK_GATEWAY, _TRANSIENT)
    NO_JOB_ID = "no_job_id", _("Fireant returned no job ID"), FIND_JOB, _NEW_JOB
    NO_RESULT = "no_result", _("Fireant returned no result"), SUBMITS_ANEW, _NEW_JOB
    RESULT_CUT_SHORT = "result_cut_short", _("the result was incomplete"), RETRY, _TRANSIENT
    RESULT_IS_A_PAGE = "result_is_a_page", _("a web page was returned instead of the result"), CHECK_GATEWAY
    RESULT_END_UNKNOWN = "result_end_unknown", _("cannot verify that the result is complete"), SEND_LENGTH
    RESULT_TOO_LARGE = "result_too_large", _("the result is too large"), SHRINK_RESULT, _NEW_JOB | _AT_FAULT
    SUBMISSION_UNKNOWN = "submission_unknown", _("submission not confirmed"), FIND_REFERENCE, _DOWN | _LOST
    SUBMISSION_FAILED = "submission_failed", _("the submission failed"), CHECK_SUBMISSION, _LOST
    POLL_ATTEMPTS_USED_UP = "poll_attempts_used_up", _("Fireant did not finish in time"), RAISE_LIMIT
    PAYLOAD_MISSING = "payload_missing", _("the payload is missing"), START_NEW, _NEW_RUN
    INVALID_PAYLOAD = "invalid_payload", _("the payload cannot be built"), CORRECT_PAYLOAD, _AT_FAULT
    INVALID_REPORT = "invalid_report", _("the report's definition is invalid"), CORRECT_REPORT, _AT_FAULT
    UNEXPECTED = "unexpected", _("unexpected error"), ASK_DEVELOPERS, _TRANSIENT
    UNSTORABLE = "unstorable", _("the step's outcome cannot be stored"), CORRECT_VALUE
    SET_ASIDE = "set_aside", _("workers were lost repeatedly"), FIND_REASON
    WORKER_LOST = "worker_lost", _("the worker was lost"), NOTHING_TO_DO, _LOST
    HANDED_BACK = "handed_back", _("the worker shut down and released the run"), NOTHING_TO_DO, _TRANSIENT
    GAVE_WAY = "gave_way", _("the download yielded to other runs"), NOTHING_TO_DO, _TRANSIENT
    TRANSIENT = "transient", _("temporary error"), RETRY, _TRANSIENT
    CONFIGURATION = "configuration", _("a setting or permission is missing or was rejected"), CORRECT_SETTING
    STORAGE = "storage", _("the result store rejected the result"), CHECK_RESULT
    MODIFIER_RECORD = "modifier_record", _("the modifier cannot be saved in the project's table"), CORRECT_MODIFIERS
    JOB_RECORD = "job_record", _("the job cannot be saved in the project's job table"), CORRECT_JOB_TABLE
    OTHER_REPORT_MODEL = (
        "other_report_model",
        _("the report belongs to a different model than REPORT_MODEL"),
        START_NEW,
        _NEW_RUN,
    )
    NO_SPACE = "no_space", _("the result store is full"), FREE_SPACE, _TRANSIENT
    ONELAKE_AT_CAPACITY = "onelake_at_capacity", _("OneLake is at capacity"), RETRY_LATER, _TRANSIENT
    ONELAKE_PAUSED = "onelake_paused", _("the Fabric capacity is paused"), RETRY_LATER, _TRANSIENT
    ONELAKE_DAMAGED = "onelake_damaged", _("the result was damaged on its way to OneLake"), RETRY, _TRANSIENT
    ONELAKE_NO_ANSWER = "onelake_no_answer", _("no response from OneLake"), RETRY_LATER, _TRANSIENT
    ONELAKE_RESULT_MISSING = (
        "onelake_result_missing",
        _("the stored result is missing from OneLake"),
        CHECK_RESULT,
        _TRANSIENT,
    )
    ONELAKE_SIZE_DIFFERS = (
        "onelake_size_differs",
        _("the size in OneLake differs from the size sent"),
        CHECK_RESULT,
        _TRANSIENT,
    )
    ENTRA_NO_ANSWER = "entra_no_answer", _("no response from Entra"), RETRY_LATER, _TRANSIENT
    TABLE = "table", _("the Delta table cannot be written"), RETRY, _TRANSIENT
    TABLE_CONFLICT = "table_conflict", _("another writer changed the Delta table first"), RETRY, _TRANSIENT
    NO_EVENT_GROUP = "no_event_group", _("no event group"), CORRECT_REPORT, _AT_FAULT
    EMPTY_EVENT_GROUP = "empty_event_group", _("the event group is empty"), CORRECT_REPORT, _AT_FAULT
    UNKNOWN_EVENT_TYPE = "unknown_event_type", _("unknown event type"), CORRECT_REPORT, _AT_FAULT
    MIXED_EVENT_TYPES = "mixed_event_types", _("events of different types"), CORRECT_REPORT, _AT_FAULT
    INCOMPLETE_EVENT = "incomplete_event", _("an event lacks a number"), CORRECT_REPORT, _AT_FAULT
    EVENT_SOURCE = "event_source", _("the function of EVENT_SOURCE failed"), CORRECT_EVENT_SOURCE
    UNUSABLE_KEY = "unusable_key", _("the report's key cannot be used"), CORRECT_REPORT, _AT_FAULT
    INVALID_CRON = "invalid_cron", _("invalid cron expression"), CORRECT_REPORT, _AT_FAULT
    INVALID_TIMEZONE = "invalid_timezone", _("invalid time zone"), CORRECT_REPORT, _AT_FAULT
    NO_CRON = "no_cron", _("no cron expression"), CORRECT_REPORT, _AT_FAULT
    REPORT_NOT_FOUND = "report_not_found", _("the report no longer exists"), NOTHING_TO_DO
    DISABLED = "disabled", _("the report is disabled"), ENABLE_REPORT, _AT_FAULT
    CANCELED = "canceled", _("canceled by a user"), START_NEW, _NEW_RUN
    MISSED = "missed", _("the scheduler was not running at this time"), RUN_OR_BACKFILL, _NEW_RUN
    SHADOW = "shadow", _("another system serves this time"), _("Nothing to do. shadow_report compares both systems.")
    OVERLAP = "overlap", _("the report's previous run had not ended"), RUN_OR_BACKFILL, _NEW_RUN
    BEYOND_LOOKBACK = "beyond_lookback", _("the scheduled time is too old to run"), RUN_OR_BACKFILL, _NEW_RUN


class RefusalCode(StrEnum):
    """The reason why a request of a person was not carried out."""

    message: str

    def __new__(cls, code: str, message: str) -> RefusalCode:
        member = str.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    __repr__ = str.__repr__

    MOVED_ON = "moved_on", _("The run has changed since you opened this page. It was left as it is. Reload the page.")
    CHANGED_JUST_NOW = "changed_just_now", _("Someone else changed the run just now. Reload it.")
    KEEPS_CHANGING = "keeps_changing", _("The run keeps changing. Try again in a moment.")
    HAS_ENDED = "has_ended", _("The run has already ended. There is nothing to cancel.")
    NOTHING_TO_RETRY = "nothing_to_retry", _("The run has not failed, so there is nothing to retry.")
    NO_SUCH_RUN = "no_such_run", _("The run no longer exists.")
    NO_SUCH_REPORT = "no_such_report", _("The report is unknown. If it is new, run discover_reports.")
    OPENED_ALREADY = "opened_already", _("The requested run already exists. No other run was created.")
    FAR_AWAY = "far_away", _("The date is too many years away. Check the year. No run was created.")
    PAUSED_ALREADY = "paused_already", _("The report was already paused. Nothing was changed.")
    PAUSED_ANEW = (
        "paused_anew",
        _("The report was resumed or paused again since you opened this page. Nothing was changed. Reload it."),
    )
    REPORTS_CHANGED = (
        "reports_changed",
        _("The reports have changed since you opened this page. Nothing was changed. Open it again."),
    )
    IN_THE_PAST = "in_the_past", _("The time has passed. Nothing was changed. Give a future time.")
    ALREADY_LIVE = "already_live", _("The report is live until a planned switch. Nothing was changed.")
    NO_TIME_LEFT = "no_time_left", _("All times between these dates already have a run.")


_CODES = {code.value: code for code in ErrorCode}
_RESPONSE = re.compile(r"(fireant|entra|identity|onelake)_(\d{3})")
_SERVICES = {"fireant": "Fireant", "entra": "Entra", "identity": "Managed identity", "onelake": "OneLake"}
_TRANSIENT_STATUSES = frozenset({"408", "425", "429"})


def response_code(service: str, status: int) -> str:
    """Return the code of a rejection by HTTP status: `fireant_503`. `service`: fireant, entra, identity or onelake."""
    return f"{service}_{status}"


def title_of(code: str) -> str:
    """Return the title's msgid, `Fireant 503` for a rejection by status, and the code itself if it is unknown."""
    if known := _CODES.get(code):
        return known.label
    if response := _RESPONSE.fullmatch(code):
        return f"{_SERVICES[response[1]]} {response[2]}"
    return code.replace("_", " ")


def advice_of(code: str) -> str:
    """Return the msgid of the advice for an error that has ended a run; empty if the code is unknown."""
    if known := _CODES.get(code):
        return known.advice
    if _RESPONSE.fullmatch(code):
        return RETRY_LATER if Trait.TRANSIENT in traits_of(code) else CORRECT_SETTING
    return ""


def traits_of(code: str) -> Trait:
    """Return the traits of a stored code; none if it is unknown."""
    if known := _CODES.get(code):
        return known.traits
    if not (response := _RESPONSE.fullmatch(code)):
        return Trait.NONE
    service, status = response.groups()
    traits = Trait.TRANSIENT if status[0] in "25" or status in _TRANSIENT_STATUSES else Trait.NONE
    if service == "fireant" and status in {"502", "503", "504"}:
        traits |= Trait.FIREANT_DOWN
    if service == "fireant" and status[0] == "2":
        traits |= Trait.FIREANT_UP
    if service == "fireant" and status[0] == "4":
        traits |= Trait.FIREANT_UP | Trait.FIREANT_REJECTED
    return traits
