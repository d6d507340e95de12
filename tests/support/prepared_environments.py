"""Environments with their tables and reports."""

from __future__ import annotations

from tests.demo.environment import Environment


def seeded(environment: Environment) -> Environment:
    """Seed the reports, and let none run on its schedule."""
    environment.overrides |= {"POLL_INTERVAL_SECONDS": "1"}
    for command in (["seed_reports"], ["discover_reports"], ["pause_reports", "--all", "--reason", "tests"]):
        environment.manage(*command)
    return environment


def migrated(environment: Environment) -> Environment:
    """Create the tables, with two workers and no work other than the test's."""
    environment.overrides |= {"Q_WORKERS": "2", "POLL_INTERVAL_SECONDS": "600", "CRON_SENSOR_INTERVAL_SECONDS": "600"}
    environment.manage("migrate", "-v0")
    environment.manage("migrate", "-v0", "--database", "reports")
    return environment
