"""When nothing is processed, health says so within a minute, whatever still looks alive; and it recovers by itself."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest

from report_orchestrator.services.approaches import LONGEST_UPKEEP
from report_orchestrator.services.health import SILENCE
from tests.demo.place import Place
from tests.faults.test_cluster import running
from tests.faults.watching import ask, await_that

pytestmark = pytest.mark.acceptance

SHORT = 10  # seconds of silence that the clusters here are allowed, so that no test waits for a minute
HEALTH = (
    "__import__('report_orchestrator.services.health').services.health.examine("
    "ports=__import__('report_orchestrator.wiring').wiring.get_ports(),"
    " settings=__import__('report_orchestrator.conf').conf.get_settings())"
)


def red(place: Place) -> list[str]:
    """What health complains of, with the short silence in place of the real one."""
    shorten = (
        "setattr(__import__('report_orchestrator.services.health').services.health, 'SILENCE',"
        f" __import__('datetime').timedelta(seconds={SHORT}))"
    )
    found: list[str] = ask(place, f"[{shorten}, [one.name for one in {HEALTH} if not one.well]][1]")
    return found


def test_silence_is_told_within_a_minute() -> None:
    assert SILENCE + LONGEST_UPKEEP < timedelta(seconds=60)


def test_wedged_workers_turn_health_red_and_it_is_green_when_they_go_on(seeded_place: Place) -> None:
    with running(seeded_place) as cluster:
        await_that(lambda: red(seeded_place) == [], "it is healthy", 30, pause=0.5)
        wedged = cluster.alive("worker")
        for pid in wedged:
            os.kill(pid, signal.SIGSTOP)
        # One that was stopped in the midst of a write keeps the pusher from ringing too, and then health tells of both.
        await_that(lambda: "worker" in red(seeded_place), "health tells of the workers", 40, pause=0.5)
        assert cluster.alive("worker") == wedged, "they look alive"
        for pid in wedged:
            os.kill(pid, signal.SIGCONT)
        await_that(lambda: red(seeded_place) == [], "it is healthy again", 30, pause=0.5)


def test_a_cluster_that_is_gone_turns_health_red_and_the_next_one_turns_it_green(
    seeded_place: Place,
) -> None:
    with running(seeded_place) as cluster:
        await_that(lambda: red(seeded_place) == [], "it is healthy", 30, pause=0.5)
        os.kill(cluster.main.pid, signal.SIGKILL)
        await_that(
            lambda: red(seeded_place) == ["worker", "scheduler"], "health tells that nobody is there", 40, 0.5
        )
    with running(seeded_place):
        await_that(lambda: red(seeded_place) == [], "it is healthy again", 30, pause=0.5)
