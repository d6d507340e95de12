"""Everything that the cluster's processes share survives the death of any of them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from report_orchestrator.cluster.channels import END, Channel, Flag, ResultChannel, TaskChannel, Timer
from report_orchestrator.cluster.children import Child, await_any
from report_orchestrator.cluster.restart_backoff import LONGEST_WAIT, YOUNG, RestartBackoff

SOON = 5.0  # seconds


@contextmanager
def child(target: Callable[..., object], *args: object) -> Iterator[Child]:
    process = Child("test", target, args)
    process.start()
    yield process
    process.terminate()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def echo(questions: Channel, answers: Channel) -> None:
    for question in iter(questions.get, END):
        answers.put((os.getpid(), question))


def test_messages_of_any_size_arrive_in_order() -> None:
    channel = Channel()
    messages = ["", "x" * 5_000_000, {"args": (1, None)}]
    for message in messages:
        channel.put(message)
    assert channel.qsize() == 3
    assert [channel.get() for _ in messages] == messages
    assert channel.empty()


def test_a_closed_channel_is_read_to_its_end_by_everybody() -> None:
    channel = Channel()
    channel.put("last")
    channel.close()
    assert [channel.get() for _ in range(3)] == ["last", END, END]


def test_a_reader_that_is_killed_while_it_waits_keeps_nobody_from_reading() -> None:
    questions, answers = Channel(), Channel()
    with child(echo, questions, answers) as dead, child(echo, questions, answers) as alive:
        for number in range(20):  # each of them has read, and waits again
            questions.put(number)
        assert {answers.get()[1] for _ in range(20)} == set(range(20))
        dead.terminate()
        questions.put("after")
        assert answers.get() == (alive.pid, "after")


def test_what_waits_outlives_a_killed_writer() -> None:
    channel = Channel()
    with child(channel.put, "will") as writer:
        await_any([writer], SOON)
    assert channel.get() == "will"


def test_a_full_channel_waits_for_room_or_for_its_limit_to_be_lifted() -> None:
    lifted = Flag()
    channel = Channel(1, lifted=lifted)
    channel.put(1)
    with child(channel.put, 2) as writer:
        await_any([writer], 0.2)
        assert (writer.is_alive(), channel.qsize()) == (True, 1)
        lifted.set()
        await_any([writer], SOON)
        assert channel.qsize() == 2


def test_an_urgent_task_overtakes_the_others_and_needs_no_room() -> None:
    channel = TaskChannel(1)
    channel.put("waiting")
    channel.urgent.put("urgent")
    assert [channel.get(), channel.get()] == ["urgent", "waiting"]


def test_urgent_tasks_and_the_others_take_turns() -> None:
    channel = TaskChannel()
    for number in range(3):
        channel.put(f"waiting {number}")
        channel.urgent.put(f"urgent {number}")
    kinds = [channel.get().split()[0] for _ in range(6)]
    assert kinds == ["urgent", "waiting"] * 3


def test_a_worker_waits_for_both_kinds_of_tasks() -> None:
    channel, answers = TaskChannel(), Channel()
    with child(echo, channel, answers), child(echo, channel, answers):
        for number in range(10):
            (channel if number % 2 else channel.urgent).put(number)
            assert answers.get()[1] == number
    channel.close()
    assert channel.get() == END


def test_a_result_that_cannot_be_stored_is_a_failure() -> None:
    channel = ResultChannel()
    channel.put({"id": "a", "result": lambda: None, "success": True})
    task = channel.get()
    assert (task["id"], task["success"]) == ("a", False)
    assert "cannot be stored" in task["result"]


def test_a_flag_is_seen_by_other_processes_and_stays_set() -> None:
    flag = Flag()
    assert not flag.wait(0)
    with child(flag.set):
        assert flag.wait(SOON)
    flag.set()
    assert flag.is_set()


def test_a_timer_runs_down_by_itself() -> None:
    timer = Timer()
    assert timer.value == Timer.IDLE
    timer.value = 60
    assert 0 < timer.value <= 60
    timer.value = 0.01
    deadline = time.monotonic() + SOON
    while timer.value != Timer.OVER and time.monotonic() < deadline:
        time.sleep(0.01)
    assert timer.value == Timer.OVER
    timer.value = Timer.RECYCLED
    assert timer.value == Timer.RECYCLED


def test_a_child_ends_when_its_parent_was_gone_before_it_could_ask() -> None:
    orphan = Child("test", time.sleep, (SOON,))
    orphan._maker = 1 if os.getppid() != 1 else 2
    orphan.start()
    await_any([orphan], SOON)
    orphan.join(SOON)
    assert orphan.exitcode == -9


def test_a_child_looks_for_its_parent_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    from report_orchestrator.cluster import children

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(children, "LOOK_FOR_PARENT", 0.05)
    pids = Channel()

    def become_a_parent() -> None:
        with child(time.sleep, SOON) as grandchild:
            pids.put(grandchild.pid)
            os._exit(0)

    with child(become_a_parent):
        grandchild = pids.get()
        deadline = time.monotonic() + SOON
        while is_alive(grandchild) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_alive(grandchild)


def test_who_keeps_dying_young_is_started_ever_later() -> None:
    pace = RestartBackoff()
    assert [pace.wait_after(age) for age in (60, 0, 0, 0, 0)] == [0, 0, 0.5, 1, 2]
    assert max(pace.wait_after(0) for _ in range(20)) == LONGEST_WAIT
    assert pace.wait_after(YOUNG) == 0
