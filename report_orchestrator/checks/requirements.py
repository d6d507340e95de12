"""Settings that others require or contradict."""

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning

from report_orchestrator.adapters.local.folders import results_folder
from report_orchestrator.adapters.onelake.address import lake_address, refuse_for_tables
from report_orchestrator.adapters.table_paths import local_table, table_name
from report_orchestrator.checks.database import frequent_conflicts, inexact_times, stale_reads
from report_orchestrator.checks.settings import has_dict
from report_orchestrator.conf import (
    FIELDS,
    LOOPBACK_HOSTS,
    SANDBOX_URL,
    SETTING,
    Settings,
    did_you_mean,
    imported,
    load_settings,
    origin_of,
    with_comments,
)
from report_orchestrator.domain.cron import longest_gap
from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.masking import SHORTEST_ENCODED

STORES = ("local", "onelake")


OF_ONELAKE = ("FABRIC_WORKSPACE_ID", "FABRIC_LAKEHOUSE_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
_IN_PROCESS = "the app runs within the project and reads its models, not its HTTP API"
OBSOLETE = {"DJANGO_API_URL": _IN_PROCESS, "DJANGO_JWT_TOKEN": _IN_PROCESS}
"""Environment variables of the system that this app replaces."""


def check_requirements(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check settings that others require or contradict."""
    if not has_dict():
        return []
    settings, _problems = load_settings()
    return [
        *inexact_times(),
        *stale_reads(),
        *frequent_conflicts(),
        *_unimportable(settings),
        *_missing_for_onelake(settings),
        *_missing_for_tables(settings),
        *_wrong_table_address(settings),
        *_unfit_for_production(settings),
        *_exposed_to_others(settings),
        *_short_secrets(settings),
        *_local_results(settings),
        *_doubled_files_folder(settings),
        *_obsolete_variables(),
        *_short_lease(settings),
        *_contradicting_windows(settings),
        *_comments(),
    ]


def _unimportable(settings: Settings) -> Iterator[CheckMessage]:
    dotted = {"PAYLOAD_BUILDER": settings.payload_builder, "EVENT_SOURCE": settings.event_source}
    if settings.result_store not in STORES:
        dotted["RESULT_STORE"] = settings.result_store
    for setting, path in dotted.items():
        try:
            if path:
                imported(setting, path)
        except ConfigurationError as error:
            hint = "Set it to the dotted path of a callable, such as 'project.module.name'."
            if setting == "RESULT_STORE":
                hint += f" RESULT_STORE may also be 'local' or 'onelake'.{did_you_mean(path, STORES)}"
            yield Error(error.message, hint=hint, id="report_orchestrator.E006")


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
            f"RESULT_TABLES is on, but {', '.join(missing)} is not installed.",
            hint="Install report-orchestrator[delta], or set RESULT_TABLES to false.",
            id="report_orchestrator.E010",
        )
    if settings.result_store not in STORES:
        yield Error(
            "RESULT_TABLES is on, but RESULT_STORE is a store of your own. Tables require a local folder or OneLake.",
            hint="Set RESULT_STORE to 'local' or 'onelake', or RESULT_TABLES to false.",
            id="report_orchestrator.E010",
        )


def _wrong_table_address(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.result_tables or settings.result_store not in STORES:
        return
    try:
        table_name(settings)
        if settings.result_store == "local":
            local_table(settings)
        elif not list(_missing_for_onelake(settings)):
            refuse_for_tables(lake_address(settings))
    except ConfigurationError as error:
        yield Error(
            error.message, hint="Correct the setting, or set RESULT_TABLES to false.", id="report_orchestrator.E007"
        )


def _wrong_lake_address(settings: Settings) -> Iterator[CheckMessage]:
    try:
        lake_address(settings)
    except ConfigurationError as error:
        yield Error(
            error.message, hint="Correct the FABRIC_… settings. See env.example.", id="report_orchestrator.E007"
        )


def _short_lease(settings: Settings) -> Iterator[CheckMessage]:
    # A worker renews its lease after half of it, so the other half must cover a connection and a response.
    if settings.lease / 2 < 2 * settings.timeout:
        yield Warning(
            f"LEASE_SECONDS is {settings.lease.total_seconds():g}, less than four times TIMEOUT_SECONDS: "
            "a worker waiting for a slow response would lose its lease.",
            hint="Raise LEASE_SECONDS, or lower TIMEOUT_SECONDS.",
            id="report_orchestrator.W106",
        )


def _contradicting_windows(settings: Settings) -> Iterator[CheckMessage]:
    if settings.scheduling_approach != "schedule":
        return
    interval, lookback = settings.schedule_interval, settings.max_lookback
    if interval >= lookback:
        yield Warning(
            f"SCHEDULE_INTERVAL_SECONDS is {interval.total_seconds():g}, and MAX_LOOKBACK_SECONDS "
            f"{lookback.total_seconds():g}: after one missed window all its times are too old to run.",
            hint="Raise MAX_LOOKBACK_SECONDS to at least twice SCHEDULE_INTERVAL_SECONDS.",
            id="report_orchestrator.W114",
        )
    gap = longest_gap(parse_cron(settings.schedule_cron_expression))
    if interval < gap:
        yield Warning(
            f"SCHEDULE_INTERVAL_SECONDS is {interval.total_seconds():.0f}, but SCHEDULE_CRON_EXPRESSION "
            f"({settings.schedule_cron_expression}) has up to {gap.total_seconds():.0f} seconds between two windows.",
            hint="A window reaches back to the previous one. Set SCHEDULE_INTERVAL_SECONDS to that distance, or "
            "correct the cron.",
            id="report_orchestrator.W115",
        )


def _comments() -> Iterator[CheckMessage]:
    for name in with_comments():
        yield Warning(
            f"{name} contains a '#' after a space: a comment from an env file may have become part of the value.",
            hint="Move the comment to its own line: systemd's EnvironmentFile, for example, does not remove it.",
            id="report_orchestrator.W111",
        )


def _required(name: str, why: str) -> Error:
    return Error(
        f"{name} is not set, but {why}.",
        hint=f"Set {name} in the environment or in {SETTING}. See env.example.",
        id="report_orchestrator.E007",
    )


def _local_results(settings: Settings) -> Iterator[CheckMessage]:
    if settings.result_store != "local":
        return
    try:
        results_folder(settings.result_root, settings.fabric_results_path)
    except ConfigurationError as error:
        yield Error(error.message, hint="Correct FABRIC_RESULTS_PATH.", id="report_orchestrator.E007")
    names = [name for name in OF_ONELAKE if getattr(settings, FIELDS[name])]
    reason = "APP_ENV is 'prod'" if settings.app_env == "prod" else f"{names[0]} is set" if names else ""
    if reason:
        yield Warning(
            f"RESULT_STORE is 'local', and {reason}: results stay on the machine of the worker that wrote them.",
            hint="Set RESULT_STORE to 'onelake', or silence this check if RESULT_ROOT is a shared folder.",
            id="report_orchestrator.W104",
        )


def _doubled_files_folder(settings: Settings) -> Iterator[CheckMessage]:
    first, _, rest = settings.fabric_results_path.strip("/").partition("/")
    if settings.result_store == "onelake" and first.lower() in {"files", "tables"}:
        yield Warning(
            f"FABRIC_RESULTS_PATH begins with '{first}', so results go to Files/{first} in the lakehouse.",
            hint=f"Set it to '{rest or 'report_results'}': the path begins below Files.",
            id="report_orchestrator.W117",
        )


def _obsolete_variables() -> Iterator[CheckMessage]:
    for name, reason in OBSOLETE.items():
        if os.environ.get(name):
            yield Warning(
                f"The environment variable {name} is set, but it is not used: {reason}.",
                hint=f"Remove {name} once the system that it was for is stopped.",
                id="report_orchestrator.W116",
            )


def _unfit_for_production(settings: Settings) -> Iterator[CheckMessage]:
    if settings.app_env != "prod":
        return
    if settings.fireant_api_url == SANDBOX_URL:
        yield Error(
            f"FIREANT_API_URL is {SANDBOX_URL}, the local sandbox, but APP_ENV is 'prod'.",
            hint=f"Set FIREANT_API_URL to your Fireant, in the environment or in {SETTING}.",
            id="report_orchestrator.E007",
        )
    if not settings.fireant_api_key:
        yield _required("FIREANT_API_KEY", "APP_ENV is 'prod'")


def _exposed_to_others(settings: Settings) -> Iterator[CheckMessage]:
    """Whatever APP_ENV says: it is easily forgotten."""
    address = urlsplit(settings.fireant_api_url)
    if address.scheme == "http" and address.hostname not in LOOPBACK_HOSTS:
        kind, number = (Error, "E007") if settings.fireant_api_key else (Warning, "W103")
        yield kind(
            "FIREANT_API_URL begins with http://, so the key and the reports would be sent unencrypted.",
            hint="Use https://.",
            id=f"report_orchestrator.{number}",
        )
    elif settings.fireant_api_key and settings.app_env != "prod" and origin_of("FIREANT_API_URL") == "default":
        yield Warning(
            f"FIREANT_API_KEY is set, but FIREANT_API_URL is not: the key and the reports go to {SANDBOX_URL}.",
            hint=f"Set FIREANT_API_URL in the environment or in {SETTING}, also if you mean the local sandbox.",
            id="report_orchestrator.W103",
        )


def _short_secrets(settings: Settings) -> Iterator[CheckMessage]:
    for name in ("FIREANT_API_KEY", "AZURE_CLIENT_SECRET"):
        secret = getattr(settings, FIELDS[name])
        if secret and len(secret.reveal()) < SHORTEST_ENCODED:
            yield Warning(
                f"{name} has fewer than {SHORTEST_ENCODED} characters, so it cannot be masked reliably: it is also found "
                "within other words, and not found where it is encoded.",
                hint=f"Use a secret of at least {SHORTEST_ENCODED} characters.",
                id="report_orchestrator.W119",
            )
