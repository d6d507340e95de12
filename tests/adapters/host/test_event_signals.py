"""Changes of events of any shape concern their reports."""

from collections.abc import Iterator

import pytest
from django.db.models.signals import class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save

from report_orchestrator.adapters.host.changes.collector import ChangeCollector
from report_orchestrator.adapters.host.reports import HostReports
from tests.hosts import base, shapes
from tests.support.event_shapes import COLUMN, OWN, RING, SOURCE, SPLIT, SPLIT_GROUP, circle, spot, spot_report
from tests.support.settings_factory import SettingsFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hosts")]

SIGNALS = (class_prepared, m2m_changed, post_delete, post_save, pre_delete, pre_save)


@pytest.mark.django_db(transaction=True)
class TestSignals:
    @pytest.fixture
    def changed(self, request: pytest.FixtureRequest) -> Iterator[list[str]]:
        """Collect the keys of the reports that the signals of a host name."""
        found: list[str] = []
        before = [(signal, signal.receivers[:]) for signal in SIGNALS]
        collector = ChangeCollector(our_alias=lambda: "default", refresh=lambda keys, _gone: found.extend(keys))
        HostReports(SettingsFactory.make(**request.param)).signals(collector).connect()
        yield found
        for signal, receivers in before:
            signal.receivers[:] = receivers
            signal.sender_receivers_cache.clear()

    @pytest.mark.parametrize("changed", [COLUMN], indirect=True)
    def test_a_change_of_the_kind_is_noticed(self, changed: list[str]) -> None:
        place = spot()
        report = spot_report(place)
        changed.clear()
        place.kind = "box"
        place.save()
        assert changed == [str(report.pk)]

    @pytest.mark.parametrize("changed", [OWN], indirect=True)
    def test_events_of_the_report_itself_are_noticed(self, changed: list[str]) -> None:
        report = shapes.OwnReport.objects.create(name="Wind")
        ring = base.RingEvent.objects.create(name="Thames", **RING)
        changed.clear()
        report.events.add(ring)
        ring.delete()
        assert set(changed) == {str(report.pk)}
        assert len(changed) > 1

    @pytest.mark.parametrize("changed", [SPLIT], indirect=True)
    def test_each_of_several_relations_is_noticed(self, changed: list[str]) -> None:
        report, other = (shapes.SplitReport.objects.create(name=name) for name in ("One", "Two"))
        ring = circle()
        square = shapes.Square.objects.create(report=other)
        changed.clear()
        report.circles.add(ring)
        assert changed == [str(report.pk)]
        changed.clear()
        ring.radius = None
        ring.save()
        assert changed == [str(report.pk)]
        changed.clear()
        square.report = report
        square.save()
        assert set(changed) == {str(report.pk), str(other.pk)}

    @pytest.mark.parametrize("changed", [SPLIT_GROUP], indirect=True)
    def test_so_is_each_of_a_group(self, changed: list[str]) -> None:
        group = shapes.SplitGroup.objects.create()
        report = shapes.SplitGroupReport.objects.create(name="Wind", event_group=group)
        square, ring = shapes.Square.objects.create(), circle()
        for change in (lambda: group.squares.add(square), lambda: group.circles.add(ring), ring.delete):
            changed.clear()
            change()
            assert set(changed) == {str(report.pk)}

    @pytest.mark.parametrize("changed", [SOURCE], indirect=True)
    def test_a_report_with_a_function_is_noticed_by_its_own_save(self, changed: list[str]) -> None:
        report = shapes.TextReport.objects.create(name="Wind")
        changed.clear()
        report.save()
        assert changed == [str(report.pk)]
