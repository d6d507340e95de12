"""Find or create the host's modifiers: one for each run date, shared by reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import router, transaction
from django.db.models import Model, QuerySet

from report_orchestrator.adapters.host.fields import refuse_composite_key, resolve_model, resolve_paths
from report_orchestrator.adapters.host.keys import Keys
from report_orchestrator.adapters.host.rules import MODIFIER_FIELDS
from report_orchestrator.adapters.host.values import json_key
from report_orchestrator.adapters.host.writes import accessor, refusals_of, refuse_other_target
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.reports import Modifier
from report_orchestrator.exceptions import ReportNotFoundError
from report_orchestrator.models import SharedState, StateName


@dataclass(frozen=True, slots=True, kw_only=True)
class HostModifiers:
    """The host's modifiers, one for each date and shared by reports. No constraint of the host keeps them unique."""

    model: type[Model]
    report_model: type[Model]
    paths: Mapping[str, str]

    @classmethod
    def of(cls, report_model: type[Model], settings: Settings) -> HostModifiers:
        """Resolve the model and its fields from the settings.

        Raises:
            ConfigurationError: the settings name a missing or unsuitable model or field.
        """
        model = resolve_model(settings.modifier_model, "MODIFIER_MODEL")
        refuse_composite_key(model, "MODIFIER_MODEL")
        paths = resolve_paths(model, MODIFIER_FIELDS, settings.modifier_fields, "MODIFIER_FIELDS")
        refuse_other_target(model, paths["reports"], report_model, "MODIFIER_FIELDS, as {'reports': '…'}")
        return cls(model=model, report_model=report_model, paths=paths)

    def for_report(self, key: str, run_date: date) -> Modifier:
        """Find or create the modifier. Creators hold a mutex, so it is created once.

        Raises:
            ReportNotFoundError: no report has this key.
            LedgerError: the host's tables refuse a modifier, or its link to the report.
        """
        pk = Keys(model=self.report_model).value(key)
        if pk is not None and (linked := self._linked(pk, run_date)) is not None:
            return self._value(linked, run_date)
        report = self._report(key, pk)
        with (
            refusals_of(
                self.model,
                f"a modifier of {run_date} for report {key}",
                "Give its other columns defaults, correct MODIFIER_FIELDS, or link a modifier to the report yourself.",
                code=ErrorCode.MODIFIER_RECORD,
            ),
            transaction.atomic(using=router.db_for_write(SharedState)),
        ):
            SharedState.objects.lock(StateName.MODIFIER_LOCK, now=datetime.now(UTC))
            found = self._linked(report.pk, run_date) or self._shared_or_new(report, run_date)
        return self._value(found, run_date)

    def preview(self, key: str, run_date: date) -> Modifier:
        """Return the modifier that `for_report` would return, without writing; one that is missing has no id."""
        pk = Keys(model=self.report_model).value(key)
        linked = None if pk is None else self._linked(pk, run_date)
        found = linked or self._of_date(run_date).first()
        return (
            Modifier(id=None, as_at_date=run_date, fx_date=run_date) if found is None else self._value(found, run_date)
        )

    def _report(self, key: str, pk: object) -> Model:
        reports = self.report_model._default_manager.using(router.db_for_write(self.report_model))
        report = None if pk is None else reports.filter(pk=pk).first()
        if report is None:
            raise ReportNotFoundError(f"Report {key} does not exist in {self.report_model._meta.label}.")
        return report

    def _of_date(self, run_date: date) -> QuerySet[Any]:
        # Where they are written: a replica may lack the one that another process has just created.
        rows = self.model._default_manager.using(router.db_for_write(self.model))
        return rows.filter(**{self.paths["as_at_date"]: run_date}).order_by("pk")

    def _linked(self, report_pk: object, run_date: date) -> Model | None:
        return self._of_date(run_date).filter(**{f"{self.paths['reports']}__pk": report_pk}).first()

    def _shared_or_new(self, report: Model, run_date: date) -> Model:
        with transaction.atomic(using=router.db_for_write(self.model)):
            found = self._of_date(run_date).first()
            if found is None:
                dates = {self.paths["as_at_date"]: run_date, self.paths["fx_date"]: run_date}
                found = self.model._default_manager.create(**dates)
            getattr(found, accessor(self.model, self.paths["reports"])).add(report)
            if self._linked(report.pk, run_date) is None:  # MySQL drops a link to a row that is gone without an error
                raise ReportNotFoundError(f"Report {report.pk} no longer exists. Cancel its runs.")
        return found

    def _value(self, modifier: Model, run_date: date) -> Modifier:
        return Modifier(
            id=json_key(modifier.pk), as_at_date=run_date, fx_date=getattr(modifier, self.paths["fx_date"]) or run_date
        )
