"""Validation of a job's payload, as in the real service."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NoReturn

JobKind = Literal["geo", "ring", "box"]
Payload = Mapping[str, Any]

EVENT_LISTS: dict[JobKind, str] = {"geo": "geos", "ring": "rings", "box": "boxes"}


class PayloadRefusedError(ValueError):
    """The body is not a payload for this kind of job."""


def parse_payload(body: bytes, kind: JobKind) -> Payload:
    """Parse a payload.

    Raises:
        PayloadRefusedError: it is not JSON, or lacks a field that this kind of job needs.
    """
    payload = _parse_object(body)
    _check_events(payload, kind)
    _check_date(payload, "as_at_date")
    _check_date(payload, "fx_date")
    _check_meta(payload)
    return payload


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadRefusedError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise PayloadRefusedError("the body must be a JSON object")
    return document


def _refuse_constant(constant: str) -> NoReturn:
    # Python's own JSON writer emits these, and no other parser takes them.
    raise PayloadRefusedError(f"{constant} is not JSON")


def _check_events(payload: Payload, kind: JobKind) -> None:
    key = EVENT_LISTS[kind]
    events = payload.get(key)
    if not isinstance(events, list) or not events:
        raise PayloadRefusedError(f"a {kind} job needs a list of at least one event under {key!r}")
    for other in EVENT_LISTS.values():
        if other != key and payload.get(other):
            raise PayloadRefusedError(f"a {kind} job does not accept {other!r}: all events must be of one type")
    for event in events:
        if not isinstance(event, dict) or event.get("event_type") != kind:
            raise PayloadRefusedError(f"every event under {key!r} must be an object with event_type {kind!r}")


def _check_date(payload: Payload, key: str) -> None:
    try:
        datetime.fromisoformat(payload.get(key) or "")
    except (TypeError, ValueError):
        raise PayloadRefusedError(f"{key!r} must be a date such as 2026-07-01") from None


def _check_meta(payload: Payload) -> None:
    meta = payload.get("meta")
    if not isinstance(meta, dict) or meta.get("report_id") in (None, ""):
        raise PayloadRefusedError("'meta' must be an object with a 'report_id'")
