"""Events that move or are deleted softly, and rows that a manager hides, concern their reports."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models, transaction

from tests.host.api import models as host
from tests.support.host_changes import a_ring, group_with, listening, tables

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "reports"])


class Dated(models.Manager[Any]):
    """A manager that hides deleted rows."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(deleted=False)


class Tenants(models.Manager[Any]):
    """Shows the rows of one tenant, as a thread-local of the request would choose."""

    current = "a"

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(tenant=self.current)


class TestHiddenRows:
    def test_a_soft_deletion_is_gone_and_a_tenant_out_of_sight_is_not(self) -> None:
        class HiddenReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            event_group = models.ForeignKey(host.EventGroup, models.CASCADE, related_name="+")
            deleted = models.BooleanField(default=False)
            objects = Dated()

            class Meta:
                app_label = "api"

        class TenantReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            event_group = models.ForeignKey(host.EventGroup, models.CASCADE, related_name="+")
            tenant = models.CharField(max_length=10)
            objects = Tenants()

            class Meta:
                app_label = "api"

        group = group_with(a_ring())
        with tables(HiddenReport, TenantReport):
            with listening(REPORT_MODEL="api.HiddenReport") as refreshes:
                report = HiddenReport._default_manager.create(name="w", cron="0 6 * * *", event_group=group)
                report.deleted = True
                report.save()
                assert refreshes.keys == [[str(report.pk)]] * 2
                assert refreshes.gone == {str(report.pk)}
            with listening(REPORT_MODEL="api.TenantReport") as refreshes:
                other = TenantReport._default_manager.create(name="w", cron="0 6 * * *", event_group=group, tenant="b")
                other.save()
                assert refreshes.keys == [[str(other.pk)]] * 2
                assert refreshes.gone == set()

    def test_an_event_of_two_relations_concerns_the_reports_of_both(self) -> None:
        class SharedPlace(models.Model):
            country = models.CharField(max_length=2)
            latitude, longitude, radius = models.FloatField(), models.FloatField(), models.FloatField()
            deleted = models.BooleanField(default=False)
            objects = Dated()

            class Meta:
                app_label = "api"

        class TwofoldReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            areas = models.ManyToManyField(SharedPlace, related_name="+")
            rings = models.ManyToManyField(SharedPlace, related_name="+")

            class Meta:
                app_label = "api"

        relations = {"geo": "areas", "ring": "rings"}
        given = {
            "REPORT_MODEL": "api.TwofoldReport",
            "REPORT_FIELDS": {"event_group": ""},
            "EVENT_RELATIONS": relations,
        }
        with tables(SharedPlace, TwofoldReport), listening(**given) as refreshes:
            place = SharedPlace._default_manager.create(country="NL", latitude=1, longitude=1, radius=1)
            by_area = TwofoldReport._default_manager.create(name="w", cron="0 6 * * *")
            by_ring = TwofoldReport._default_manager.create(name="w", cron="0 6 * * *")
            by_area.areas.add(place)
            by_ring.rings.add(place)
            refreshes.keys.clear()
            place.deleted = True
            with transaction.atomic(using="reports"):
                place.save()
            assert refreshes.keys == [[str(by_area.pk), str(by_ring.pk)]]

    def test_an_event_that_is_softly_deleted_concerns_its_reports(self) -> None:
        class Place(models.Model):
            deleted = models.BooleanField(default=False)
            objects = Dated()

            class Meta:
                app_label = "api"

        class PlaceGroup(models.Model):
            events = models.ManyToManyField(Place)

            class Meta:
                app_label = "api"

        class PlaceReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            event_group = models.ForeignKey(PlaceGroup, models.CASCADE, related_name="+")

            class Meta:
                app_label = "api"

        with tables(Place, PlaceGroup, PlaceReport), listening(REPORT_MODEL="api.PlaceReport") as refreshes:
            group, place = PlaceGroup._default_manager.create(), Place._default_manager.create()
            group.events.add(place)
            report = PlaceReport._default_manager.create(name="w", cron="0 6 * * *", event_group=group)
            refreshes.keys.clear()
            place.save()
            assert refreshes.keys == []
            place.deleted = True
            place.save()
            assert refreshes.keys == [[str(report.pk)]]


class TestMovedEvents:
    def test_both_groups_are_read_again_when_an_event_moves(self) -> None:
        class Area(models.Model):
            class Meta:
                app_label = "api"

        class AreaEvent(models.Model):
            area = models.ForeignKey(Area, models.CASCADE, related_name="events")

            class Meta:
                app_label = "api"

        class AreaReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            event_group = models.ForeignKey(Area, models.CASCADE, related_name="+")

            class Meta:
                app_label = "api"

        with tables(Area, AreaEvent, AreaReport), listening(REPORT_MODEL="api.AreaReport") as refreshes:
            here, there = Area._default_manager.create(), Area._default_manager.create()
            reports = [
                AreaReport._default_manager.create(name="w", cron="0 6 * * *", event_group=area)
                for area in (here, there)
            ]
            event = AreaEvent._default_manager.create(area=here)
            refreshes.keys.clear()
            event.area = there
            event.save()
            assert refreshes.keys == [sorted(str(report.pk) for report in reports)]

    def test_a_row_of_a_table_between_groups_and_events_counts_too(self) -> None:
        class Spot(models.Model):
            class Meta:
                app_label = "api"

        class SpotGroup(models.Model):
            events: Any = models.ManyToManyField(Spot, through="api.Membership")  # type: ignore[misc]

            class Meta:
                app_label = "api"

        class Membership(models.Model):
            group = models.ForeignKey(SpotGroup, models.CASCADE)
            spot = models.ForeignKey(Spot, models.CASCADE)

            class Meta:
                app_label = "api"

        class SpotReport(models.Model):
            name = models.CharField(max_length=10)
            cron = models.CharField(max_length=20)
            event_group = models.ForeignKey(SpotGroup, models.CASCADE, related_name="+")

            class Meta:
                app_label = "api"

        with tables(Spot, SpotGroup, Membership, SpotReport), listening(REPORT_MODEL="api.SpotReport") as refreshes:
            group, spot = SpotGroup._default_manager.create(), Spot._default_manager.create()
            report = SpotReport._default_manager.create(name="w", cron="0 6 * * *", event_group=group)
            refreshes.keys.clear()
            membership = Membership._default_manager.create(group=group, spot=spot)
            membership.delete()
            assert refreshes.keys == [[str(report.pk)]] * 2
