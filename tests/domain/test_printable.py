from __future__ import annotations

import pytest

from report_orchestrator.domain.printable import printable, quoted
from report_orchestrator.domain.reports import describe_report


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Windstorm Åre 台風 €", "Windstorm Åre 台風 €"),
        ("M\x1b[31mRED\x1b[0m", "M\\u001b[31mRED\\u001b[0m"),
        ("title\x1b]0;owned\x07", "title\\u001b]0;owned\\u0007"),
        ("one\r\nFAKE LINE", "one\\r\\nFAKE LINE"),
        ("turned\u202eround", "turned\\u202eround"),
        ("invisible\u200b\U000e0041", "invisible\\u200b\\udb40\\udc41"),
        ("para\u2029graph", "para\\u2029graph"),
        ("half\ud800", "half\\ud800"),
    ],
)
def test_control_and_format_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_line_breaks_can_be_kept() -> None:
    assert printable("a\n\x1bb", keep="\n") == "a\n\\u001bb"


def test_a_report_is_described_on_one_line() -> None:
    assert describe_report("7", "a\nb\x1b") == "report 7 (a\\nb\\u001b)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("5L", "'5L'"),
        ("\ufeff0", "'\\ufeff0' (U+FEFF before '0')"),
        ("MON\u2013FRI", "'MON\u2013FRI' (U+2013 before 'FRI')"),
        ("\uff16", "'\uff16' (U+FF16)"),
        ("0\0", "'0\\u0000' (U+0000)"),
        ("\uff0d\uff11\uff0d\uff12\uff0d", "'\uff0d\uff11\uff0d\uff12\uff0d' (U+FF0D, U+FF11, U+FF0D)"),
    ],
)
def test_characters_that_deceive_are_named(text: str, shown: str) -> None:
    assert quoted(text) == shown
