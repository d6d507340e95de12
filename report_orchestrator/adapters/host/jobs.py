"""Write the host's own rows of Fireant jobs, one for each job, in the fields that the host has."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import CharField, DateField, Model, QuerySet

from report_orchestrator.adapters.host.fields import field_named, resolve_field, resolve_model, resolve_paths
from report_orchestrator.adapters.host.rules import JOB_FIELDS, MODIFIER_FIELDS
from report_orchestrator.adapters.host.timestamps import host_stamp, later_than
from report_orchestrator.adapters.host.writes import reference, refusals_of, refuse_other_target
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, LedgerError
from report_orchestrator.models import SharedState, StateName
from report_orchestrator.ports import RecordedJob


class NoJobs:
    """A `JobLedger` for a host without a job model."""

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Record nothing."""
        return ""

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Record nothing."""

    def recorded(self, since: datetime) -> Iterator[RecordedJob]:
        """Raise `ConfigurationError`."""
        raise ConfigurationError(
            "JOB_MODEL is not set: the project's jobs cannot be read. Set it to the table of jobs."
        )


class HostJobs:
    """A `JobLedger` over the model that `JOB_MODEL` names."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _model(self) -> type[Model]:
        return resolve_model(self._settings.job_model, "JOB_MODEL")

    @property
    def _rows(self) -> QuerySet[Model]:
        """Return the jobs where they are written: a replica may lack the one that was just recorded."""
        return self._model._default_manager.using(router.db_for_write(self._model))

    @cached_property
    def _report_model(self) -> type[Model]:
        return resolve_model(self._settings.report_model, "REPORT_MODEL")

    @cached_property
    def _paths(self) -> Mapping[str, str]:
        paths = resolve_paths(self._model, JOB_FIELDS, self._settings.job_fields, "JOB_FIELDS")
        refuse_other_target(self._model, paths["report"], self._report_model, "JOB_FIELDS, as {'report': '…'}")
        return paths

    def verify(self) -> None:
        """Raise `ConfigurationError` if the settings name a missing or unsuitable model or field."""
        _ = self._paths

    def record(self, *, report_key: str, modifier_key: str, fireant_job_id: str) -> str:
        """Find or write the job's row. Writers hold a mutex, so it is written once."""
        columns = self._identity(report_key, fireant_job_id)
        with self._refusals("the record of a job"), transaction.atomic(using=router.db_for_write(SharedState)):
            SharedState.objects.lock(StateName.JOB_RECORD_LOCK, now=datetime.now(UTC))
            found = self._rows.filter(**columns).order_by("pk").first()
            return str((found or self._create({**columns, **self._modifier(modifier_key)})).pk)

    def _create(self, columns: dict[str, Any]) -> Model:
        with transaction.atomic(using=router.db_for_write(self._model)):
            return self._model._default_manager.create(**columns)

    def _refusals(self, row: str) -> AbstractContextManager[None]:
        remedy = "If the report or its modifier was deleted, start a new run; otherwise correct JOB_FIELDS."
        return refusals_of(self._model, row, remedy)

    def note_end(self, *, report_key: str, fireant_job_id: str, status: str, results_url: str) -> None:
        """Write status and address to those fields that the host's model has."""
        ends = {"status": status, "results_url": results_url}
        known = {
            self._paths[name]: self._fitted(self._paths[name], value)
            for name, value in ends.items()
            if name in self._paths and value
        }
        if not known:
            return
        with self._refusals("the end of a job"), transaction.atomic(using=router.db_for_write(self._model)):
            for job in self._rows.filter(**self._identity(report_key, fireant_job_id)):
                for name, value in known.items():
                    setattr(job, name, value)
                job.save(update_fields=[*known, *self._automatic_dates])

    def _identity(self, report_key: str, fireant_job_id: str) -> dict[str, Any]:
        report = reference(self._model, self._paths["report"], self._report_model, report_key)
        return {**report, self._paths["fireant_jobid"]: self._job_id(fireant_job_id)}

    def _job_id(self, fireant_job_id: str) -> Any:
        field = field_named(self._model, self._paths["fireant_jobid"])
        try:
            return field.clean(fireant_job_id, None)
        except ValidationError as error:
            raise LedgerError(
                f"{self._model._meta.label}.{field.name} cannot store the Fireant job ID '{fireant_job_id}': "
                f"{' '.join(error.messages)} Widen the field or map another one in JOB_FIELDS, then retry the "
                "run."
            ) from error

    def _modifier(self, modifier_key: str) -> dict[str, Any]:
        if "report_modifier" not in self._paths or not modifier_key:
            return {}
        modifier = resolve_model(self._settings.modifier_model, "MODIFIER_MODEL")
        return reference(self._model, self._paths["report_modifier"], modifier, modifier_key)

    def _fitted(self, name: str, value: str) -> str:
        field = field_named(self._model, name)
        longest = field.max_length if isinstance(field, CharField) else None
        return value[:longest]

    @cached_property
    def _automatic_dates(self) -> list[str]:
        """Return the `auto_now` fields, which a save with `update_fields` would leave out."""
        return [
            field.name for field in self._model._meta.concrete_fields if isinstance(field, DateField) and field.auto_now
        ]

    def recorded(self, since: datetime) -> Iterator[RecordedJob]:
        """Yield the rows created since then, with the dates of their modifiers."""
        created = self._paths.get("created", "created")
        resolve_field(self._model, "created", created, JOB_FIELDS["created"], "JOB_FIELDS, as {'created': '…'}")
        key = self._paths["report"]
        if field_named(self._model, key).is_relation:
            key = f"{key}__pk"
        columns = {"report_key": key, "fireant_job_id": self._paths["fireant_jobid"], **self._modifier_dates}
        rows = self._rows.filter(**{f"{created}__gt": later_than(since)}).order_by(created, "pk")
        for created_at, *values in rows.values_list(created, *columns.values()).iterator(chunk_size=1000):
            row: dict[str, Any] = dict(zip(columns, values, strict=True))
            texts = {name: str(row[name]) for name in ("report_key", "fireant_job_id")}
            yield RecordedJob(created_at=host_stamp(created_at) or created_at, **(row | texts))

    @cached_property
    def _modifier_dates(self) -> Mapping[str, str]:
        """Return the paths of the dates, if the job's row refers to a modifier."""
        path = self._paths.get("report_modifier", "")
        if not path or not self._settings.modifier_model or not field_named(self._model, path).is_relation:
            return {}
        modifier = resolve_model(self._settings.modifier_model, "MODIFIER_MODEL")
        dates = resolve_paths(modifier, MODIFIER_FIELDS, self._settings.modifier_fields, "MODIFIER_FIELDS")
        return {name: f"{path}__{dates[name]}" for name in ("as_at_date", "fx_date")}
