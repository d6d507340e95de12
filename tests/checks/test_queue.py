"""Checks of Django-Q's settings."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from django.core.management import get_commands
from pytest_django import Settings as DjangoSettings

from report_orchestrator import checks
from report_orchestrator.checks import queue
from tests.support.check_messages import found, only, ours, with_cluster

pytestmark = pytest.mark.django_db(databases=["default", "reports"])  # newer Djangos look at the database in a check


class TestQueue:
    def test_e008_django_q_is_not_there(self, settings: DjangoSettings) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_q"]
        message, hint = only(checks.check_queue(None), "E008")
        assert message == "django_q is not installed."
        assert hint == "Add 'django_q' to INSTALLED_APPS."

    def test_the_order_of_the_apps_does_not_matter(self, settings: DjangoSettings) -> None:
        others = [app for app in settings.INSTALLED_APPS if app != "django_q"]
        settings.INSTALLED_APPS = ["django_q", *others]
        assert ours() == []

    def test_w101_another_app_has_a_qcluster_of_its_own(self, settings: DjangoSettings) -> None:
        commands = get_commands()
        with patch.dict(commands, {"qcluster": "their_app"}):
            message, hint = only(ours(), "W101")
        assert "'their_app'" in message
        assert "Remove that command" in hint

    @pytest.mark.parametrize(
        "changes",
        [
            {"ack_failures": False, "max_attempts": 0, "catch_up": None, "name": None, "broker_class": None},
            {"timeout": None, "retry": None},
            {"timeout": 60, "retry": 5},
            {"save_limit": 250, "recycle": 1, "sync": True, "scheduler": False},
            {"orm": None, "redis": {"host": "queue.internal"}},
        ],
    )
    def test_a_queue_configured_for_the_hosts_own_tasks_is_accepted(
        self, settings: DjangoSettings, changes: dict[str, object]
    ) -> None:
        assert with_cluster(settings, **changes) == []

    @pytest.mark.parametrize("cluster", [None, {}, {"name": "host", "workers": 4}])
    def test_w102_a_queue_without_a_broker(self, settings: DjangoSettings, cluster: dict[str, object] | None) -> None:
        settings.Q_CLUSTER = cluster
        message, hint = only(ours(), "W102")
        assert message == "Q_CLUSTER has no broker, so Django-Q uses Redis on this machine."
        assert "Set Q_CLUSTER = {'orm': 'default', 'timeout': 300, 'retry': 360}" in hint

    def test_w118_a_queue_in_a_database_without_its_tables(self, settings: DjangoSettings) -> None:
        settings.Q_CLUSTER = {**settings.Q_CLUSTER, "orm": "reports"}
        message, hint = only(ours(), "W118")
        assert message.startswith("Q_CLUSTER queues in the database 'reports', but DATABASE_ROUTERS")
        assert "Q_CLUSTER['orm']" in hint

    def test_w107_sqlite_that_is_fit_for_one_process_only(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
        for name, value in sqlite.items():
            monkeypatch.setitem(settings.DATABASES["default"], name, value)
        message, hint = only(ours(), "W107")
        assert "DATABASES['default']" in message
        assert "'transaction_mode': 'IMMEDIATE'" in hint

    def test_a_cache_of_each_process_is_accepted(self, settings: DjangoSettings) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        assert ours() == []

    @pytest.mark.parametrize("setting", ["POLL_INTERVAL_SECONDS", "CRON_SENSOR_INTERVAL_SECONDS"])
    def test_w105_ticks_slower_than_asked_for_without_fork(
        self, settings: DjangoSettings, monkeypatch: pytest.MonkeyPatch, setting: str
    ) -> None:
        monkeypatch.setattr(queue, "get_all_start_methods", lambda: ["spawn"])
        assert with_cluster(settings, broker_class=None) == []
        message, hint = only(found(settings, **{setting: 5}), "W105")
        assert setting in message
        assert "is 5, but without fork" in message
        assert "'broker_class': 'report_orchestrator.brokers.ticking_broker'" in hint

    def test_our_cluster_keeps_short_ticks_by_itself(self, settings: DjangoSettings) -> None:
        assert with_cluster(settings, broker_class=None) == []
        assert found(settings, POLL_INTERVAL_SECONDS=1, CRON_SENSOR_INTERVAL_SECONDS=5) == []
