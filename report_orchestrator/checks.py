"""What `manage.py check` says about the configuration: each finding with a hint that tells what to do.

Errors: E001 no settings, E002 unknown key, E003 unreadable value, E004 a model or its fields, E005 unknown name in a mapping,
E006 a dotted path, E007 a setting that the others require, E008 Django-Q is missing, E009 a driver that reads
times inexactly, E010 tables of results.
Warnings: W101 order of the apps, W102 Q_CLUSTER, W103 an address without TLS, W104 results that stay on one machine,
W105 ticks slower than asked for, W106 a lease shorter than the time-outs that it must outlast,
W107 SQLite for one process only, W108 a cache that is not shared, W109 a single worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections, router

from report_orchestrator.adapters.host_fields import REPORT_FIELDS, did_you_mean
from report_orchestrator.adapters.host_jobs import JOB_FIELDS, HostJobs
from report_orchestrator.adapters.host_models import MODIFIER_FIELDS, HostModifiers, HostReports
from report_orchestrator.adapters.onelake_address import lake_address
from report_orchestrator.conf import SANDBOX_URL, SETTING, SPECS, Settings, load_settings
from report_orchestrator.domain.reports import EVENT_TYPES, EventKind
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.models import ReportRun
from report_orchestrator.wiring import imported

TICKING_BROKER = "report_orchestrator.brokers.ticking_broker"

RECOMMENDED: Mapping[str, tuple[object, str]] = {
    "ack_failures": (True, "a failed message would be delivered again for ever"),
    "max_attempts": (1, "this app counts attempts itself"),
    "catch_up": (False, "missed times are decided by MISSED_RUNS"),
}


def register_checks() -> None:
    """Registers all checks."""
    register(check_settings, Tags.compatibility)
    register(check_models, Tags.models)
    register(check_requirements, Tags.compatibility)
    register(check_queue, Tags.compatibility)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Keys and values of the settings dict and the environment."""
    configured = getattr(django_settings, SETTING, None)
    if not isinstance(configured, Mapping):
        return [
            Error(
                f"{SETTING} is {'missing' if configured is None else 'not a dict'}.",
                hint=f"Add {SETTING} = {{'REPORT_MODEL': 'your_app.Report'}} to your settings.",
                id="report_orchestrator.E001",
            )
        ]
    _settings, problems = load_settings()
    return [
        Error(
            problem.message,
            hint=problem.hint,
            id=f"report_orchestrator.{'E003' if problem.setting in SPECS else 'E002'}",
        )
        for problem in problems
    ]


def _has_dict() -> bool:
    """Whether there is anything to check; that there is nothing is said by E001 alone."""
    return isinstance(getattr(django_settings, SETTING, None), Mapping)


def check_models(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The host's models and fields that the settings name."""
    if not _has_dict():
        return []
    settings, _problems = load_settings()
    return [*_unknown_names(settings), *_unusable_models(settings)]


def _unknown_names(settings: Settings) -> Iterator[CheckMessage]:
    event_names = {name for shape in EVENT_TYPES.values() for name in shape.__dataclass_fields__}
    mappings: tuple[tuple[str, Mapping[str, str], set[str]], ...] = (
        ("REPORT_FIELDS", settings.report_fields, set(REPORT_FIELDS)),
        ("MODIFIER_FIELDS", settings.modifier_fields, set(MODIFIER_FIELDS)),
        ("JOB_FIELDS", settings.job_fields, set(JOB_FIELDS)),
        ("EVENT_FIELDS", settings.event_fields, (event_names | {"events"}) - {"id"}),
        ("EVENT_MODELS", settings.event_models, {kind.value for kind in EventKind}),
    )
    for setting, mapping, known in mappings:
        for name in mapping.keys() - known:
            yield Error(
                f"{setting} has no name '{name}'.",
                hint=f"The names are: {', '.join(sorted(known))}.{did_you_mean(name, known)}",
                id="report_orchestrator.E005",
            )


def _unusable_models(settings: Settings) -> Iterator[CheckMessage]:
    attempts = [HostReports(settings).verify]
    if settings.modifier_model:
        attempts.append(lambda: _discard(HostModifiers.of(settings)))
    if settings.job_model:
        attempts.append(HostJobs(settings).verify)
    for attempt in attempts:
        try:
            attempt()
        except ConfigurationError as error:
            yield Error(
                error.message,
                hint=f"Correct {SETTING} in your settings.",
                id="report_orchestrator.E004",
            )


def _discard(_value: object) -> None:
    """Having been made is all that was asked of it."""


def check_requirements(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Settings that others make necessary, or that contradict each other."""
    if not _has_dict():
        return []
    settings, _problems = load_settings()
    return [
        *_inexact_times(),
        *_unimportable(settings),
        *_missing_for_onelake(settings),
        *_missing_for_tables(settings),
        *_unfit_for_production(settings),
        *_short_lease(settings),
    ]


def _unimportable(settings: Settings) -> Iterator[CheckMessage]:
    dotted = {"PAYLOAD_BUILDER": settings.payload_builder}
    if settings.result_store not in {"local", "onelake"}:
        dotted["RESULT_STORE"] = settings.result_store
    for setting, path in dotted.items():
        try:
            if path:
                imported(setting, path)
        except ConfigurationError as error:
            yield Error(
                error.message,
                hint="Give the dotted path of something importable, such as 'project.payloads.build'."
                + (" RESULT_STORE may also be 'local' or 'onelake'." if setting == "RESULT_STORE" else ""),
                id="report_orchestrator.E006",
            )


def _missing_for_onelake(settings: Settings) -> Iterator[CheckMessage]:
    if settings.result_store != "onelake":
        return
    required: dict[str, object] = {
        "FABRIC_WORKSPACE_ID": settings.fabric_workspace_id,
        "FABRIC_LAKEHOUSE_ID": settings.fabric_lakehouse_id,
    }
    if settings.azure_credential == "client_secret":
        required |= {
            "AZURE_TENANT_ID": settings.azure_tenant_id,
            "AZURE_CLIENT_ID": settings.azure_client_id,
            "AZURE_CLIENT_SECRET": settings.azure_client_secret,
        }
    for name, value in required.items():
        if not value:
            yield _required(name, "RESULT_STORE is 'onelake'")
    if settings.fabric_workspace_id and settings.fabric_lakehouse_id:
        yield from _wrong_lake_address(settings)


def _missing_for_tables(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.result_tables:
        return
    missing = [name for name in ("deltalake", "ijson", "pyarrow") if find_spec(name) is None]
    if missing:
        yield Error(
            f"RESULT_TABLES is on, and {', '.join(missing)} is not installed.",
            hint="Install report-orchestrator[delta], or set RESULT_TABLES to false.",
            id="report_orchestrator.E010",
        )
    if settings.result_store not in {"local", "onelake"}:
        yield Error(
            "RESULT_TABLES is on, and RESULT_STORE is a store of your own: tables lie in a folder or in OneLake only.",
            hint="Set RESULT_STORE to 'local' or 'onelake', or RESULT_TABLES to false.",
            id="report_orchestrator.E010",
        )


def _wrong_lake_address(settings: Settings) -> Iterator[CheckMessage]:
    try:
        lake_address(settings)
    except ConfigurationError as error:
        yield Error(
            error.message,
            hint="Correct the FABRIC_… settings; env.example says what each is.",
            id="report_orchestrator.E007",
        )


def _inexact_times() -> Iterator[CheckMessage]:
    """psycopg2 says nothing of which of two equal wall times it has read in the hour that comes twice in autumn."""
    if django_settings.USE_TZ or connections[router.db_for_write(ReportRun)].vendor != "postgresql":
        return
    from django.db.backends.postgresql import psycopg_any  # needs a driver, which other databases' hosts lack

    if not psycopg_any.is_psycopg3:
        yield Error(
            "USE_TZ is False, and psycopg2 reads the times of a repeated hour inexactly.",
            hint="Install psycopg 3 (the extra 'postgres'), or set USE_TZ = True.",
            id="report_orchestrator.E009",
        )


def _short_lease(settings: Settings) -> Iterator[CheckMessage]:
    # A worker renews its lease once half of it is gone, so the other half is all that is sure to be left when a server is asked:
    # for the connection, and for the answer.
    if settings.lease / 2 < 2 * settings.timeout:
        yield Warning(
            f"LEASE_SECONDS is {settings.lease.total_seconds():g}, less than four times TIMEOUT_SECONDS: "
            "a worker that waits for a slow answer would be taken for dead.",
            hint="Raise LEASE_SECONDS, or lower TIMEOUT_SECONDS.",
            id="report_orchestrator.W106",
        )


def _required(name: str, why: str) -> Error:
    return Error(
        f"{name} is not set, and {why}.",
        hint=f"Set {name} in the environment or in {SETTING}; env.example says what it is.",
        id="report_orchestrator.E007",
    )


def _unfit_for_production(settings: Settings) -> Iterator[CheckMessage]:
    if settings.app_env != "prod":
        return
    if settings.fireant_api_url == SANDBOX_URL:
        yield _required("FIREANT_API_URL", "APP_ENV is 'prod'")
    if not settings.fireant_api_key:
        yield _required("FIREANT_API_KEY", "APP_ENV is 'prod'")
    address = urlsplit(settings.fireant_api_url)
    if address.scheme == "http" and address.hostname not in {"127.0.0.1", "localhost", "::1"}:
        yield Warning(
            "FIREANT_API_URL begins with http://, so the key and the reports travel in the open.",
            hint="Use https://.",
            id="report_orchestrator.W103",
        )
    if settings.result_store == "local":
        yield Warning(
            "RESULT_STORE is 'local', and APP_ENV is 'prod': results stay on the machine of the worker that wrote them.",
            hint="Set RESULT_STORE to 'onelake', or silence this where RESULT_ROOT is a shared folder.",
            id="report_orchestrator.W104",
        )


def check_queue(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Django-Q: installed, in order, and configured so that it neither repeats nor loses work."""
    if not apps.is_installed("django_q"):
        return [
            Error(
                "django_q is not installed.",
                hint="Add 'django_q' to INSTALLED_APPS, behind 'report_orchestrator'.",
                id="report_orchestrator.E008",
            )
        ]
    return [
        *_order(),
        *_cluster_settings(),
        *_ticking(),
        *_sqlite_options(),
        *_private_cache(),
        *_single_worker(),
    ]


def _order() -> Iterator[CheckMessage]:
    names = [config.name for config in apps.get_app_configs()]
    if names.index("report_orchestrator") > names.index("django_q"):
        yield Warning(
            "report_orchestrator stands behind django_q in INSTALLED_APPS.",
            hint="Move it before django_q, so that its qcluster command is the one that runs.",
            id="report_orchestrator.W101",
        )


def _cluster_settings() -> Iterator[CheckMessage]:
    cluster = getattr(django_settings, "Q_CLUSTER", None) or {}
    for key, (value, otherwise) in RECOMMENDED.items():
        if cluster.get(key) != value:
            yield _cluster_warning(f"Q_CLUSTER['{key}'] is not {value!r}: {otherwise}.", key, value)
    if not cluster.keys() & {"orm", "redis", "django_redis", "sqs", "iron_mq", "mongo"}:
        yield _cluster_warning(
            "Q_CLUSTER names no broker, so Django-Q takes a Redis of this machine.", "orm", "default"
        )
    if "name" not in cluster:
        yield _cluster_warning(
            "Q_CLUSTER has no 'name': messages of a changed name vanish.", "name", "your-project"
        )
    timeout, retry = cluster.get("timeout"), cluster.get("retry", 60)
    if not timeout or retry < 3 * timeout:
        yield _cluster_warning(
            f"Q_CLUSTER has timeout {timeout!r} and retry {retry!r}: waiting messages would be delivered twice.",
            "retry",
            600,
        )


def _cluster_warning(message: str, key: str, value: object) -> Warning:
    extra = " with 'timeout': 120" if key == "retry" else ""
    return Warning(
        message, hint=f"Set '{key}': {value!r}{extra} in Q_CLUSTER.", id="report_orchestrator.W102"
    )


def _sqlite_options() -> Iterator[CheckMessage]:
    for alias, database in django_settings.DATABASES.items():
        options = database.get("OPTIONS") or {}
        if database.get("ENGINE", "").endswith("sqlite3") and options.get("transaction_mode") != "IMMEDIATE":
            yield Warning(
                f"DATABASES['{alias}'] is SQLite without transaction_mode IMMEDIATE: workers will meet 'database is locked'.",
                hint="Set OPTIONS to {'transaction_mode': 'IMMEDIATE', 'timeout': 20, "
                "'init_command': 'PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;'}.",
                id="report_orchestrator.W107",
            )


def _private_cache() -> Iterator[CheckMessage]:
    alias = (getattr(django_settings, "Q_CLUSTER", None) or {}).get("cache", "default")
    backend = (django_settings.CACHES.get(alias) or {}).get("BACKEND", "")
    if backend.endswith(("LocMemCache", "DummyCache")):
        yield Warning(
            f"CACHES['{alias}'] is a memory of each process's own: nobody sees whether workers are alive.",
            hint="Use a cache that processes share, such as FileBasedCache, DatabaseCache or RedisCache.",
            id="report_orchestrator.W108",
        )


def _single_worker() -> Iterator[CheckMessage]:
    if (getattr(django_settings, "Q_CLUSTER", None) or {}).get("workers") == 1:
        yield Warning(
            "Q_CLUSTER has one worker: while it downloads a large result nothing else is done, not even a tick.",
            hint="Set 'workers' to 2 or more in Q_CLUSTER; downloads that last then leave one of them free.",
            id="report_orchestrator.W109",
        )


def _ticking() -> Iterator[CheckMessage]:
    if not _has_dict():
        return
    cluster = getattr(django_settings, "Q_CLUSTER", None) or {}
    settings, _problems = load_settings()
    shortest = min(settings.poll_interval, settings.cron_sensor_interval).total_seconds()
    if shortest < 60 and cluster.get("broker_class") != TICKING_BROKER:
        yield Warning(
            f"POLL_INTERVAL_SECONDS or CRON_SENSOR_INTERVAL_SECONDS is {shortest:g}, but Django-Q alone ticks once a minute.",
            hint=f"Set 'broker_class': '{TICKING_BROKER}' in Q_CLUSTER, beside the key of your broker.",
            id="report_orchestrator.W105",
        )
