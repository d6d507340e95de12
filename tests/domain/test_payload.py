"""A report becomes Fireant's body."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from report_orchestrator.domain.payload import Payload, build_payload, json_payload, payload_digest
from report_orchestrator.domain.reports import (
    BoxEvent,
    Event,
    EventKind,
    Modifier,
    Report,
    RingEvent,
    UnknownEvent,
    Unreadable,
    priority_rank,
)
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.testing import geo_report

MODIFIER = Modifier(id=7, as_at_date=date(2026, 7, 1), fx_date=date(2026, 6, 30))
RING = RingEvent(id=2, name="Thames", description="", is_valid=True, latitude=51.5, longitude=-0.1, radius=5.0)
BOX = BoxEvent(id=3, name="Bay", description="", is_valid=True, max_lat=38, min_lat=37, max_lon=-122, min_lon=-123)
BARE = UnknownEvent(id=4, name="?", description="", is_valid=True)


def payload_of(report: Report, modifier: Modifier = MODIFIER) -> Payload:
    return json_payload(build_payload(report, modifier), "report 1")


def test_a_geo_report_becomes_the_body_that_fireant_takes() -> None:
    assert build_payload(geo_report("1"), MODIFIER) == {
        "name": "Windstorm accumulation",
        "peril": "WS",
        "as_at_date": "2026-07-01",
        "fx_date": "2026-06-30",
        "geos": [
            {
                "id": 1,
                "name": "South Florida",
                "description": "",
                "is_valid": True,
                "country": "US",
                "area": "FL",
                "subarea": "Miami-Dade",
                "subarea2": None,
                "event_type": "geo",
            }
        ],
        "meta": {"report_id": 1, "event_group_id": 1, "modifier_id": 7},
    }


@pytest.mark.parametrize(("event", "kind"), [(RING, EventKind.RING), (BOX, EventKind.BOX)])
def test_events_stand_under_the_name_of_their_kind(event: Event, kind: EventKind) -> None:
    payload = payload_of(geo_report(events=(event,)))
    [body] = payload[kind.plural]  # type: ignore[misc, str-unpack]  # a list of one event
    assert body["event_type"] == kind.value  # type: ignore[index, call-overload]  # an event is a dict
    assert {"geos", "rings", "boxes"} & payload.keys() == {kind.plural}


@pytest.mark.parametrize(
    ("events", "group", "code"),
    [
        ((), None, "no_event_group"),
        ((), 1, "empty_event_group"),
        ((RING, BOX), 1, "mixed_event_types"),
        ((BARE,), 1, "unknown_event_type"),
        ((RING, BARE), 1, "unknown_event_type"),
        ((replace(RING, radius=None),), 1, "incomplete_event"),  # type: ignore[arg-type]  # as a host's column may be
        ((replace(BOX, max_lat=None),), 1, "incomplete_event"),  # type: ignore[arg-type]
    ],
)
def test_a_report_that_cannot_run_is_refused_by_name(events: tuple[Event, ...], group: int | None, code: str) -> None:
    with pytest.raises(InvalidReportError) as caught:
        build_payload(geo_report("42", events=events, event_group_id=group), MODIFIER)
    assert caught.value.code == code
    assert "report 42 (Windstorm accumulation)" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"bytes", "'x' of report 1 is a bytes, which JSON cannot represent."),
        (memoryview(b"bytes"), "'x' of report 1 is a memoryview"),
        ({1}, "'x' of report 1 is a set"),
        ([1, b"bytes"], "'x[1]' of report 1 is a bytes"),
        ({"nested": b"bytes"}, "'x.nested' of report 1 is a bytes"),
        (float("nan"), "'x' of report 1 is nan, which JSON cannot represent."),
        ([float("-inf")], "'x[0]' of report 1 is -inf"),
        (Decimal("NaN"), "'x' of report 1 is a Decimal"),
        (Unreadable(error="LookupError"), "'x' of report 1 cannot be read (LookupError)."),
    ],
)
def test_a_value_without_a_form_in_json_is_refused_by_its_key(value: object, says: str) -> None:
    with pytest.raises(InvalidReportError) as refusal:
        json_payload({"name": "Wind", "x": value}, "report 1")
    assert refusal.value.code == "invalid_payload"
    assert refusal.value.message.startswith(says)
    assert refusal.value.message.endswith("with the function that PAYLOAD_BUILDER names.")


def test_a_builder_must_return_a_dict() -> None:
    with pytest.raises(InvalidReportError, match="The payload of report 1 is a list"):
        json_payload(["name"], "report 1")  # type: ignore[arg-type]


def test_the_digest_follows_the_content_and_not_the_order() -> None:
    payload = payload_of(geo_report())
    assert payload_digest(dict(reversed(payload.items()))) == payload_digest(payload)
    assert payload_digest(payload_of(geo_report(), replace(MODIFIER, id=8))) != payload_digest(payload)


@pytest.mark.parametrize(
    ("value", "rank"),
    [("High", 20), ("AboveNormal", 10), ("Normal", 0), ("BelowNormal", -10), (None, 0), ("?", 0), (5, 5)],
)
def test_priorities_are_ranked_and_unknown_words_are_normal(value: object, rank: int) -> None:
    assert priority_rank(value) == rank
