"""Modifiers of the host: a report's own, a shared one, or a new one for its date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from django.db import IntegrityError

from report_orchestrator.domain.reports import Modifier
from report_orchestrator.exceptions import ReportNotFoundError
from tests.host.api import models as host
from tests.support.host_rows import make_report, reports_of
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "reports"])

DAY = date(2026, 7, 5)
FRIDAY = date(2026, 7, 3)


class TestModifiers:
    def modifier(self, report: host.Report, **given: object) -> Modifier:
        return reports_of(**given).modifier_for(str(report.pk), DAY)

    def test_the_reports_own_is_preferred_with_the_rates_that_a_person_chose(self) -> None:
        report = make_report()
        host.ReportModifier.objects.create(as_at_date=DAY, fx_date=DAY)
        own = host.ReportModifier.objects.create(as_at_date=DAY, fx_date=FRIDAY)
        own.reports.add(report)
        assert self.modifier(report) == Modifier(id=own.pk, as_at_date=DAY, fx_date=FRIDAY)
        assert host.ReportModifier.objects.count() == 2

    def test_the_dates_shared_one_is_used_and_linked(self) -> None:
        report, other = make_report("One"), make_report("Two")
        shared = host.ReportModifier.objects.create(as_at_date=DAY, fx_date=FRIDAY)
        shared.reports.add(other)
        host.ReportModifier.objects.create(as_at_date=FRIDAY, fx_date=FRIDAY).reports.add(report)
        assert self.modifier(report) == Modifier(id=shared.pk, as_at_date=DAY, fx_date=FRIDAY)
        assert set(shared.reports.all()) == {report, other}

    def test_of_several_shared_ones_the_oldest_is_used(self) -> None:
        oldest, _newer = (host.ReportModifier.objects.create(as_at_date=DAY, fx_date=DAY) for _ in range(2))
        assert self.modifier(make_report()).id == oldest.pk

    def test_a_new_one_is_made_once_for_all_reports(self) -> None:
        reports = [make_report(f"Report {number}") for number in range(3)]
        ids = {self.modifier(report).id for report in reports * 2}
        made = host.ReportModifier.objects.get()
        assert ids == {made.pk}
        assert (made.as_at_date, made.fx_date) == (DAY, DAY)
        assert set(made.reports.all()) == set(reports)

    def test_one_without_rates_takes_those_of_its_date(self) -> None:
        report = make_report()
        host.ReportModifier.objects.create(as_at_date=DAY).reports.add(report)
        assert self.modifier(report).fx_date == DAY

    def test_a_host_without_modifiers_has_the_dates_alone(self) -> None:
        modifier = self.modifier(make_report(), MODIFIER_MODEL="")
        assert modifier == Modifier(id=None, as_at_date=DAY, fx_date=DAY)
        assert not host.ReportModifier.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_nothing_is_made_for_a_report_that_is_gone(self) -> None:
        with pytest.raises((ReportNotFoundError, IntegrityError)):
            reports_of().modifier_for("4711", DAY)
        assert not host.ReportModifier.objects.exists()

    @pytest.mark.django_db(transaction=True, databases=["default", "reports"])
    def test_racing_workers_make_one_between_them(self) -> None:
        keys = [str(make_report(f"Report {number}").pk) for number in range(4)]

        def load(key: str) -> Callable[[], object]:
            return lambda: reports_of().modifier_for(key, DAY)

        found = at_once(*(load(key) for key in keys * 2))
        made = host.ReportModifier.objects.get()
        assert found == [Modifier(id=made.pk, as_at_date=DAY, fx_date=DAY)] * 8
        assert made.reports.count() == 4
