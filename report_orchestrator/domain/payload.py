"""Build Fireant's request body for a report. Source: Fireant's API contract, described in `schematics/fireant.md`."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import (
    EventKind,
    Json,
    Modifier,
    Report,
    Unreadable,
    describe_report,
    first_unknown,
    kind_of,
    refuse_incomplete_events,
    single_event_kind,
)
from report_orchestrator.exceptions import InvalidReportError

Payload: TypeAlias = dict[str, Json]

OWN_NAMES = ("as_at_date", "fx_date", *(kind.plural for kind in EventKind), "meta")
"""The payload's own names. A report's field with one of them is not sent."""


def event_kind(report: Report) -> EventKind:
    """Return the kind of job that a report needs.

    Raises:
        InvalidReportError: the report cannot run with its events.
    """
    has_events = report.owns_events or report.event_group_id is not None
    kinds = {kind_of(event) for event in report.events} if has_events else None
    unknown = first_unknown(report.events)
    name = describe_report(report.key, report.name)
    kind = single_event_kind(name, kinds, unknown=unknown, owns_events=report.owns_events)
    refuse_incomplete_events(name, report.events)
    return kind


def build_payload(report: Report, modifier: Modifier) -> dict[str, object]:
    """Return the request body for one run of a report. `json_payload` refuses the values that JSON lacks.

    A host's own `PAYLOAD_BUILDER` has this signature, and may call this one first.

    Raises:
        InvalidReportError: the report cannot run with its events.
    """
    kind = event_kind(report)
    return {
        **report.fields,
        "as_at_date": modifier.as_at_date.isoformat(),
        "fx_date": modifier.fx_date.isoformat(),
        kind.plural: [{**dataclasses.asdict(event), "event_type": kind.value} for event in report.events],
        "meta": {"report_id": report.id, "event_group_id": report.event_group_id, "modifier_id": modifier.id},
    }


def json_payload(payload: Mapping[str, object], report: str) -> Payload:
    """Return the payload of `build_payload`, or of a host's builder, as JSON values.

    Raises:
        InvalidReportError: it is no dict, or holds a value that JSON lacks. The message names the value's key.
    """
    if not isinstance(payload, Mapping):
        raise _unsendable(f"The payload of {report} is a {type(payload).__name__}", "Return a dict from")
    return {str(name): _json(value, f"{name}", report) for name, value in payload.items()}


def _json(value: object, key: str, report: str) -> Json:
    match value:
        case str() | int() | None:  # first, as nearly all values are
            return value
        case Mapping():
            return {str(name): _json(item, f"{key}.{name}", report) for name, item in value.items()}
        case list() | tuple():
            return [_json(item, f"{key}[{number}]", report) for number, item in enumerate(value)]
        case date():
            return value.isoformat()
        case float() if not math.isfinite(value):
            raise _unsendable(
                f"'{key}' of {report} is {value}, which JSON cannot represent", "Correct it, or remove it with"
            )
        case Unreadable():
            raise _unsendable(f"'{key}' of {report} cannot be read ({value.error})", "Correct it, or remove it with")
        case float():
            return value
        case _:
            kind = type(value).__name__
            raise _unsendable(
                f"'{key}' of {report} is a {kind}, which JSON cannot represent", "Convert or remove it with"
            )


def _unsendable(problem: str, remedy: str) -> InvalidReportError:
    return InvalidReportError(
        f"{problem}. {remedy} the function that PAYLOAD_BUILDER names.", code=ErrorCode.INVALID_PAYLOAD
    )


def payload_digest(payload: Mapping[str, Json]) -> str:
    """Return the SHA-256 of the payload's canonical JSON, in hexadecimal."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
