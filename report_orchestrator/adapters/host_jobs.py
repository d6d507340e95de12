"""The host's own table of Fireant jobs, written once for each job and only where the host has the fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, router, transaction
from django.db.models import CharField, DateField, Model

from report_orchestrator.adapters.host_fields import field_named, present_paths, resolve_model
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import LedgerError
from report_orchestrator.models import Mark

JOB_FIELDS: Mapping[str, bool] = {
    "report": True,
    "fireant_jobid": True,
    "report_modifier": False,
    "status": False,
    "results_url": False,
}
"""Our names of a job's fields, and whether a host must have them."""

MUTEX = "mutex: job record"


class NoJobs:
    """A `JobLedger` for a host without a job model."""

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Writes nothing."""
        return ""

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Writes nothing."""


class HostJobs:
    """A `JobLedger` over the model that `JOB_MODEL` names."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _model(self) -> type[Model]:
        return resolve_model(self._settings.job_model, "JOB_MODEL")

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        return present_paths(self._model, JOB_FIELDS, self._settings.job_fields, "JOB_FIELDS")

    def verify(self) -> None:
        """Raises `ConfigurationError` where the settings name a model or a field that is not there."""
        _ = self._paths

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Finds the job's row or writes it; whoever writes holds the mutex, so it is written once."""
        columns = self._identity(report_key, fireant_job_id)
        try:
            with transaction.atomic(using=router.db_for_write(Mark)):
                Mark.objects.hold(MUTEX, now=datetime.now(UTC))
                found = self._model._default_manager.filter(**columns).order_by("pk").first()
                return str((found or self._create({**columns, **self._modifier(modifier_key)})).pk)
        except (IntegrityError, DataError) as error:  # a broken reference may be told only at the commit
            raise LedgerError(
                f"{self._model._meta.label} does not take the record of a job: {error}. "
                "If the report or its modifier was deleted meanwhile, start a new run; otherwise correct JOB_FIELDS."
            ) from error

    def _create(self, columns: dict[str, Any]) -> Model:
        with transaction.atomic(using=router.db_for_write(self._model)):
            return self._model._default_manager.create(**columns)

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Writes status and address to those of the fields that the host's model has."""
        ends = {"status": status, "results_url": results_url}
        known = {
            self._paths[name]: self._fitted(self._paths[name], value)
            for name, value in ends.items()
            if name in self._paths and value
        }
        if not known:
            return
        for job in self._model._default_manager.filter(**self._identity(report_key, fireant_job_id)):
            for name, value in known.items():
                setattr(job, name, value)
            job.save(update_fields=[*known, *self._automatic_dates])

    def _identity(self, report_key: str, fireant_job_id: str) -> dict[str, Any]:
        return {
            self._attname("report"): report_key,
            self._paths["fireant_jobid"]: self._job_id(fireant_job_id),
        }

    def _job_id(self, fireant_job_id: str) -> Any:
        field = field_named(self._model, self._paths["fireant_jobid"])
        try:
            return field.clean(fireant_job_id, None)
        except ValidationError as error:
            raise LedgerError(
                f"{self._model._meta.label}.{field.name} cannot hold Fireant's job id '{fireant_job_id}': "
                f"{' '.join(error.messages)} Widen that field, or name another in JOB_FIELDS, then retry the run."
            ) from error

    def _modifier(self, modifier_key: str) -> dict[str, object]:
        if "report_modifier" not in self._paths or not modifier_key:
            return {}
        return {self._attname("report_modifier"): modifier_key}

    def _attname(self, name: str) -> str:
        return field_named(self._model, self._paths[name]).attname

    def _fitted(self, name: str, value: str) -> str:
        field = field_named(self._model, name)
        longest = field.max_length if isinstance(field, CharField) else None
        return value[:longest]

    @cached_property
    def _automatic_dates(self) -> list[str]:
        """`auto_now` fields, which a save of chosen fields would leave behind."""
        return [
            field.name
            for field in self._model._meta.concrete_fields
            if isinstance(field, DateField) and field.auto_now
        ]
