"""A cron's description names exactly the days on which it fires: a parser of the description, without the cron, finds them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from report_orchestrator.domain.cron import times_between
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.domain.cron_text import describe_cron
from report_orchestrator.exceptions import InvalidCronError

pytestmark = pytest.mark.slow

Names = Callable[[date], bool]

FIRST, LAST = date(2027, 1, 1), date(2028, 12, 31)
DAYS = [FIRST + timedelta(days=day) for day in range((LAST - FIRST).days + 1)]
WEEKDAYS, MONTHS = list(calendar.day_name), list(calendar.month_name)
WEEKDAY, MONTH = f"({'|'.join(WEEKDAYS)})", f"({'|'.join(MONTHS[1:])})"


def listed(item: str, word: str) -> str:
    return rf"{item}(?:(?:, {word} | {word} |, ){item})*"


PHRASES = {
    "en": {
        "every_other_day": ", every 2 days",
        "days": rf", on day {listed(r'[0-9]+', 'and')} of the month",
        "from_day_to_day": r", between day (\d+) and (\d+) of the month",
        "last_day": ", on the last day of the month",
        "nearest": r", on the (?:first weekday|weekday nearest day (\d+)) of the month",
        "weekdays": f", only on {listed(WEEKDAY, 'and')}",
        "from_weekday_to_weekday": f", {WEEKDAY} through {WEEKDAY}",
        "counted": f", on the (first|second|third|fourth|fifth|last) {WEEKDAY} of the month",
        "months": f", only in {listed(MONTH, 'and')}",
        "from_month_to_month": f", {MONTH} through {MONTH}",
        "every_so_many_months": r", every (\d+) months",
    },
    "de": {
        "every_other_day": ", alle 2 Tage",
        "days": rf", am {listed(r'[0-9]+', 'und')} Tag des Monats",
        "from_day_to_day": r", zwischen Tag (\d+) und (\d+) des Monats",
        "last_day": ", am letzten Tag des Monats",
        "nearest": r", am (?:ersten Werktag|Werktag am nächsten zum (\d+) Tag) des Monats",
        "weekdays": f", nur am {listed(WEEKDAY, 'und')}",
        "from_weekday_to_weekday": f", {WEEKDAY} bis {WEEKDAY}",
        "counted": f", am (ersten|zweiten|dritten|vierten|fünften|letzten) {WEEKDAY} des Monats",
        "months": f", nur im {listed(MONTH, 'und')}",
        "from_month_to_month": f", {MONTH} bis {MONTH}",
        "every_so_many_months": r", alle (\d+) Monate",
    },
}
ORDINALS = {
    "en": ["first", "second", "third", "fourth", "fifth"],
    "de": ["ersten", "zweiten", "dritten", "vierten", "fünften"],
}


def days_in_words(words: str, language: str) -> list[date]:
    meanings = [list(_meanings(sentence, language)) for sentence in words.split("; ")]
    return [day for day in DAYS if any(all(names(day) for names in sentence) for sentence in meanings)]


def _meanings(sentence: str, language: str) -> Iterator[Names]:
    rest = re.sub(r"^(at|um) 06:00", "", sentence, flags=re.IGNORECASE)
    while rest:
        [(phrase, found)] = [
            (phrase, found) for phrase, pattern in PHRASES[language].items() if (found := re.match(pattern, rest))
        ]
        yield _meaning(phrase, found, language)
        rest = rest[found.end() :]


def _meaning(phrase: str, found: re.Match[str], language: str) -> Names:
    text = found[0]
    weekdays = [WEEKDAYS.index(name) for name in re.findall(WEEKDAY, text)]
    months = [MONTHS.index(name) for name in re.findall(MONTH, text)]
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    meanings: dict[str, Names] = {
        "every_other_day": lambda day: day.day % 2 == 1,
        "days": lambda day: day.day in numbers,
        "from_day_to_day": lambda day: numbers[0] <= day.day <= numbers[1],
        "last_day": lambda day: day.day == _length(day),
        "nearest": lambda day: day == _nearest(numbers[0] if numbers else 1, day),
        "weekdays": lambda day: day.weekday() in weekdays,
        "from_weekday_to_weekday": lambda day: (day.weekday() - weekdays[0]) % 7 <= (weekdays[1] - weekdays[0]) % 7,
        "counted": lambda day: day.weekday() == weekdays[0] and _is_counted(found[1], day, language),
        "months": lambda day: day.month in months,
        "from_month_to_month": lambda day: months[0] <= day.month <= months[1],
        "every_so_many_months": lambda day: (day.month - 1) % numbers[0] == 0,
    }
    return meanings[phrase]


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _is_counted(word: str, day: date, language: str) -> bool:
    if word not in ORDINALS[language]:
        return day.day + 7 > _length(day)
    return (day.day - 1) // 7 == ORDINALS[language].index(word)


def _nearest(number: int, month: date) -> date:
    wanted = month.replace(day=min(number, _length(month)))
    workdays = [day for day in DAYS if (day.year, day.month) == (month.year, month.month) and day.weekday() < 5]
    return min(workdays, key=lambda day: abs(day - wanted))


def days_of_cron(cron: str) -> list[date]:
    after = datetime.combine(FIRST - timedelta(days=1), datetime.max.time(), tzinfo=UTC)
    until = datetime.combine(LAST, datetime.max.time(), tzinfo=UTC)
    return [at.date() for at in times_between(parse_cron(cron), UTC, after=after, until=until)]


def terms(numbers: st.SearchStrategy[str], last: int) -> st.SearchStrategy[str]:
    """The terms of one field: stars, numbers or names, ranges, and steps."""
    spans = st.one_of(st.just("*"), numbers, st.tuples(numbers, numbers).map("-".join))
    steps = st.tuples(spans, st.integers(1, last).map(str)).map("/".join)
    return st.one_of(spans, steps)


def fields(term: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.lists(term, min_size=1, max_size=3).map(",".join))


days = st.integers(1, 31).map(str)
months = st.one_of(st.integers(1, 12).map(str), st.sampled_from(["jan", "JUN", "Dec"]))
weekdays = st.one_of(st.integers(0, 7).map(str), st.sampled_from(["sun", "MON", "Fri", "SAT"]))
counted = st.one_of(
    st.tuples(st.one_of(weekdays, st.tuples(weekdays, weekdays).map("-".join)), st.integers(1, 5).map(str)).map(
        "#".join
    ),
    st.integers(0, 6).map(lambda day: f"L{day}"),
)
CRONS = st.tuples(
    st.just("0 6"),
    st.one_of(
        fields(st.one_of(terms(days, 31), st.sampled_from(["L", "l"]))),
        st.tuples(days, st.sampled_from("Ww")).map("".join),
        st.just("?"),
    ),
    fields(terms(months, 12)),
    st.one_of(fields(terms(weekdays, 7)), st.lists(counted, min_size=1, max_size=3).map(",".join), st.just("?")),
).map(" ".join)


@pytest.mark.parametrize("language", ["en", "de"])
@settings(derandomize=True, deadline=None, max_examples=200)
@given(cron=CRONS)
@example("0 6 */1 * MON")
@example("0 6 1/1 * MON")
@example("0 6 * * MON-FRI#1")
@example("0 6 * * *,0")
@example("0 6 l * *")
@example("0 6 15w */2 *")
@example("0 6 1,L */5 *")
@example("0 6 * * MON#1,MON#2,FRI#5")
def test_the_days_in_words_are_the_days_of_the_cron(language: str, cron: str) -> None:
    try:
        parsed = parse_cron(cron)
    except InvalidCronError:
        assume(False)
    words = describe_cron(parsed, language=language)
    assert days_in_words(words, language) == days_of_cron(cron), words
