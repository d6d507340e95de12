"""Settings become adapters: the one place where things are put together.

Each process has one set of adapters, made when it is first asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

from django.apps import apps
from django.core.signals import setting_changed
from django.db import transaction
from django.utils.module_loading import import_string

from report_orchestrator.adapters.database import database_clock
from report_orchestrator.adapters.django_q import DjangoQ
from report_orchestrator.adapters.fireant import FireantClient
from report_orchestrator.adapters.host_jobs import HostJobs, NoJobs
from report_orchestrator.adapters.host_models import HostReports
from report_orchestrator.adapters.host_signals import Find, connect_reports
from report_orchestrator.adapters.local_files import LocalFiles
from report_orchestrator.adapters.queue_probe import probe_broker
from report_orchestrator.adapters.store_probe import probe_folder, probe_lake, probe_table, probe_token
from report_orchestrator.conf import SETTING, Settings, get_settings, load_settings
from report_orchestrator.domain.payload import build_payload
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import JobLedger, PayloadBuilder, Ports, Probed, ResultStore, ResultTable
from report_orchestrator.services import announce, refreshing
from report_orchestrator.services.doctor import Probe, Probes


@lru_cache(maxsize=1)
def get_ports() -> Ports:
    """The adapters that the settings ask for.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    return build_ports(get_settings())


def build_ports(settings: Settings) -> Ports:
    """New adapters for these settings."""
    return Ports(
        reports=HostReports(settings),
        jobs=_ledger(settings),
        fireant=FireantClient(settings),
        store=_store(settings),
        table=_table(settings) if settings.result_tables else None,
        queue=DjangoQ(),
        build_payload=_payload_builder(settings),
        clock=database_clock,
    )


def get_probes() -> Probes:
    """Harmless questions to what the settings name, for the doctor.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    settings = get_settings()
    return Probes(
        broker=probe_broker,
        fireant=FireantClient(settings).probe,
        store=_store_probe(settings),
        token=partial(probe_token, settings) if settings.result_store == "onelake" else None,
        table=(lambda: _probe_table(settings)) if settings.result_tables else None,
    )


def _store_probe(settings: Settings) -> Probe:
    match settings.result_store:
        case "local":
            return partial(probe_folder, settings)
        case "onelake":
            return partial(probe_lake, settings)
        case dotted:
            probe = getattr(_store(settings), "probe", None)
            return cast("Probe", probe) if callable(probe) else lambda: _unprobed(dotted)


def _probe_table(settings: Settings) -> Probed:
    _table(settings)  # says it where a library is missing
    return probe_table(settings)


def _unprobed(dotted: str) -> Probed:
    return Probed(
        detail=f"{dotted} was not tried",
        doubt="Give the store a method 'probe' that writes, reads back and removes a file, and returns a ports.Probed.",
    )


def _ledger(settings: Settings) -> JobLedger:
    return HostJobs(settings) if settings.job_model else NoJobs()


def _payload_builder(settings: Settings) -> PayloadBuilder:
    if not settings.payload_builder:
        return build_payload
    return cast("PayloadBuilder", imported("PAYLOAD_BUILDER", settings.payload_builder))


def _store(settings: Settings) -> ResultStore:
    match settings.result_store:
        case "local":
            return LocalFiles(settings.result_root, settings.fabric_results_path)
        case "onelake":
            from report_orchestrator.adapters.onelake import OneLakeStore

            return OneLakeStore(settings)
        case dotted:
            return cast("ResultStore", imported("RESULT_STORE", dotted)(settings))


def _table(settings: Settings) -> ResultTable:
    try:
        from report_orchestrator.adapters.delta_table import DeltaResults
    except ImportError as error:
        raise ConfigurationError(
            "RESULT_TABLES is on, and its libraries are not installed. Install report-orchestrator[delta], or set it to false."
        ) from error
    match settings.result_store:
        case "local":
            name = settings.fabric_results_path.strip("/").rpartition("/")[2]
            return DeltaResults(str(settings.result_root.absolute() / "Tables" / name))
        case "onelake":
            from report_orchestrator.adapters.onelake_tables import onelake_table

            return onelake_table(settings)
        case _:
            raise ConfigurationError(
                "RESULT_TABLES is on, and RESULT_STORE is a store of your own. Set RESULT_STORE to 'local' or 'onelake', "
                "or RESULT_TABLES to false."
            )


def imported(setting: str, dotted: str) -> Callable[..., Any]:
    """What a dotted path in a setting names.

    Raises:
        ConfigurationError: it names nothing.
    """
    try:
        found = import_string(dotted)
    except ImportError as error:
        raise ConfigurationError(f"{setting} names '{dotted}', which cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigurationError(f"{setting} names '{dotted}', which cannot be called.")
    return cast("Callable[..., Any]", found)


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING:
        get_ports.cache_clear()


setting_changed.connect(_forget, dispatch_uid="report_orchestrator.wiring")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=get_ports.cache_clear)


def connect_host_signals() -> None:
    """Listens to the host's reports, groups and events, so that a change takes effect at once."""
    settings, _problems = load_settings()
    try:
        model = apps.get_model(settings.report_model)
    except (LookupError, ValueError):
        return  # the system checks say it better than an exception at start-up
    connect_reports(model, _report_changed)
    try:
        events = HostReports(settings).signals(_report_changed)
    except ConfigurationError:
        return  # so do they of fields
    if events is not None:
        events.connect()


def _report_changed(using: str, find: Find) -> None:
    """After the host's own commit, and robust, so that nothing of ours can fail a save of the host's."""

    def bring_in_step() -> None:
        _refresh(find())

    def once_ours_is_free() -> None:
        """The host may hold a transaction of our database open around the save: our rows are not locked for its length."""
        transaction.on_commit(bring_in_step, using=announce.database(), robust=True)

    transaction.on_commit(once_ours_is_free, using=using, robust=True)


MANY = 1000
"""A change that concerns more reports than this would hold up whoever made it: it is left to the next discovery."""


def _refresh(keys: Sequence[str]) -> None:
    if len(keys) > MANY:
        announce.schedule_event("change_left_to_discovery", reports=len(keys))
        return
    refreshing.refresh(keys, ports=get_ports())
