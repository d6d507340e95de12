"""Environments with their tables and reports."""

from __future__ import annotations

from tests.demo.environment import Environment
from tests.support.console import run_command


def seeded(environment: Environment) -> Environment:
    """Seed the reports, and let none run on its schedule."""
    environment.overrides |= {"POLL_INTERVAL_SECONDS": "1"}
    for command in (["seed_reports"], ["discover_reports"], ["pause_reports", "--all", "--reason", "tests"]):
        run_command(environment, *command)
    return environment


def migrated(environment: Environment) -> Environment:
    """Create the tables, with two workers and no work other than the test's."""
    environment.overrides |= {"Q_WORKERS": "2", "POLL_INTERVAL_SECONDS": "600", "CRON_SENSOR_INTERVAL_SECONDS": "600"}
    run_command(environment, "migrate", "-v0")
    run_command(environment, "migrate", "-v0", "--database", "reports")
    return environment
