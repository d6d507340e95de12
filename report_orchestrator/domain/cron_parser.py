"""Parse a five-field cron, and refuse crons that croniter accepts but misreads."""

import dataclasses
from functools import lru_cache
from itertools import product
from typing import cast

from croniter import CroniterError, croniter
from croniter.croniter import DOW_ALPHAS, M_ALPHAS

from report_orchestrator.domain.cron import LAST, CronExpression
from report_orchestrator.domain.printable import printable, quoted
from report_orchestrator.exceptions import InvalidCronError

_EVERY_OCCURRENCE = (1, 2, 3, 4, 5)
"""No weekday occurs more than five times in a month."""

LONGEST_CRON = 1_000
"""Characters of a cron; one that lists all values of all fields has about 400."""
_PARSED_CRONS = 16_384  # a parsed cron takes about 1 kB


def parse_cron(expression: str) -> CronExpression:
    """Parse five fields: minute, hour, day of month, month, day of week. Extra white space is ignored.

    Names (`MON`, `JAN`), Sunday as 0 or 7, `?`, `L`, `15W`, `L5` (the last Friday) and `MON#2` are accepted too. Where
    both day fields are restricted, a day that matches either fires; as in croniter, and unlike in Debian's cron, `*/2`
    restricts. Results are cached.

    Raises:
        InvalidCronError: the expression is invalid, can never fire, or is one that croniter accepts but does not evaluate
            as written. The message says how to write it instead.
    """
    if len(expression) > LONGEST_CRON:
        raise InvalidCronError(
            f"The cron has {len(expression):,} characters. Write five fields with ranges and steps, at most {LONGEST_CRON:,} "
            "characters in all."
        )
    return _parse(" ".join(expression.split()))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    every: range
    guidance: str
    names: dict[str, int] = dataclasses.field(default_factory=dict)

    def number(self, text: str) -> int:
        return self.names[text] if text in self.names else int(text)

    def is_last(self, text: str) -> bool:
        return (text.isdigit() or text.lower() in self.names) and self.number(text.lower()) == self.every[-1]


_MINUTE = _Field(
    name="minute",
    every=range(60),
    guidance="a number from 0 to 59, a range such as '0-29', a list such as '0,30', or '*' or '*/15'",
)
_HOUR = _Field(
    name="hour",
    every=range(24),
    guidance="a number from 0 to 23, a range such as '9-17', a list such as '6,18', or '*' or '*/2'",
)
_DAY_OF_MONTH = _Field(
    name="day of month",
    every=range(1, 32),
    names={"l": 31},
    guidance="a number from 1 to 31, a range such as '1-7', a list such as '1,15', 'L' for the last day, "
    "'15W' for the weekday nearest to the 15th, or '*'",
)
_MONTH = _Field(
    name="month",
    every=range(1, 13),
    names=M_ALPHAS,
    guidance="a number from 1 to 12, a name such as 'JAN', a range such as '1-6', a list such as 'JAN,JUL', "
    "or '*' or '*/3'",
)
_DAY_OF_WEEK = _Field(
    name="day of week",
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
    try:
        values, counted_weekdays = _expand(texts)
    except CroniterError as error:
        raise _unreadable(expression, texts) from error
    if faults := _faults(texts, is_readable=True):
        raise _invalid(expression, faults)
    _refuse_ambiguous_days(expression, texts, values)
    cron = _assemble(expression, texts, values, counted_weekdays)
    if not cron.can_fire:
        raise InvalidCronError(
            f"The cron '{expression}' is not valid: no month of '{texts[3]}' has a day of month '{texts[2]}', so the cron can "
            "never fire. Choose an earlier day, another month, or 'L' for the last day of the month."
        )
    return cron


def _split(expression: str) -> list[str]:
    if expression.startswith("@"):
        fields = _ALIASES.get(expression.lower())
        advice = f"Write '{fields}' instead." if fields else _FIVE_FIELDS
        raise InvalidCronError(f"The cron {quoted(expression)} is not valid: aliases are not supported. {advice}")
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise InvalidCronError(
            f"The cron {quoted(expression)} is not valid: it must have five fields, without seconds or a year, "
            f"but has {len(texts)}. {_FIVE_FIELDS}"
        )
    return texts


def _unreadable(expression: str, texts: list[str]) -> InvalidCronError:
    if faults := _faults(texts, is_readable=False):
        return _invalid(expression, faults)
    return InvalidCronError(
        f"The cron {quoted(expression)} is not valid: its fields contradict each other. {_FIVE_FIELDS}"
    )


def _invalid(expression: str, faults: list[str]) -> InvalidCronError:
    sentences = " ".join([faults[0], *(f"Also {fault}" for fault in faults[1:])])
    return InvalidCronError(f"The cron '{printable(expression)}' is not valid: {sentences}")


def _faults(texts: list[str], *, is_readable: bool) -> list[str]:
    """Describe all invalid fields. `is_readable` if croniter accepted the whole expression."""
    return [
        f"its {field.name}, {text if _is_number(text) else quoted(text)}, {problem}. Write {field.guidance}."
        for field, text in zip(_FIELDS, texts, strict=True)
        if (problem := _problem(field, text, is_readable=is_readable))
    ]


def _problem(field: _Field, text: str, *, is_readable: bool) -> str | None:
    # croniter draws a new random value whenever it parses `r`.
    if text.lower().startswith(("h", "r")):
        return "is hashed or random, but the times of a report must be predictable"
    if _is_number(text):
        return _out_of_range(field, int(text))
    counted = _are_counted(text)
    if field is _DAY_OF_WEEK and any(counted) and not all(counted):
        return "mixes weekdays counted within the month with others"
    # croniter 6 reads digits of other scripts.
    if not text.isascii() or not (is_readable or _is_readable(field, text)):
        return "cannot be read"
    return next(filter(None, (_misreading(field, term) for term in text.lower().split(","))), None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _out_of_range(field: _Field, number: int) -> str | None:
    lowest, highest = field.every[0], 7 if field is _DAY_OF_WEEK else field.every[-1]
    if number > highest:
        return f"is above {highest}"
    return f"is below {lowest}" if number < lowest else None


def _is_readable(field: _Field, text: str) -> bool:
    """Return True if croniter accepts this field alone."""
    alone = ["*"] * len(_FIELDS)
    alone[_FIELDS.index(field)] = _without_idle_steps(field, text)
    return bool(croniter.is_valid(" ".join(alone)))


def _are_counted(day_of_week: str) -> list[bool]:
    return ["#" in term or term.lower().startswith("l") for term in day_of_week.split(",")]


def _expand(texts: list[str]) -> tuple[list[list[int | str]], dict[int, set[int | str]]]:
    """Return croniter's values of each field ("*" for all, "l" for the last day), and the weekdays that are counted
    within the month with their occurrences ("l" for the last)."""
    readable = " ".join(map(_without_idle_steps, _FIELDS, texts))
    return cast("tuple[list[list[int | str]], dict[int, set[int | str]]]", croniter.expand(readable))


def _without_idle_steps(field: _Field, text: str) -> str:
    """Drop a step that starts at a field's last value: croniter 6 reads `59/15` as `0/15`."""
    terms = [term.partition("/") for term in text.split(",")]
    return ",".join(
        start if step.strip("0").isdigit() and field.is_last(start) else start + slash + step
        for start, slash, step in terms
    )


def _misreading(field: _Field, term: str) -> str | None:
    """Return the problem of a term that croniter 7.0.0 accepts but evaluates differently than written."""
    span, _, step = term.partition("/")
    if step and int(step) > len(field.every):
        return f"has a step of {step}, more than the {len(field.every)} values that there are"
    start, is_range, end = span.partition("#")[0].partition("-")
    if not is_range:
        return None
    first, last = field.number(start), field.number(end)
    if first == last or (field is _DAY_OF_WEEK and (first, last) == (7, 0)):
        return "has a range that starts and ends at the same value"
    if min(first, last) < field.every.start:
        return "has a range that leaves the possible values"
    if step and last < first:
        return "has a step over a range that runs backwards (list its values instead)"
    return None


def _refuse_ambiguous_days(expression: str, texts: list[str], values: list[list[int | str]]) -> None:
    """Refuse a counted day (`MON#2`, `L5`, `15W`) with another restriction: croniter ignores one of the two."""
    _, _, day_of_month, _, day_of_week = texts
    both_restricted = "*" not in values[2] and "*" not in values[4]
    if both_restricted and (any(_are_counted(day_of_week)) or "w" in day_of_month.lower()):
        raise InvalidCronError(
            f"The cron '{expression}' is not valid: the day of month '{day_of_month}' and the day of week "
            f"'{day_of_week}' cannot be combined, because schedulers interpret that differently. Write "
            "'*' for one of the two."
        )


def _assemble(
    expression: str, texts: list[str], values: list[list[int | str]], counted_weekdays: dict[int, set[int | str]]
) -> CronExpression:
    minutes, hours, days_of_month, months, weekdays = (
        _numbers(field, field_values) for field, field_values in zip(_FIELDS, values, strict=True)
    )
    day_of_month = texts[2].lower()
    return CronExpression(
        expression=expression,
        minutes=minutes,
        hours=hours,
        days_of_month=frozenset(days_of_month),
        nearest_weekday=int(day_of_month.strip("w")) if "w" in day_of_month else None,
        months=frozenset(months),
        weekdays=_counted(counted_weekdays) or frozenset(product(weekdays, _EVERY_OCCURRENCE)),
        either_day="*" not in values[2] and "*" not in values[4],
        open_hour=_is_open(texts[1], hours),
    )


def _numbers(field: _Field, values: list[int | str]) -> tuple[int, ...]:
    if "*" in values:
        return tuple(field.every)
    return tuple(sorted(LAST if value == "l" else int(value) for value in values))


def _counted(weekdays: dict[int, set[int | str]]) -> frozenset[tuple[int, int]]:
    return frozenset(
        (weekday, LAST if occurrence == "l" else int(occurrence))
        for weekday, occurrences in weekdays.items()
        for occurrence in occurrences
    )


def _is_open(hour: str, hours: tuple[int, ...]) -> bool:
    """True for all 24 hours, or steps from `*` with more than one hour: a daily `*/24` must not be lost in a gap."""
    has_only_steps = all(term.startswith("*") for term in hour.split(","))
    return len(hours) == len(_HOUR.every) or (has_only_steps and len(hours) > 1)
