"""Changes are noticed by their stamps, late or equal ones too, and nothing is read without a change."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from report_orchestrator.conf import get_settings
from report_orchestrator.models import ReportChange
from report_orchestrator.services.discovery.changed import refresh, refresh_changed
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.testing import START, FakePorts, geo_report
from tests.support.discovered_reports import kinds, known, row

pytestmark = pytest.mark.django_db


def test_an_edit_without_a_signal_is_noticed_by_its_stamp(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    fakes.reports.change("1", cron="5 * * * *", updated_at=START + timedelta(seconds=1))
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["retimed"]
    assert ReportChange.objects.latest("pk").source == "change_stamp"
    assert refresh_changed(runtime=fakes.runtime(get_settings())).changes == []


def test_a_stamp_that_was_committed_late_is_not_missed(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START + timedelta(seconds=20))
    discover(runtime=fakes.runtime(get_settings()))
    fakes.reports.change("1", name="Late", updated_at=START + timedelta(seconds=10))
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["renamed"]


@pytest.mark.parametrize("pause", [0.5, 20, 60])
def test_the_second_of_two_edits_with_the_same_stamp_is_noticed_by_the_next_tick(
    fakes: FakePorts, pause: float
) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START - timedelta(days=1))
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(seconds=10.2)
    stamp = START + timedelta(seconds=10)
    fakes.reports.change("1", cron="0 7 * * *", updated_at=stamp)
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["retimed"]
    fakes.reports.change("1", cron="0 8 * * *", updated_at=stamp)
    fakes.clock.advance(seconds=pause)
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["retimed"]
    assert row().cron == "0 8 * * *"


def test_an_edit_with_the_stamp_of_a_noticed_save_is_noticed(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START - timedelta(days=1))
    discover(runtime=fakes.runtime(get_settings()))
    fakes.reports.change("1", cron="0 7 * * *", updated_at=START)
    refresh(["1"], runtime=fakes.runtime(get_settings()))
    fakes.reports.change("1", cron="0 8 * * *", updated_at=START)
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["retimed"]


def test_a_report_whose_stamp_went_back_is_still_brought_in_step(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    fakes.reports.change("1", name="Restored from a backup", updated_at=START - timedelta(days=1))
    assert kinds(discover(runtime=fakes.runtime(get_settings()))) == ["renamed"]
    assert row().host_updated_at == START - timedelta(days=1)


def test_unchanged_reports_lock_and_write_nothing(fakes: FakePorts) -> None:
    known(fakes, 3)
    with CaptureQueriesContext(connection) as captured:
        assert discover(runtime=fakes.runtime(get_settings())).examined == 3
    of_reports = [query["sql"] for query in captured if "report_orchestrator_mark" not in query["sql"]]
    assert not [sql for sql in of_reports if sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert not [query for query in captured if "mutex" in query["sql"]]


def test_a_quiet_look_at_the_stamps_reads_no_report_and_writes_nothing(fakes: FakePorts) -> None:
    for key in ("1", "2"):
        fakes.reports.add(geo_report(key), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    refresh_changed(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(minutes=1)
    refresh_changed(runtime=fakes.runtime(get_settings()))  # so long after, nothing older can come any more
    fakes.clock.advance(minutes=1)
    with CaptureQueriesContext(connection) as captured:
        assert list(fakes.reports.changed_since(START)) == []
        assert refresh_changed(runtime=fakes.runtime(get_settings())).examined == 0
    assert len(captured) == 1  # the mark that remembers the newest stamp


def test_a_stamp_that_was_committed_late_is_not_missed_however_rare_the_looks(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START)
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(seconds=21)
    fakes.reports.change("2", name="Early", updated_at=START + timedelta(seconds=20))
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["renamed"]
    fakes.reports.change("1", name="Late", updated_at=START + timedelta(seconds=10))
    fakes.clock.advance(minutes=5)
    assert kinds(refresh_changed(runtime=fakes.runtime(get_settings()))) == ["renamed"]


def test_a_stamp_from_the_future_hides_no_other_edit(fakes: FakePorts) -> None:
    fakes.reports.add(geo_report("1"), updated_at=START + timedelta(days=400))
    fakes.reports.add(geo_report("2"), updated_at=START)
    discover(runtime=fakes.runtime(get_settings()))
    fakes.clock.advance(minutes=1)
    fakes.reports.change("2", name="Edited", updated_at=START + timedelta(seconds=50))
    assert "renamed" in kinds(refresh_changed(runtime=fakes.runtime(get_settings())))
