"""Health is red within a minute if nothing is processed, even if processes are alive; and it recovers."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest

from report_orchestrator.services.monitoring.overdue import HEARTBEAT_TIMEOUT
from report_orchestrator.services.timetable.queue_schedules import LONGEST_UPKEEP
from tests.demo.environment import Environment
from tests.support.cluster_state import await_that
from tests.support.clusters import running
from tests.support.console import ask

pytestmark = pytest.mark.slow

SHORT = 10  # seconds of silence that the clusters here are allowed, so that no test waits for a minute
HEALTH = (
    "__import__('report_orchestrator.services.monitoring.findings').services.monitoring.findings.check_health("
    "runtime=__import__('report_orchestrator.wiring').wiring.get_runtime())"
)


def red(environment: Environment) -> list[str]:
    """Return the failed findings of health, with a short time-out instead of the real one."""
    shorten = (
        "setattr(__import__('report_orchestrator.services.monitoring.overdue').services.monitoring.overdue,"
        " 'HEARTBEAT_TIMEOUT',"
        f" __import__('datetime').timedelta(seconds={SHORT}))"
    )
    found: list[str] = ask(environment, f"[{shorten}, [one.name for one in {HEALTH} if not one.well]][1]")
    return found


def test_silence_is_reported_within_a_minute() -> None:
    assert HEARTBEAT_TIMEOUT + LONGEST_UPKEEP < timedelta(seconds=60)


def test_wedged_workers_turn_health_red_and_it_is_green_when_they_go_on(seeded_environment: Environment) -> None:
    with running(seeded_environment) as cluster:
        await_that(lambda: red(seeded_environment) == [], "it is healthy", 30, pause=0.5)
        wedged = cluster.alive("worker")
        for pid in wedged:
            os.kill(pid, signal.SIGSTOP)
        # One that was stopped in the midst of a write keeps the pusher from ringing too, and then health tells of both.
        await_that(lambda: "worker" in red(seeded_environment), "health tells of the workers", 40, pause=0.5)
        assert cluster.alive("worker") == wedged, "they look alive"
        for pid in wedged:
            os.kill(pid, signal.SIGCONT)
        await_that(lambda: red(seeded_environment) == [], "it is healthy again", 30, pause=0.5)


def test_a_cluster_that_is_gone_turns_health_red_and_the_next_one_turns_it_green(
    seeded_environment: Environment,
) -> None:
    with running(seeded_environment) as cluster:
        await_that(lambda: red(seeded_environment) == [], "it is healthy", 30, pause=0.5)
        os.kill(cluster.main.pid, signal.SIGKILL)
        await_that(
            lambda: red(seeded_environment) == ["worker", "scheduler"], "health tells that nobody is there", 40, 0.5
        )
    with running(seeded_environment):
        await_that(lambda: red(seeded_environment) == [], "it is healthy again", 30, pause=0.5)
