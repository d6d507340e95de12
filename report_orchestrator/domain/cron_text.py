"""Describe a cron in words.

The words are made from the parsed values, written as the plainest cron: the library misreads some forms of the original, and
its versions differ.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cron_descriptor
from cron_descriptor import CasingTypeEnum, ExpressionDescriptor, FormatException, Options

from report_orchestrator.domain.cron import LAST, CronExpression

ENGLISH = "en_US"
_KNOWN_TEXTS = 16_384
_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEKDAYS = range(60), range(24), range(1, 32), range(1, 13), range(7)
_OCCURRENCES = range(1, 6)
_PLAIN = re.compile(r"\d+(-\d+|(,\d+)*)")


def describe_cron(cron: CronExpression, *, language: str = "en") -> str:
    """Return a text such as `At 02:30, only on Monday`; one with the expression where the library fails.

    Days that are restricted in several ways, of which one is enough, are described one after the other. `language` is a code
    such as `de` or `pt-br`; English where the library lacks it. Results are cached.
    """
    locale_code = _locale_of(language)
    minute, hour, _, month, _ = cron.expression.split()
    minute, hour = _plainest(minute, cron.minutes, _MINUTES), _plainest(hour, cron.hours, _HOURS)
    month = _plainest(month, cron.months, _MONTHS)
    first, *others = [
        _describe(f"{minute} {hour} {day} {month} {weekday}", locale_code) for day, weekday in _days(cron)
    ]
    return "; ".join([first, *(text[:1].lower() + text[1:] for text in others)])


def _days(cron: CronExpression) -> Sequence[tuple[str, str]]:
    """Return pairs of a day of month and a day of week, of which at most one is restricted; any of them fires."""
    _, _, day, _, weekday = cron.expression.split()
    by_month, by_week = list(_days_of_month(cron, day)), list(_days_of_week(cron, weekday))
    if not cron.either_day:
        return [(day, weekday) for day in by_month for weekday in by_week]
    if "*" in by_month + by_week:
        return [("*", "*")]
    return [(day, "*") for day in by_month] + [("*", weekday) for weekday in by_week]


def _days_of_month(cron: CronExpression, written: str) -> Iterator[str]:
    if cron.nearest_weekday is not None:
        yield f"{cron.nearest_weekday}W"
    elif numbers := cron.days_of_month - {LAST}:
        yield _plainest(written, numbers, _DAYS)
    if LAST in cron.days_of_month:
        yield "L"


def _days_of_week(cron: CronExpression, written: str) -> Iterator[str]:
    uncounted = [day for day in _WEEKDAYS if cron.weekdays.issuperset((day, count) for count in _OCCURRENCES)]
    if uncounted:
        yield _plainest(written, uncounted, _WEEKDAYS)
    counted = [(count, day) for day, count in cron.weekdays if day not in uncounted]
    for count, day in sorted(counted, key=lambda pair: (pair[0] == LAST, pair)):
        yield f"{day}L" if count == LAST else f"{day}#{count}"


def _plainest(written: str, values: Collection[int], every: range) -> str:
    """Return a field with these values: as it was written if that is plain, else by a range, a regular step or a list."""
    ordered = sorted(values)
    first, last = ordered[0], ordered[-1]
    if ordered == list(every):
        return "*"
    if _PLAIN.fullmatch(written) and _numbers(written) == ordered:
        return written
    if len(ordered) > 2 and ordered == list(range(first, last + 1)):
        return f"{first}-{last}"
    # "Every 7 minutes" would be wrong at the end of the hour. Every other day is usual, and wrong only on the 31st.
    steps = (step for step in range(2, len(every)) if len(every) % step == 0 or (every, step) == (_DAYS, 2))
    step = next((step for step in steps if ordered == list(every[::step])), None)
    return f"*/{step}" if step else ",".join(map(str, ordered))


def _numbers(written: str) -> list[int]:
    """Return the numbers of a plain list or range in ascending order."""
    first, is_range, last = written.partition("-")
    return list(range(int(first), int(last) + 1)) if is_range else sorted(map(int, written.split(",")))


@lru_cache(maxsize=_KNOWN_TEXTS)
def _describe(expression: str, locale_code: str) -> str:
    try:
        return str(ExpressionDescriptor(expression, _Options(locale_code)).get_description())
    except (FormatException, ValueError, IndexError):
        return f"At the times of '{expression}'"


class _Options(Options):  # type: ignore[misc]  # cron-descriptor 1 has no types
    """Set without the base's `__init__`: that of cron-descriptor 1 takes no locale, and both read that of the process."""

    def __init__(self, locale_code: str) -> None:
        self.locale_code = locale_code
        self.locale_location = None
        self.casing_type = CasingTypeEnum.Sentence
        self.use_24hour_time_format = True
        self.day_of_week_start_index_zero = True
        self.verbose = False


def is_described_in(language: str) -> bool:
    """Return True for a language that the library has, other than English."""
    return _locale_of(language) != ENGLISH


@lru_cache
def _locale_of(language: str) -> str:
    """Return the library's locale nearest to a language."""
    wanted = language.replace("-", "_").lower()
    known = sorted(path.stem for path in Path(cron_descriptor.__file__).with_name("locale").glob("*.mo"))
    exact = [locale for locale in known if locale.lower() == wanted]
    same_language = [locale for locale in known if locale.split("_")[0] == wanted.split("_")[0]]
    return next(iter([*exact, *same_language]), ENGLISH)
