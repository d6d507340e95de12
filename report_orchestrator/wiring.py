"""Builds adapters from settings.

Each process has one set of adapters, built at its first use.
"""

import logging
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from django.core.signals import setting_changed

from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.adapters.fireant.client import FireantClient
from report_orchestrator.adapters.host.changes.collector import ChangeCollector
from report_orchestrator.adapters.host.jobs import HostJobs, NoJobs
from report_orchestrator.adapters.host.reports import HostReports
from report_orchestrator.adapters.local.folder import LocalFolder
from report_orchestrator.adapters.local.folders import private_umask
from report_orchestrator.adapters.local.probe import probe_folder, temporary_folders
from report_orchestrator.adapters.local.store import LocalFiles
from report_orchestrator.adapters.queue.django_q import DjangoQ
from report_orchestrator.adapters.queue.permissions import probe_permissions
from report_orchestrator.adapters.queue.probe import probe_broker
from report_orchestrator.adapters.queue.unreadable_rows import probe_schedules
from report_orchestrator.adapters.table_paths import local_table, probe_table_name
from report_orchestrator.conf import SETTING, Settings, get_settings, imported, load_settings
from report_orchestrator.domain.payload import build_payload
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import (
    FileFolder,
    JobLedger,
    PayloadBuilder,
    Ports,
    ProbeResult,
    ResultStore,
    ResultTable,
)
from report_orchestrator.runtime import Runtime
from report_orchestrator.services import events
from report_orchestrator.services.discovery import changed as refreshing
from report_orchestrator.services.monitoring.doctor import Probe, Probes
from report_orchestrator.services.timetable.effective_settings import effective_settings

_logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def get_ports() -> Ports:
    """Return the adapters of the settings, built once per process.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    return build_ports(get_settings())


def get_runtime() -> Runtime:
    """Return the ports with the effective settings, which are read from the database at their first use.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    return Runtime.of(get_ports(), get_settings(), effective_settings)


def build_ports(settings: Settings) -> Ports:
    """Return new adapters for these settings."""
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
    """Return the probes of the configured services, for the doctor.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    settings = get_settings()
    return Probes(
        broker=probe_broker,
        queue_schedules=probe_schedules,
        queue_permissions=probe_permissions,
        fireant=FireantClient(settings).probe,
        store=_store_probe(settings),
        token=_token_probe(settings),
        table=partial(_probe_table, settings) if settings.result_tables else None,
    )


LAKE_PREFIX = "onelake:"


@contextmanager
def open_folder(address: str) -> Iterator[FileFolder]:
    """Open a folder of another system's files, to read: a local path, or `onelake:Files/…` in the lakehouse of the settings.

    Raises:
        ConfigurationError: the lake's folder or a setting cannot be used.
    """
    if not address.startswith(LAKE_PREFIX):
        yield LocalFolder(Path(address))
        return
    from report_orchestrator.adapters.onelake.folder import LakeFolder

    with LakeFolder(get_settings(), address.removeprefix(LAKE_PREFIX)) as folder:
        yield folder


def _store_probe(settings: Settings) -> Probe:
    match settings.result_store:
        case "local":
            return partial(probe_folder, settings)
        case "onelake":
            from report_orchestrator.adapters.onelake.probe import probe_lake

            return partial(probe_lake, settings)
        case dotted:
            probe = getattr(_store(settings), "probe", None)
            return cast("Probe", probe) if callable(probe) else lambda: _unprobed(dotted)


def _token_probe(settings: Settings) -> Probe | None:
    if settings.result_store != "onelake":
        return None
    from report_orchestrator.adapters.onelake.probe import probe_token

    return partial(probe_token, settings)


def _probe_table(settings: Settings) -> ProbeResult:
    """Try a table of its own next to the one of the results, and remove it."""
    name = probe_table_name(settings)
    table = _table(settings, name)
    from report_orchestrator.adapters.delta.probe import probe_table

    with _removing_table(settings, name):
        return probe_table(table)


@contextmanager
def _removing_table(settings: Settings, name: str) -> Iterator[None]:
    if settings.result_store == "onelake":
        from report_orchestrator.adapters.onelake.probe import remove_table

        try:
            yield
        finally:
            remove_table(settings, name)
        return
    table = local_table(settings, name)
    try:
        with temporary_folders(table.parent):
            try:
                yield
            finally:
                shutil.rmtree(table, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{table.parent} cannot be created: {error.strerror or error}. Correct RESULT_ROOT."
        ) from error


def _unprobed(dotted: str) -> ProbeResult:
    return ProbeResult(
        detail=f"{dotted} was not tried",
        doubt="Give the store a method 'probe' that writes, reads back and removes a file, and returns a ports.ProbeResult.",
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
            from report_orchestrator.adapters.onelake.store import OneLakeStore

            return OneLakeStore(settings)
        case dotted:
            return cast("ResultStore", imported("RESULT_STORE", dotted)(settings))


def _table(settings: Settings, name: str = "") -> ResultTable:
    try:
        from report_orchestrator.adapters.delta.table import DeltaResults
    except ImportError as error:
        raise ConfigurationError(
            "RESULT_TABLES is on, but its libraries are not installed. Install "
            "report-orchestrator[delta], or set it to false."
        ) from error
    match settings.result_store:
        case "local":
            return DeltaResults(str(local_table(settings, name)), within=private_umask)
        case "onelake":
            from report_orchestrator.adapters.onelake.tables import table_location

            return DeltaResults(*table_location(settings, name))
        case _:
            raise ConfigurationError(
                "RESULT_TABLES is on, but RESULT_STORE is a store of your own. Set RESULT_STORE to 'local' "
                "or 'onelake', or RESULT_TABLES to false."
            )


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == SETTING:
        get_ports.cache_clear()


setting_changed.connect(_forget, dispatch_uid="report_orchestrator.wiring")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=get_ports.cache_clear)


def connect_host_signals() -> None:
    """Connect to changes of the host's reports, groups and events, so that they take effect at once."""
    settings, _problems = load_settings()
    collector = ChangeCollector(our_alias=events.database_alias, refresh=_refresh_changed)
    try:
        HostReports(settings).signals(collector).connect()
    except ConfigurationError:
        return  # the system checks report it more clearly than an exception at start-up
    except Exception:
        _logger.exception("Changes in the project are not noticed at once; discovery will notice them.")


MANY = 1000
"""Reports that a change refreshes at once. Larger changes wait for the next discovery, so that saving stays fast."""


def _refresh_changed(keys: Collection[str], gone: Collection[str]) -> None:
    if len(keys) > MANY:
        events.emit_schedule_event("change_left_to_discovery", reports=len(keys))
        return
    refreshing.refresh(sorted(keys), runtime=get_runtime(), gone=gone)
