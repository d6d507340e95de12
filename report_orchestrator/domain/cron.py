"""Which instants a five-field cron names when it is read in a time zone.

croniter is the parser. The search is ours: croniter 7.0.0 fires a daily 02:30 in Amsterdam twice on the night
that the clock goes back, keeps its position inside the parsed object, and takes some 40 µs for each time.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from calendar import monthrange
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import product, takewhile
from typing import TYPE_CHECKING, cast

from croniter import CroniterError, croniter
from croniter.croniter import DOW_ALPHAS, M_ALPHAS

from report_orchestrator.domain.wall_clock import change_between, readings
from report_orchestrator.exceptions import InvalidCronError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)

_LAST = -1
"""The last day of the month, or the last of its weekday in the month."""

_EVERY_OCCURRENCE = (1, 2, 3, 4, 5)
"""No weekday comes more than five times in a month."""

# 28 years without a century's end hold all fourteen kinds of year: a day that they lack exists in none.
_ALL_KINDS_OF_YEAR = (date(2001, 1, 1), date(2028, 12, 31))

_PARSED_CRONS = 16_384  # a parsed cron takes about 1 kB


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CronExpression:
    """A cron that parses and that does fire, made by `parse_cron` only.

    Weekdays count from Sunday, 0, and come with the occurrence in the month: (1, 2) is the second Monday.
    """

    expression: str
    minutes: tuple[int, ...] = dataclasses.field(repr=False)
    hours: tuple[int, ...] = dataclasses.field(repr=False)
    days_of_month: frozenset[int] = dataclasses.field(repr=False)
    nearest_weekday: int | None = dataclasses.field(repr=False)
    months: frozenset[int] = dataclasses.field(repr=False)
    weekdays: frozenset[tuple[int, int]] = dataclasses.field(repr=False)
    either_day: bool = dataclasses.field(repr=False)
    """Day of month and day of week are both restricted, and a day that satisfies one of them is enough."""
    open_hour: bool = dataclasses.field(repr=False)
    """Counts elapsed time through a change of the clock, where a fixed hour keeps to one time on the wall."""


def parse_cron(expression: str) -> CronExpression:
    """Reads five fields: minute, hour, day of month, month, day of week. More white space does not matter.

    Names (`MON`, `JAN`), Sunday as 0 or 7, `?`, `L`, `15W`, `L5` (the last Friday) and `MON#2` are read too.
    Where both day fields are restricted, a day that satisfies one is enough; as in croniter, and unlike
    in Debian's cron, `*/2` restricts. Parsing the same text again is cheap.

    Raises:
        InvalidCronError: It does not parse, can never fire, or is something that croniter takes without a
            word and does not evaluate as written. The message says what to write instead.
    """
    return _parse(" ".join(expression.split()))


def times_between(
    cron: CronExpression, zone: tzinfo, *, after: datetime, until: datetime
) -> Iterator[datetime]:
    """The instants in (after, until] that the cron names in the zone: aware UTC, increasing, found lazily.

    A fixed hour that the clock skips fires once, at the first instant after the gap, however many of its
    times fall into the gap; one that comes twice fires at its first occurrence. An open hour (`*`, `*/n`, or
    all 24 of them) goes by elapsed time: nothing for the skipped hour, and the repeated hour twice.

    Raises:
        ValueError: `after` or `until` is naive.
    """
    _require_aware(after, until)
    return takewhile(lambda instant: instant <= until, _times_after(cron, zone, after))


def next_time(cron: CronExpression, zone: tzinfo, *, after: datetime) -> datetime:
    """The first instant strictly after `after`, aware UTC, by the rules of `times_between`.

    There always is one: `parse_cron` refuses a cron that never fires. The rarest wait is 40 years.

    Raises:
        ValueError: `after` is naive.
    """
    _require_aware(after)
    return next(_times_after(cron, zone, after))


# Instants: from the wall's clock to UTC


def _require_aware(*instants: datetime) -> None:
    for instant in instants:
        if instant.utcoffset() is None:
            raise ValueError(f"{instant!r} is naive: give an instant with a time zone.")


def _times_after(cron: CronExpression, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    walls = _wall_times(cron, _search_start(after, zone))
    latest = after
    for instant in (_by_elapsed_time if cron.open_hour else _by_wall_clock)(walls, zone):
        # Several times in one gap fall together, and the search starts early in a repeated hour.
        if instant > latest:
            latest = instant
            yield instant


def _search_start(after: datetime, zone: tzinfo) -> datetime:
    """A wall time before all those that can still lead to an instant later than `after`.

    In the first run of a repeated hour that is before the hour: its second run is all to come.
    """
    wall = after.astimezone(zone).replace(tzinfo=None, fold=0)
    first, second = readings(wall, zone)
    return wall - (second - first)


def _by_wall_clock(walls: Iterator[datetime], zone: tzinfo) -> Iterator[datetime]:
    for wall in walls:
        first, second = readings(wall, zone)
        yield first if first <= second else change_between(second, first, zone)


def _by_elapsed_time(walls: Iterator[datetime], zone: tzinfo) -> Iterator[datetime]:
    second_run: list[datetime] = []
    for wall in walls:
        first, second = readings(wall, zone)
        if first < second:
            second_run.append(second)
            yield first
            continue
        yield from second_run
        second_run.clear()
        if first == second:
            yield first


# Wall times: the calendar, without a zone


def _wall_times(cron: CronExpression, start: datetime) -> Iterator[datetime]:
    """The naive times that the cron names, strictly after the naive start, without an end."""
    for day in _days_between(cron, start.date(), date.max):
        earliest = start.hour if day == start.date() else 0
        for hour in cron.hours[bisect_left(cron.hours, earliest) :]:
            for minute in cron.minutes:
                wall = datetime.combine(day, time(hour, minute))
                if wall > start:
                    yield wall


def _days_between(cron: CronExpression, first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        if day.month not in cron.months:
            day = _first_of_next_month(day)
            continue
        if _fires_on(cron, day):
            yield day
        day += _DAY


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _fires_on(cron: CronExpression, day: date) -> bool:
    if cron.either_day:
        return _matches_day_of_month(cron, day) or _matches_weekday(cron, day)
    return _matches_day_of_month(cron, day) and _matches_weekday(cron, day)


def _matches_day_of_month(cron: CronExpression, day: date) -> bool:
    if cron.nearest_weekday is not None:
        return day == _nearest_weekday(cron.nearest_weekday, day)
    if day.day in cron.days_of_month:
        return True
    return _LAST in cron.days_of_month and (day + _DAY).month != day.month


def _matches_weekday(cron: CronExpression, day: date) -> bool:
    weekday = day.isoweekday() % 7
    if (weekday, (day.day + 6) // 7) in cron.weekdays:
        return True
    return (weekday, _LAST) in cron.weekdays and (day + _WEEK).month != day.month


def _nearest_weekday(day_of_month: int, month_of: date) -> date:
    """The day from Monday to Friday that is nearest to a day of the month, within the month."""
    length = monthrange(month_of.year, month_of.month)[1]
    day = month_of.replace(day=min(day_of_month, length))
    if day.isoweekday() == 6:
        return day - _DAY if day.day > 1 else day + 2 * _DAY
    if day.isoweekday() == 7:
        return day + _DAY if day.day < length else day - 2 * _DAY
    return day


# Parsing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    lowest: int
    highest: int
    every: range
    names: dict[str, int]
    guidance: str

    def number(self, text: str) -> int:
        return self.names[text] if text in self.names else int(text)

    def wrong(self, expression: str, text: str, problem: str) -> InvalidCronError:
        return InvalidCronError(
            f"The cron '{expression}' is not valid: its {self.name}, '{text}', {problem}. "
            f"Write {self.guidance}."
        )


_MINUTE = _Field(
    name="minute",
    lowest=0,
    highest=59,
    every=range(60),
    names={},
    guidance="a number from 0 to 59, a range such as '0-29', a list such as '0,30', or '*' or '*/15'",
)
_HOUR = _Field(
    name="hour",
    lowest=0,
    highest=23,
    every=range(24),
    names={},
    guidance="a number from 0 to 23, a range such as '9-17', a list such as '6,18', or '*' or '*/2'",
)
_DAY_OF_MONTH = _Field(
    name="day of month",
    lowest=1,
    highest=31,
    every=range(1, 32),
    names={"l": 31},
    guidance="a number from 1 to 31, a range such as '1-7', a list such as '1,15', 'L' for the last day, "
    "'15W' for the weekday nearest to the 15th, or '*'",
)
_MONTH = _Field(
    name="month",
    lowest=1,
    highest=12,
    every=range(1, 13),
    names=M_ALPHAS,
    guidance="a number from 1 to 12, a name such as 'JAN', a range such as '1-6', a list such as 'JAN,JUL', "
    "or '*' or '*/3'",
)
_DAY_OF_WEEK = _Field(
    name="day of week",
    lowest=0,
    highest=7,
    every=range(7),
    names=DOW_ALPHAS,
    guidance="a number from 0 to 7 (0 and 7 are Sunday), a name such as 'MON', a range such as 'MON-FRI', "
    "a list such as 'MON,THU', 'MON#2' for the second Monday, 'L5' for the last Friday, or '*'",
)
_FIELDS = (_MINUTE, _HOUR, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK)

_FIVE_FIELDS = (
    "Write five fields with spaces between them: minute, hour, day of month, month, day of week; "
    "for example '30 2 * * 1-5' for 02:30 from Monday to Friday."
)
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@lru_cache(maxsize=_PARSED_CRONS)
def _parse(expression: str) -> CronExpression:
    texts = _split(expression)
    _refuse_what_is_not_supported(expression, texts)
    values, counted_weekdays = _expand(expression, texts)
    _refuse_what_croniter_misreads(expression, texts)
    _refuse_days_that_schedulers_read_differently(expression, texts, values)
    cron = _assemble(expression, texts, values, counted_weekdays)
    _refuse_what_never_fires(cron, texts)
    return cron


def _split(expression: str) -> list[str]:
    if expression.startswith("@"):
        fields = _ALIASES.get(expression.lower())
        advice = f"Write '{fields}' instead." if fields else _FIVE_FIELDS
        raise InvalidCronError(f"The cron '{expression}' is not valid: an alias is not five fields. {advice}")
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise InvalidCronError(
            f"The cron '{expression}' is not valid: five fields are needed, without seconds or a year, "
            f"and it has {len(texts)}. {_FIVE_FIELDS}"
        )
    return texts


def _refuse_what_is_not_supported(expression: str, texts: list[str]) -> None:
    for field, text in zip(_FIELDS, texts, strict=True):
        # croniter draws another value for `r` each time that it reads it.
        if text.lower().startswith(("h", "r")):
            raise field.wrong(expression, text, "is hashed or random, and a report's times must be known")
    counted = _are_counted(texts[4])
    if any(counted) and not all(counted):
        raise _DAY_OF_WEEK.wrong(expression, texts[4], "mixes weekdays counted within the month with others")


def _are_counted(day_of_week: str) -> list[bool]:
    return ["#" in term or term.lower().startswith("l") for term in day_of_week.split(",")]


def _expand(expression: str, texts: list[str]) -> tuple[list[list[int | str]], dict[int, set[int | str]]]:
    """croniter's reading: each field's values ("*" for all, "l" for the last day), and the weekdays that are
    counted within the month, with their occurrences ("l" for the last)."""
    try:
        return cast("tuple[list[list[int | str]], dict[int, set[int | str]]]", croniter.expand(expression))
    except CroniterError as error:
        raise _unreadable(expression, texts) from error


def _unreadable(expression: str, texts: list[str]) -> InvalidCronError:
    """Finds the wrong field, which croniter does not name, by reading each without the others."""
    for position, (field, text) in enumerate(zip(_FIELDS, texts, strict=True)):
        alone = ["*"] * len(_FIELDS)
        alone[position] = text
        if not croniter.is_valid(" ".join(alone)):
            return field.wrong(expression, text, "cannot be read")
    return InvalidCronError(
        f"The cron '{expression}' is not valid: its fields do not go together. {_FIVE_FIELDS}"
    )


def _refuse_what_croniter_misreads(expression: str, texts: list[str]) -> None:
    for field, text in zip(_FIELDS, texts, strict=True):
        for term in text.lower().split(","):
            problem = _misreading(field, term)
            if problem:
                raise field.wrong(expression, text, problem)


def _misreading(field: _Field, term: str) -> str | None:
    """What croniter 7.0.0 takes without a word and evaluates otherwise than it is written."""
    span, _, step = term.partition("/")
    if step and int(step) > len(field.every):
        return f"has a step of {step}, more than the {len(field.every)} values that there are"
    first, is_range, last = span.partition("#")[0].partition("-")
    return _misread_range(field, field.number(first), field.number(last), step) if is_range else None


def _misread_range(field: _Field, first: int, last: int, step: str) -> str | None:
    if first == last or (field is _DAY_OF_WEEK and (first, last) == (7, 0)):
        return "has a range that starts and ends at the same value"
    if min(first, last) < field.lowest:
        return "has a range that leaves the possible values"
    if step and last < first:
        return "has a step over a range that runs backwards (list its values instead)"
    return None


def _refuse_days_that_schedulers_read_differently(
    expression: str, texts: list[str], values: list[list[int | str]]
) -> None:
    """croniter drops a field where a counted day (`MON#2`, `L5`, `15W`) meets another restriction."""
    _, _, day_of_month, _, day_of_week = texts
    both_restricted = "*" not in values[2] and "*" not in values[4]
    if both_restricted and (any(_are_counted(day_of_week)) or "w" in day_of_month.lower()):
        raise InvalidCronError(
            f"The cron '{expression}' is not valid: the day of month '{day_of_month}' and the day of week "
            f"'{day_of_week}' cannot be combined, because schedulers read that in different ways. "
            "Write '*' for one of the two."
        )


def _refuse_what_never_fires(cron: CronExpression, texts: list[str]) -> None:
    if next(_days_between(cron, *_ALL_KINDS_OF_YEAR), None) is None:
        problem = f"comes in no month of '{texts[3]}', so the cron can never fire"
        raise _DAY_OF_MONTH.wrong(cron.expression, texts[2], problem)


def _assemble(
    expression: str,
    texts: list[str],
    values: list[list[int | str]],
    counted_weekdays: dict[int, set[int | str]],
) -> CronExpression:
    minutes, hours, days_of_month, months, weekdays = (
        _numbers(field, field_values) for field, field_values in zip(_FIELDS, values, strict=True)
    )
    return CronExpression(
        expression=expression,
        minutes=minutes,
        hours=hours,
        days_of_month=frozenset(days_of_month),
        nearest_weekday=_nearest_weekday_of(texts[2]),
        months=frozenset(months),
        weekdays=_counted(counted_weekdays) or frozenset(product(weekdays, _EVERY_OCCURRENCE)),
        either_day="*" not in values[2] and "*" not in values[4],
        open_hour=_is_open(texts[1], hours),
    )


def _numbers(field: _Field, values: list[int | str]) -> tuple[int, ...]:
    if "*" in values:
        return tuple(field.every)
    return tuple(sorted(_LAST if value == "l" else int(value) for value in values))


def _nearest_weekday_of(day_of_month: str) -> int | None:
    return int(day_of_month.lower().strip("w")) if "w" in day_of_month.lower() else None


def _counted(weekdays: dict[int, set[int | str]]) -> frozenset[tuple[int, int]]:
    return frozenset(
        (weekday, _LAST if occurrence == "l" else int(occurrence))
        for weekday, occurrences in weekdays.items()
        for occurrence in occurrences
    )


def _is_open(hour: str, hours: tuple[int, ...]) -> bool:
    """All 24 hours, or only steps from `*` that leave more than one: a daily `*/24` is not lost in a gap."""
    has_only_steps = all(term.startswith("*") for term in hour.split(","))
    return len(hours) == len(_HOUR.every) or (has_only_steps and len(hours) > 1)
