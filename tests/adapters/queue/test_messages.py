"""A message is sent after the commit, and a broker that fails fails no caller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.core.cache import caches
from django.db import connection, transaction
from django.db.models.signals import post_delete
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from picklefield.fields import dbsafe_encode
from pytest_django import Settings as DjangoSettings

from report_orchestrator.adapters.queue.django_q import WORK, DjangoQ
from report_orchestrator.models import SharedState
from report_orchestrator.testing import START
from tests.support.planted_pickle import MakesFolder
from tests.support.queue_messages import messages

queue = DjangoQ()


def broken_broker(list_key: str | None = None) -> NoReturn:
    raise ConnectionError("the broker is away")


@pytest.mark.django_db(transaction=True)
class TestMessages:
    def test_a_message_is_sent_after_the_commit_only(self) -> None:
        with transaction.atomic():
            queue.notify([7, 8])
            assert messages() == []
        assert messages() == [(WORK, (7,)), (WORK, (8,))]

    def test_a_rollback_sends_nothing(self) -> None:
        with transaction.atomic():
            queue.notify([7])
            transaction.set_rollback(True)
        assert messages() == []

    def test_outside_a_transaction_it_is_sent_at_once(self) -> None:
        queue.notify([7])
        assert messages() == [(WORK, (7,))]

    def test_no_run_sends_nothing(self) -> None:
        queue.notify([])
        assert messages() == []

    def test_the_queue_puts_no_limit_of_time_on_the_work(self) -> None:
        queue.notify([7])
        task = OrmQ.objects.get().task
        assert (task["timeout"], task["name"]) == (-1, "run 7")

    def test_a_broker_that_fails_does_not_fail_the_caller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Conf, "BROKER_CLASS", f"{__name__}.broken_broker")
        queue.notify([7])
        with transaction.atomic():
            queue.notify([7, 8])
            SharedState.objects.record("kept", now=START)
        assert SharedState.objects.filter(name="kept").exists()

    def test_the_message_of_a_failed_broker_does_not_keep_back_the_next(self, monkeypatch: pytest.MonkeyPatch) -> None:
        refusals = iter([True, False])
        real = ORM.enqueue

        def enqueue(broker: Any, task: str) -> Any:
            if next(refusals):
                raise ConnectionError("the broker is away")
            return real(broker, task)

        monkeypatch.setattr(ORM, "enqueue", enqueue)
        with transaction.atomic():
            queue.notify([7, 8])
        assert messages() == [(WORK, (8,))]

    @pytest.mark.django_db
    def test_workers_are_counted_from_what_the_clusters_reported_lately(self) -> None:
        now = datetime.now(UTC)
        for number, (workers, ago) in enumerate([(4, 1), (2, 29), (8, 31)]):
            detail: dict[str, object] = {"workers": workers}
            SharedState.objects.record(f"cluster: {number}", now=now - timedelta(seconds=ago), detail=detail)
        assert queue.workers_alive() == 6

    @pytest.mark.django_db
    def test_no_worker_is_active_where_no_cluster_reports(self, settings: DjangoSettings) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        assert queue.workers_alive() == 0

    @pytest.mark.django_db
    def test_no_pickle_of_the_cache_is_read_to_count_workers(self, settings: DjangoSettings, tmp_path: Path) -> None:
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "planted"}
        }
        planted = tmp_path / "planted"
        caches["default"].set(Conf.Q_STAT, MakesFolder(planted))
        assert queue.workers_alive() == 0
        assert not planted.exists()
        caches["default"].get(Conf.Q_STAT)
        assert planted.exists()


@pytest.mark.django_db
def test_old_failures_are_deleted_without_reading_their_pickles(tmp_path: Path) -> None:
    planted, now, deleted = tmp_path / "planted", timezone.now(), list[object]()

    def listen(instance: object, **_kwargs: object) -> None:
        deleted.append(instance)

    Task.objects.create(id="1", name="1", func=WORK, args=(), started=now, stopped=now, success=False, result=None)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_task SET args = %s", [dbsafe_encode(MakesFolder(planted), copy=False)])
    post_delete.connect(listen, sender=Task)
    try:
        assert queue.prune_failures(before=datetime.now(UTC) + timedelta(days=1), most=9) == 1
    finally:
        post_delete.disconnect(listen, sender=Task)
    assert len(deleted) == 1
    assert not Task.objects.exists()
    assert not planted.exists()
