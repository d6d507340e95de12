"""Convert times in the host's columns: aware ones with time zones on, otherwise wall times in its `TIME_ZONE`."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from report_orchestrator.domain.wall_clock import start_of_repetition, utc_readings


def host_stamp(value: datetime | None) -> datetime | None:
    """Return a change stamp as aware UTC.

    A wall time that is repeated in autumn names two instants, so the order of two edits cannot be known. All times of
    the repeated hour count as its beginning, so none of these edits counts as older than another.
    """
    if value is None or timezone.is_aware(value):
        return value
    zone = timezone.get_default_timezone()
    return utc_readings(start_of_repetition(value, zone) or value, zone)[0]


def certain_stamp(value: datetime) -> datetime | None:
    """Return a change stamp as aware UTC; None within a repeated hour, where two edits may have the same one."""
    if timezone.is_naive(value) and start_of_repetition(value, timezone.get_default_timezone()) is not None:
        return None
    return host_stamp(value)


def later_than(instant: datetime) -> datetime:
    """Return the lower bound for the host's column that finds all stamps after `instant`, in the column's form.

    Within a repeated hour it is the hour's beginning: the clock may have been set back since.
    """
    if settings.USE_TZ:
        return instant
    zone = timezone.get_default_timezone()
    wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    repeated_from = start_of_repetition(wall, zone)
    return wall if repeated_from is None else repeated_from - timedelta(microseconds=1)
