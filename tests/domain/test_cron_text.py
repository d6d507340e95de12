"""A cron in words, by both lines of cron-descriptor."""

from __future__ import annotations

import pytest

from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.cron_text import describe_cron


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", "At 02:30"),
        ("30 2 * * 1", "At 02:30, only on Monday"),
        ("*/15 9-17 * * 1-5", "Every 15 minutes, between 09:00 and 17:59, Monday through Friday"),
        ("30 2 * * MON#2", "At 02:30, on the second Monday of the month"),
        ("0 0 15W * *", "At 00:00, on the weekday nearest day 15 of the month"),
        ("0 2 ? * 7", "At 02:00, only on Sunday"),
        ("0 0 */1 * MON", "At 00:00"),
        ("0 12 1/1 * MON", "At 12:00"),
        ("* * * * *,0", "Every minute"),
        ("0-59 0-23 1-31 1-12 0-6", "Every minute"),
        ("0 6 l * *", "At 06:00, on the last day of the month"),
        ("0 6 15w */2 *", "At 06:00, on the weekday nearest day 15 of the month, every 2 months"),
        ("0 6 * * l5", "At 06:00, on the last Friday of the month"),
        ("0 6 1,L * *", "At 06:00, on day 1 of the month; at 06:00, on the last day of the month"),
        (
            "0 6 * * mon-wed#1",
            "At "
            + "; at ".join(f"06:00, on the first {day} of the month" for day in ("Monday", "Tuesday", "Wednesday")),
        ),
        ("0 6 * * FRI-MON", "At 06:00, only on Sunday, Monday, Friday, and Saturday"),
        ("0 6 */5 * *", "At 06:00, on day 1, 6, 11, 16, 21, 26, and 31 of the month"),
        ("*/25 * * * *", "At 0, 25, and 50 minutes past the hour"),
        ("5/20 * * * *", "At 5, 25, and 45 minutes past the hour"),
        ("0-59/20 * * * *", "Every 20 minutes"),
        ("0 9-15/3 * * *", "At 09:00, 12:00 and 15:00"),
        ("05 06 * * 01", "At 06:05, only on Monday"),
    ],
)
def test_a_cron_is_described(cron: str, expected: str) -> None:
    assert expected == describe_cron(parse_cron(cron))


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 2 1 * 1", "At 02:00, on day 1 of the month; at 02:00, only on Monday"),
        ("0 2 1-7 * MON-FRI", "At 02:00, between day 1 and 7 of the month; at 02:00, Monday through Friday"),
        ("0 2 */2 1 1", "At 02:00, every 2 days, only in January; at 02:00, only on Monday, only in January"),
    ],
)
def test_two_restricted_days_are_not_described_as_one(cron: str, expected: str) -> None:
    assert expected == describe_cron(parse_cron(cron))


def test_the_language_decides_and_english_replaces_an_unknown_one() -> None:
    cron = parse_cron("30 2 * * *")
    assert [describe_cron(cron, language=language) for language in ("de-at", "tlh")] == ["Um 02:30", "At 02:30"]


def test_words_come_without_a_locale_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    assert describe_cron(parse_cron("31 2 * * 2")) == "At 02:31, only on Tuesday"
