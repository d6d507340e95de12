"""A burst of runs leaves room for the host's own tasks: few messages, and short turns."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django_q.conf import Conf
from django_q.models import OrmQ

from report_orchestrator import tasks
from report_orchestrator.adapters.database_clock import database_clock
from report_orchestrator.adapters.queue.django_q import DjangoQ
from report_orchestrator.models import ReportRun, SharedState
from report_orchestrator.services.upkeep import tick as upkeep
from report_orchestrator.testing import START, FakeFireant, FakePorts
from tests.support.queue_messages import messages
from tests.support.run_factory import NewRun

pytestmark = pytest.mark.django_db(transaction=True)

BURST = range(1, 3001)


def receive_one(run_id: int = 0, *kind: str) -> None:
    OrmQ.objects.order_by("pk")[0].delete()
    assert tasks.work(run_id, *kind) == 0


def test_a_burst_leaves_at_most_one_message_for_each_worker() -> None:
    for run_id in BURST[:50]:
        DjangoQ().notify([run_id])
    with transaction.atomic():
        DjangoQ().notify(list(BURST))
    assert 1 <= len(messages()) <= Conf.WORKERS


def test_workers_of_other_clusters_have_messages_of_their_own() -> None:
    for cluster in "ab":
        now = database_clock()
        SharedState.objects.record(f"cluster: {cluster}", now=now, detail={"workers": Conf.WORKERS})
    DjangoQ().notify(list(BURST))
    assert len(messages()) == 2 * Conf.WORKERS


def test_a_message_that_was_received_makes_room_for_one() -> None:
    DjangoQ().notify(list(BURST))
    receive_one()
    DjangoQ().notify(list(BURST))
    assert len(messages()) == Conf.WORKERS


def test_an_urgent_message_makes_no_room_in_the_queue() -> None:
    DjangoQ().notify(list(BURST))
    assert tasks.work(0, "urgent") == 0
    DjangoQ().notify(list(BURST))
    assert len(messages()) == Conf.WORKERS


def test_lost_messages_are_replaced_after_a_while() -> None:
    DjangoQ().notify(list(BURST))
    OrmQ.objects.all().delete()
    SharedState.objects.filter(name__startswith="message: ").update(due_at=START.replace(year=2000))
    DjangoQ().notify(list(BURST))
    assert len(messages()) == Conf.WORKERS


def test_a_turn_is_short_and_asks_for_the_next_before_it_ends(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
    submit = FakeFireant.submit

    def submit_slowly(*args: Any, **options: Any) -> Any:
        fakes.clock.advance(seconds=0.5)
        return submit(*args, **options)

    monkeypatch.setattr(FakeFireant, "submit", submit_slowly)
    for _ in range(12):
        new_run()
    assert tasks.work() == tasks.TURN.total_seconds() / 0.5
    first_left = ReportRun.objects.claimable(fakes.clock()).values_list("pk", flat=True)[0]
    assert fakes.queue.notified[-1] == first_left


def test_the_last_turn_asks_for_none(new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "get_runtime", fakes.runtime)
    monkeypatch.setattr(upkeep, "notify_startable", lambda runtime: 0)
    new_run()
    fakes.queue.notified.clear()
    assert tasks.work() == 1
    assert fakes.queue.notified == []
