from __future__ import annotations

from io import StringIO
from typing import get_args

import pytest
from django.core.management import call_command
from django.db import connections

from tests.host.api.models import Event, EventGroup, Report, ReportModifier
from tests.host.api.seed import REPORTS, Fate, Problem

pytestmark = pytest.mark.django_db(databases=["default", "reports"])


def seed(*, reset: bool = False) -> str:
    output = StringIO()
    call_command("seed_reports", reset=reset, stdout=output)
    return output.getvalue()


def everything() -> list[list[tuple[object, ...]]]:
    models = (Report, Event, EventGroup, EventGroup.events.through, ReportModifier, ReportModifier.reports.through)
    return [list(model._default_manager.order_by("pk").values_list()) for model in models]


def test_forty_reports_are_seeded() -> None:
    output = seed()

    assert Report.objects.count() == 40
    assert set(Report.objects.values_list("name", flat=True)) == {report.name for report in REPORTS}
    assert "31 active" in output


def test_seeding_again_changes_nothing() -> None:
    seed()
    before = everything()

    seed()

    assert everything() == before


def test_seeding_again_keeps_what_a_person_changed() -> None:
    seed()
    Report.objects.filter(name=REPORTS[0].name).update(cron="0 6 * * *")

    seed()

    assert Report.objects.get(name=REPORTS[0].name).cron == "0 6 * * *"


def test_a_reset_starts_over() -> None:
    seed()
    Report.objects.create(name="Made by hand", peril="WS")
    Report.objects.filter(name=REPORTS[0].name).delete()

    seed(reset=True)

    assert Report.objects.count() == 40
    assert not Report.objects.filter(name="Made by hand").exists()


def test_the_reports_live_in_a_database_of_their_own() -> None:
    seed()

    assert Report.objects.db == "reports"
    assert "reports" in connections["reports"].introspection.table_names()
    assert "reports" not in connections["default"].introspection.table_names()
    assert "django_migrations" in connections["default"].introspection.table_names()
    assert "auth_user" not in connections["reports"].introspection.table_names()


def test_the_host_itself_finds_nothing_wrong_with_any_report() -> None:
    seed()

    for report in Report.objects.all():
        report.full_clean()


def test_every_fate_and_every_problem_is_represented() -> None:
    assert {report.expected for report in REPORTS} == set(get_args(Fate))
    assert {report.problem for report in REPORTS} - {None} == set(get_args(Problem))


def test_only_quarantined_reports_have_a_problem() -> None:
    assert all((report.problem is not None) == (report.expected == "quarantined") for report in REPORTS)


def test_active_reports_look_at_one_to_twelve_events_of_one_kind() -> None:
    seed()

    for name in (report.name for report in REPORTS if report.expected == "active"):
        group = Report.objects.get(name=name).event_group
        assert group is not None
        assert 1 <= group.events.count() <= 12
        assert len({kind_of(event) for event in group.events.all()} - {"none"}) == 1


def kind_of(event: Event) -> str:
    return next((kind for kind in ("ring", "box", "geo") if hasattr(event, f"{kind}event")), "none")


def test_one_modifier_has_exchange_rates_of_another_day_than_its_own() -> None:
    seed()

    days = [modifier.as_at_date == modifier.fx_date for modifier in ReportModifier.objects.all()]

    assert sorted(days) == [False, True]
