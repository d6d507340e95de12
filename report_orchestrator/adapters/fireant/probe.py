"""Probe Fireant: the connection, the key and the clock."""

import re
from datetime import UTC, datetime

import requests

from report_orchestrator.adapters.fireant.errors import EXCERPT, is_definite, refusal, unanswered
from report_orchestrator.adapters.fireant.responses import Response
from report_orchestrator.adapters.fireant.session import FireantSession
from report_orchestrator.adapters.http.headers import instant_in
from report_orchestrator.conf import Settings
from report_orchestrator.ports import ProbeResult

NO_JOB = "0"
"""The id of no job, for probes. A number, as a service with integer ids may fail on anything else."""

NOWHERE = "/no-such-path-of-fireant"
"""A path that Fireant does not have, to compare its response with."""

_WORD = re.compile(r"[^\s\"'<>]++")
_DIFFERING = re.compile(rf"[0-9]|{re.escape(NOWHERE)}|/get_job_status/")


def probe_fireant(session: FireantSession, settings: Settings) -> ProbeResult:
    """Ask about a job that does not exist: any response but a rejected key shows that the key is accepted.

    The response must differ from the one for an unknown path: a router that knows neither refuses both before it
    checks a key.
    """
    try:
        answer = session.ask_about(NO_JOB)
        nowhere = session.answer(session.watch(), "GET", NOWHERE)
    except requests.RequestException as error:
        raise unanswered(error, "the test request", settings) from error
    answered_at = datetime.now(UTC)
    if not is_definite(answer.status):
        raise refusal(answer, "the test request", settings)
    clock = instant_in(answer.headers.get("Date", ""))
    return ProbeResult(
        detail=f"responded {answer.status} to a test request",
        ahead=None if clock is None else clock - answered_at,
        doubt=_doubt(answer, nowhere),
    )


def _doubt(answer: Response, nowhere: Response) -> str:
    """Return the reason to doubt a response about no job, given the one for an unknown path; empty without one."""
    if not answer.is_json:
        return "the response is not JSON, so FIREANT_API_URL may lead to another service"
    if answer.status == nowhere.status and _apart_from_path(answer) == _apart_from_path(nowhere):
        return (
            "an unknown path got the same response, so FIREANT_API_URL may have a wrong path or lead to another service"
        )
    return ""


def _apart_from_path(answer: Response) -> str:
    """Return the body without the requested path, instants and numbers, which differ between requests."""
    response_text = answer.body[:EXCERPT].decode("utf-8", "replace")
    return " ".join(word for word in _WORD.findall(response_text) if not _DIFFERING.search(word))
