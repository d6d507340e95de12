"""Django-Q: its command, its broker and its workers."""

from collections.abc import Iterator, Sequence
from multiprocessing import get_all_start_methods
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.management import get_commands
from django.db import connections, router

from report_orchestrator.checks.database import sqlite_options
from report_orchestrator.checks.settings import has_dict
from report_orchestrator.conf import load_settings

TICKING_BROKER = "report_orchestrator.brokers.ticking_broker"

BROKERS = {"orm", "redis", "django_redis", "sqs", "iron_mq", "mongo", "broker_class"}
"""The keys of `Q_CLUSTER` that name a broker."""


def check_queue(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check that Django-Q is installed, with a broker, workers and a database that several processes can use."""
    if not apps.is_installed("django_q"):
        return [
            Error("django_q is not installed.", hint="Add 'django_q' to INSTALLED_APPS.", id="report_orchestrator.E008")
        ]
    return [*_command(), *_no_broker(), *_misplaced_queue(), *_ticking(), *sqlite_options(), *_single_worker()]


def _command() -> Iterator[CheckMessage]:
    app = get_commands().get("qcluster")
    if app not in {"report_orchestrator", "django_q"}:
        yield Warning(
            f"'manage.py qcluster' is the command of {app!r}: it runs no ticks by itself and can hang when a process is killed.",
            hint="Remove that command, or start the cluster with this app's: "
            "call_command(report_orchestrator.management.commands.qcluster.Command()).",
            id="report_orchestrator.W101",
        )


def _no_broker() -> Iterator[CheckMessage]:
    if not (getattr(django_settings, "Q_CLUSTER", None) or {}).keys() & BROKERS:
        yield Warning(
            "Q_CLUSTER has no broker, so Django-Q uses Redis on this machine.",
            hint="Set Q_CLUSTER = {'orm': 'default', 'timeout': 300, 'retry': 360} to queue in your database, or name "
            "your Redis instead: 'redis': 'redis://…'.",
            id="report_orchestrator.W102",
        )


def _misplaced_queue() -> Iterator[CheckMessage]:
    alias = str((getattr(django_settings, "Q_CLUSTER", None) or {}).get("orm", ""))
    if alias in connections and not router.allow_migrate_model(alias, apps.get_model("django_q", "OrmQ")):
        yield Warning(
            f"Q_CLUSTER queues in the database '{alias}', but DATABASE_ROUTERS keep Django-Q's tables out of it.",
            hint="Name the database that has them in Q_CLUSTER['orm'], or let the router migrate 'django_q' there.",
            id="report_orchestrator.W118",
        )


def _single_worker() -> Iterator[CheckMessage]:
    if (getattr(django_settings, "Q_CLUSTER", None) or {}).get("workers") == 1:
        yield Warning(
            "Q_CLUSTER has one worker, so a large download blocks all other work.",
            hint="Set 'workers' to 2 or more in Q_CLUSTER. Long downloads then leave one of them free.",
            id="report_orchestrator.W109",
        )


def _ticking() -> Iterator[CheckMessage]:
    if not has_dict() or "fork" in get_all_start_methods():
        return
    cluster = getattr(django_settings, "Q_CLUSTER", None) or {}
    settings, _problems = load_settings()
    shortest = min(settings.poll_interval, settings.cron_sensor_interval).total_seconds()
    if shortest < 60 and cluster.get("broker_class") != TICKING_BROKER:
        yield Warning(
            f"POLL_INTERVAL_SECONDS or CRON_SENSOR_INTERVAL_SECONDS is {shortest:g}, "
            "but without fork Django-Q alone ticks once a minute.",
            hint=f"Set 'broker_class': '{TICKING_BROKER}' in Q_CLUSTER, in addition to the key of your broker.",
            id="report_orchestrator.W105",
        )
