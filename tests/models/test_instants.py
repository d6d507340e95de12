"""Our instants in every kind of host: run once more without time zones, on SQLite and on PostgreSQL, by the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, models
from django.db.models import F, Max, Min, OuterRef, Subquery
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.database_clock import DatabaseClock
from report_orchestrator.models import SharedState

pytestmark = pytest.mark.django_db

SUMMER = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
"""Half past one in New York, for the first time that night."""
WINTER = SUMMER + timedelta(hours=1, microseconds=1)
"""Half past one once more, an hour later."""
NEW_YORK = "America/New_York"


# With time zones on, Django itself relies on the session's zone that it has set; without, others may set another.
HOSTS = ["time zones", "naive"]
if connection.vendor == "postgresql":
    HOSTS += ["Asia/Kolkata", "Europe/London"]


@pytest.fixture(params=HOSTS)
def _host(request: pytest.FixtureRequest, settings: DjangoSettings) -> Iterator[None]:
    """A host in New York: with time zones, without, and with a database session in another zone."""
    settings.TIME_ZONE = NEW_YORK
    settings.USE_TZ = request.param == "time zones"
    if "/" in request.param:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, false)", [request.param])
    yield
    connection.ensure_timezone()


@pytest.fixture
def night(_host: None) -> None:
    """Two marks an hour apart, which the clocks of New York show as the same time."""
    SharedState.objects.create(name="summer", marked_at=SUMMER)
    SharedState.objects.create(name="winter", marked_at=WINTER)


def names(*conditions: models.Q, **lookups: object) -> list[str]:
    """The marks that a filter finds, in the order of their instants."""
    found = SharedState.objects.filter(*conditions, **lookups).order_by("marked_at")
    return list(found.values_list("name", flat=True))


@pytest.mark.usefixtures("night")
class TestTheRepeatedHour:
    def test_a_row_gives_back_the_instant_that_it_was_given(self) -> None:
        summer, winter = SharedState.objects.order_by("marked_at")
        assert (summer.marked_at, winter.marked_at) == (SUMMER, WINTER)
        assert summer.marked_at is not None
        assert summer.marked_at.tzinfo is UTC
        summer.refresh_from_db()
        assert (summer.marked_at, summer.due_at) == (SUMMER, None)

    def test_lists_streams_and_aggregates_give_it_too(self) -> None:
        both = SharedState.objects.order_by("marked_at")
        assert list(both.values_list("marked_at", flat=True)) == [SUMMER, WINTER]
        assert list(both.values_list("marked_at", flat=True).distinct().iterator()) == [SUMMER, WINTER]
        assert both.aggregate(first=Min("marked_at"), last=Max("marked_at")) == {"first": SUMMER, "last": WINTER}

    def test_expressions_give_it_too(self) -> None:
        later = SharedState.objects.filter(marked_at__gt=OuterRef("marked_at")).order_by("marked_at")
        marks = SharedState.objects.annotate(same=F("marked_at"), next=Subquery(later.values("marked_at")[:1]))
        assert list(marks.order_by("marked_at").values_list("same", "next")) == [(SUMMER, WINTER), (WINTER, None)]

    def test_lookups_take_it(self) -> None:
        assert names(marked_at=SUMMER) == ["summer"]
        assert names(marked_at__in=[SUMMER, WINTER]) == ["summer", "winter"]
        assert names(marked_at__lte=SUMMER) == ["summer"]
        assert names(marked_at__gt=SUMMER) == ["winter"]
        assert names(marked_at__range=(SUMMER, WINTER - timedelta(minutes=1))) == ["summer"]
        assert names(marked_at__gte=WINTER.astimezone(), marked_at__isnull=False) == ["winter"]
        assert names(models.Q(marked_at__lt=F("marked_at"))) == []

    def test_updates_take_it(self) -> None:
        SharedState.objects.update(due_at=WINTER)
        assert names(due_at=WINTER) == ["summer", "winter"]
        SharedState.objects.update(due_at=F("marked_at"))
        assert names(due_at=F("marked_at")) == ["summer", "winter"]
        marks = list(SharedState.objects.order_by("marked_at"))
        for mark in marks:
            mark.due_at = WINTER + timedelta(minutes=len(mark.name))
        SharedState.objects.bulk_update(marks, ["due_at"])
        assert set(SharedState.objects.values_list("due_at", flat=True)) == {WINTER + timedelta(minutes=6)}
        SharedState.objects.bulk_update([SharedState(name="summer", due_at=None)], ["due_at"])
        assert names(due_at=None) == ["summer"]

    def test_the_database_holds_utc(self) -> None:
        column = {"postgresql": "CAST(marked_at AT TIME ZONE 'UTC' AS TEXT)", "mysql": "CAST(marked_at AS CHAR)"}.get(
            connection.vendor, "marked_at"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {column} FROM report_orchestrator_mark ORDER BY marked_at")  # noqa: S608
            texts = [str(text).removesuffix(".000000") for (text,) in cursor.fetchall()]
        assert texts == ["2026-11-01 05:30:00", "2026-11-01 06:30:00.000001"]

    def test_a_host_that_switches_its_time_zones_keeps_every_instant(self, settings: DjangoSettings) -> None:
        settings.USE_TZ = not settings.USE_TZ
        settings.TIME_ZONE = "Asia/Tokyo"
        assert list(SharedState.objects.order_by("marked_at").values_list("marked_at", flat=True)) == [SUMMER, WINTER]
        assert names(marked_at__lte=SUMMER) == ["summer"]

    def test_the_databases_clock_gives_the_time(self) -> None:
        now = DatabaseClock()()
        assert now.tzinfo is UTC
        assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_naive_value_is_a_time_of_the_hosts(settings: DjangoSettings) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = NEW_YORK
    noon = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - as such a host's own code writes it
    SharedState.objects.create(name="noon", marked_at=noon)
    assert SharedState.objects.get(marked_at=noon).marked_at == datetime(2026, 7, 1, 16, tzinfo=UTC)


def test_a_database_with_a_zone_of_its_own_holds_utc_all_the_same(settings: DjangoSettings) -> None:
    """`TIME_ZONE` in `DATABASES`, for databases without time zones that others read."""
    if connection.features.supports_timezones:
        pytest.skip("only databases without time zones keep a wall clock")
    settings.USE_TZ = True
    connection.timezone = ZoneInfo(NEW_YORK)  # what Django makes of the setting, and caches
    try:
        SharedState.objects.create(name="summer", marked_at=SUMMER)
        SharedState.objects.create(name="winter", marked_at=WINTER)
        assert list(SharedState.objects.order_by("marked_at").values_list("marked_at", flat=True)) == [SUMMER, WINTER]
    finally:
        del connection.timezone
