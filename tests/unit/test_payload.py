"""A report becomes Fireant's body."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from report_orchestrator.domain.payload import build_payload, payload_digest
from report_orchestrator.domain.reports import (
    BoxEvent,
    Event,
    EventKind,
    Modifier,
    RingEvent,
    UnknownEvent,
    priority_rank,
)
from report_orchestrator.exceptions import InvalidReportError
from report_orchestrator.testing import geo_report

MODIFIER = Modifier(id=7, as_at_date=date(2026, 7, 1), fx_date=date(2026, 6, 30))
RING = RingEvent(
    id=2, name="Thames", description="", is_valid=True, latitude=51.5, longitude=-0.1, radius=5.0
)
BOX = BoxEvent(
    id=3, name="Bay", description="", is_valid=True, max_lat=38, min_lat=37, max_lon=-122, min_lon=-123
)
BARE = UnknownEvent(id=4, name="?", description="", is_valid=True)


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
    payload = build_payload(geo_report(events=(event,)), MODIFIER)
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
    ],
)
def test_a_report_that_cannot_run_is_refused_by_name(
    events: tuple[Event, ...], group: int | None, code: str
) -> None:
    with pytest.raises(InvalidReportError) as caught:
        build_payload(geo_report("42", events=events, event_group_id=group), MODIFIER)
    assert caught.value.code == code
    assert "report 42 (Windstorm accumulation)" in str(caught.value)


def test_the_digest_follows_the_content_and_not_the_order() -> None:
    payload = build_payload(geo_report(), MODIFIER)
    assert payload_digest(dict(reversed(payload.items()))) == payload_digest(payload)
    assert payload_digest(build_payload(geo_report(), replace(MODIFIER, id=8))) != payload_digest(payload)


@pytest.mark.parametrize(
    ("value", "rank"),
    [("High", 20), ("AboveNormal", 10), ("Normal", 0), ("BelowNormal", -10), (None, 0), ("?", 0), (5, 5)],
)
def test_priorities_are_ranked_and_unknown_words_are_normal(value: object, rank: int) -> None:
    assert priority_rank(value) == rank
