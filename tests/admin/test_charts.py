"""Charts are drawn from values alone, can be read without seeing them, and hold no markup but ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from report_orchestrator.admin.ui.charts import Bar, Look, Part, Tick, bars, sparkline, swatch, table_of
from report_orchestrator.admin.ui.phrases import about, away, error_title

HOSTILE = "<script>alert(1)</script> & \"quotes'"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def parts(*values: float) -> list[Part]:
    looks: list[Look] = ["good", "busy", "quiet", "bad"]
    return [Part(look=look, value=value) for look, value in zip(looks, values, strict=False)]


def drawn(*given: Bar) -> ET.Element:
    svg = bars(given, name="x", title=HOSTILE, description=HOSTILE, scale="10 an hour")
    return ET.fromstring(svg.replace("&#x27;", "'"))  # noqa: S314 - drawn by ourselves


def rects(chart: ET.Element, look: str) -> list[float]:
    return [float(rect.attrib["height"]) for rect in chart.iter("rect") if rect.attrib["class"] == look]


def test_a_chart_is_an_image_with_a_title_and_a_description() -> None:
    chart = drawn(Bar(parts=parts(1), title="one"))

    assert chart.attrib["role"] == "img"
    assert chart.attrib["aria-labelledby"].split() == [
        chart.findall("title")[0].attrib["id"],
        chart.findall("desc")[0].attrib["id"],
    ]
    assert chart.findtext("title") == HOSTILE


def test_the_tallest_bar_fills_the_height_and_the_others_their_share() -> None:
    chart = drawn(Bar(parts=parts(10), title="a"), Bar(parts=parts(5), title="b"))

    assert rects(chart, "ro-fill-good") == [130.0, 65.0]


def test_one_failure_among_thousands_can_still_be_seen() -> None:
    chart = drawn(Bar(parts=parts(9999, 0, 0, 1), title="a"))

    assert rects(chart, "ro-fill-bad") == [2.0]


def test_nothing_is_drawn_for_nothing() -> None:
    chart = drawn(Bar(parts=parts(0, 0), title="a"))

    assert rects(chart, "ro-fill-good") == []


def test_what_was_expected_is_a_line_above_what_came() -> None:
    chart = drawn(Bar(parts=parts(5), whole=10, title="a"))

    levels = [line.attrib["y1"] for line in chart.iter("line") if line.attrib["class"] == "ro-level"]
    assert levels == ["26.0"]


def test_bars_are_placed_in_per_cent_so_that_letters_keep_their_size() -> None:
    svg = bars([Bar(parts=parts(1), title="a", label="00:00")] * 24, name="x", title="t", description="d", scale="")

    assert "viewBox" not in svg
    assert re.findall(r'<rect class="ro-fill-good" x="[\d.]+%" y="[\d.]+" width="3.17%"', svg)


def test_no_chart_needs_an_inline_style_or_script() -> None:
    for chart in (
        bars([Bar(parts=parts(1, 2, 3, 4), title=HOSTILE)], name="x", title="t", description="d", scale=""),
        sparkline([Tick("good"), Tick("bad")], title=HOSTILE),
        swatch("whole"),
        table_of(HOSTILE, ["a"], [(HOSTILE, 1)]),
    ):
        assert "style" not in chart
        assert "<script" not in chart


def test_a_sparkline_says_by_its_shape_what_went_well() -> None:
    spark = sparkline([Tick("good"), Tick("bad")], title="two")

    good, bad = re.findall(r'class="ro-fill-(?:good|bad)" x="(\d+)" y="(\d+)"', spark)
    assert good == ("90", "2")
    assert bad == ("95", "12")


def test_the_newest_run_is_at_the_right_end_however_few_there_are() -> None:
    assert 'x="95"' in sparkline([Tick("good")], title="one")


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-3, "0 s"), (12, "12 s"), (300, "5 min"), (7260, "2 h 1 min"), (200_000, "2 days")]
)
def test_a_length_of_time_is_reported_as_people_say_it(seconds: int, expected: str) -> None:
    assert about(timedelta(seconds=seconds)) == expected


def test_instants_are_reported_from_now() -> None:
    assert away(NOW + timedelta(minutes=5), NOW) == "in 5 min"
    assert away(NOW - timedelta(minutes=5), NOW) == "5 min ago"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("fireant_503", "Fireant 503"),
        ("fireant_unreachable", "Fireant is unreachable"),
        ("of_a_later_version", "of a later version"),
        ("", "no error code"),
    ],
)
def test_a_cause_is_reported_in_words(code: str, expected: str) -> None:
    assert error_title(code) == expected
