"""The expected end of a run in progress, and the place of a queued one, in words."""

from collections.abc import Iterator
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from report_orchestrator.admin.ui.format import duration
from report_orchestrator.admin.ui.phrases import day_and_clock, number
from report_orchestrator.services.reports.expected_end import ExpectedEnd, PlaceInLine


def describe_end(expected: ExpectedEnd, now: datetime) -> str:
    """Return "about 16:49, in 9 of 10 cases by 16:58"."""
    if expected.at is None or expected.at_latest is None:
        return gettext("unknown: no recent run of the report has succeeded")
    if expected.at_latest < now:
        return gettext("overdue since {time}").format(time=day_and_clock(expected.at_latest, now))
    if expected.at < now:
        return gettext("in 9 of 10 cases by {latest}").format(latest=day_and_clock(expected.at_latest, now))
    time, latest = day_and_clock(expected.at, now), day_and_clock(expected.at_latest, now)
    if time == latest:
        return gettext("about {time}").format(time=time)
    return gettext("about {time}, in 9 of 10 cases by {latest}").format(time=time, latest=latest)


def slow_warning(expected: ExpectedEnd) -> SafeString | str:
    if not expected.is_slow:
        return ""
    text = gettext("more than twice as long as usual")
    return format_html('<span class="ro-overdue"><span aria-hidden="true">!</span> {}</span>', text)


def describe_progress(progress: float | None) -> str:
    return "" if progress is None else gettext("{percent} % done").format(percent=number(int(100 * progress)))


def end_lines(expected: ExpectedEnd, progress: float | None, now: datetime) -> Iterator[SafeString | str]:
    """Yield the sentences of a run's page."""
    yield gettext("Expected end: {end}.").format(end=describe_end(expected, now))
    if expected.typical is not None:
        yield format_html(
            "{} {}",
            gettext("Typical duration: {span}.").format(span=duration(expected.typical)),
            slow_warning(expected),
        )
    if progress is not None:
        yield gettext("Fireant: {progress}.").format(progress=describe_progress(progress))


def place_lines(line: PlaceInLine, now: datetime) -> Iterator[str]:
    if line.is_behind_its_report:
        yield gettext("It starts after the earlier runs of its report have ended. When that is, is unknown.")
        return
    yield gettext("Place in line: {place}.").format(place=number(line.place))
    if line.starts_at is None:
        yield gettext("When it starts is unknown: no job was submitted in the last 10 minutes, or Fireant is down.")
    else:
        yield gettext("At the present pace it starts about {time}.").format(time=day_and_clock(line.starts_at, now))
