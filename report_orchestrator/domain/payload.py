"""A report becomes the body that Fireant takes. Source: Fireant's API contract, described in `schematics/fireant.md`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from report_orchestrator.domain.reports import (
    Event,
    EventKind,
    Json,
    Modifier,
    Report,
    describe_report,
    kind_of,
    single_event_kind,
)

Payload: TypeAlias = dict[str, Json]


def event_kind(report: Report) -> EventKind:
    """The kind of job that a report needs.

    Raises:
        InvalidReportError: the report cannot run with the events that it has.
    """
    kinds = None if report.event_group_id is None else {kind_of(event) for event in report.events}
    return single_event_kind(describe_report(report.key, report.name), kinds)


def build_payload(report: Report, modifier: Modifier) -> Payload:
    """Fireant's body for one run of a report: JSON values only.

    A host's own `PAYLOAD_BUILDER` has this signature, and may call this one first.

    Raises:
        InvalidReportError: the report cannot run with the events that it has.
    """
    kind = event_kind(report)
    return {
        **report.fields,
        "as_at_date": modifier.as_at_date.isoformat(),
        "fx_date": modifier.fx_date.isoformat(),
        kind.plural: [_event_body(event, kind) for event in report.events],
        "meta": {
            "report_id": report.id,
            "event_group_id": report.event_group_id,
            "modifier_id": modifier.id,
        },
    }


def _event_body(event: Event, kind: EventKind) -> Json:
    body: dict[str, Json] = dataclasses.asdict(event)
    body["event_type"] = kind.value
    return body


def payload_digest(payload: Mapping[str, Json]) -> str:
    """SHA-256, in hexadecimal, of the payload in canonical JSON: the same content has the same digest."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
