"""Promises that each kind of database has to keep. On PostgreSQL and MariaDB by `acceptance/test_database_servers.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from report_orchestrator.domain.runs import Status, Trigger
from report_orchestrator.models import ReportRun, ReportSchedule, SharedState
from report_orchestrator.services.running.db_retry import with_conflict_retry, with_db_retry
from report_orchestrator.services.scheduling.create_runs import Created, insert_runs
from report_orchestrator.services.scheduling.create_runs import new_run as unsaved_run
from report_orchestrator.testing import START

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)
BOUND = 20  # seconds for a busy machine
Retry = Callable[[Callable[[], object]], object]
RETRIES = pytest.mark.parametrize(
    "retry", [partial(with_db_retry, lease=HOUR), with_conflict_retry], ids=["any", "conflict"]
)


def new_schedule(key: str, name: str = "") -> ReportSchedule:
    return ReportSchedule.objects.create(
        report_model="api.Report",
        report_key=key,
        name=name,
        state="active",
        decided_until=START,
        discovered_at=START,
        changed_at=START,
    )


class TestOccurrences:
    def test_a_time_has_one_run(self) -> None:
        schedule = new_schedule("1")
        unsaved_run(schedule, START, now=START).save()
        backfilled = unsaved_run(schedule, START, now=START)
        backfilled.trigger = Trigger.BACKFILL.value
        with pytest.raises(IntegrityError):
            backfilled.save()
        unsaved_run(schedule, START + timedelta(microseconds=1), now=START).save()
        unsaved_run(new_schedule("2"), START, now=START).save()
        assert ReportRun.objects.count() == 3

    def test_only_missing_runs_are_inserted(self) -> None:
        schedule = new_schedule("1")
        first, second = Created(), Created()
        insert_runs([unsaved_run(schedule, START, now=START)], first)
        insert_runs([unsaved_run(schedule, START + hours * HOUR, now=START) for hours in (0, 1)], second)
        assert (first.runs, second.runs, ReportRun.objects.count()) == (1, 1, 2)

    def test_manual_runs_may_share_a_time(self) -> None:
        schedule = new_schedule("1")
        for trigger in (Trigger.MANUAL, Trigger.MANUAL, Trigger.SCHEDULED):
            run = unsaved_run(schedule, START, now=START)
            run.trigger = trigger.value
            run.save()
        assert ReportRun.objects.filter(scheduled_for=START).count() == 3


class TestValues:
    def test_keys_differ_by_case_and_trailing_spaces(self) -> None:
        keys = ["a", "A", "a ", "ä", "å"]
        for key in keys:
            new_schedule(key)
            SharedState.objects.create(name=key)
        for key in keys:
            assert [row.report_key for row in ReportSchedule.objects.filter(report_key__in=[key])] == [key]
            assert SharedState.objects.get(name=key).name == key

    def test_names_keep_every_character_and_instants_their_microseconds(self) -> None:
        schedule = new_schedule("🌪", name="Sturm 🌪 über Köln")
        instant = START + timedelta(microseconds=1)
        run = unsaved_run(schedule, instant, now=START)
        run.save()
        SharedState.objects.record("storm", now=instant, detail={"🌪": ["ü", 1.5, None]})
        run.refresh_from_db()
        assert (run.report_key, run.report_name, run.scheduled_for) == ("🌪", "Sturm 🌪 über Köln", instant)
        assert SharedState.objects.get(name="storm").detail == {"🌪": ["ü", 1.5, None]}

    def test_a_row_that_breaks_a_constraint_is_refused(self) -> None:
        run = unsaved_run(new_schedule("1"), START, now=START)
        run.status = Status.RUNNING.value
        with pytest.raises(DatabaseError, match="ro_run_running_has_lease"):
            run.save()

    def test_a_write_without_a_change_counts_as_a_write(self) -> None:
        SharedState.objects.lock("mutex", now=START)
        assert SharedState.objects.filter(name="mutex").update(marked_at=START) == 1


KILL = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
READ_ONLY_SESSION = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
WAIT_A_SECOND = {"postgresql": "SET lock_timeout = '1s'", "mysql": "SET SESSION innodb_lock_wait_timeout = 1"}


def execute(database: BaseDatabaseWrapper, statements: Mapping[str, str], *values: int) -> int:
    """The first value of this kind of database's statement, or 0."""
    with database.cursor() as cursor:
        cursor.execute(statements[database.vendor], values)
        return int((cursor.fetchone() or [0])[0] or 0) if cursor.description else 0


def close_own_connection() -> None:
    """Let the server close this thread's connection, of which Django does not learn."""
    with closing(connection.copy()) as other:
        execute(other, KILL, execute(connection, OWN_ID))


def count_rows(tries: list[int]) -> int:
    tries.append(1)
    return SharedState.objects.filter(name="nothing").count()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer, and no server")
class TestServers:
    @RETRIES
    def test_a_transaction_that_was_ended_as_a_deadlock_is_repeated(self, retry: Retry) -> None:
        for name in ("left", "right"):
            SharedState.objects.create(name=name)
        both_hold_one = threading.Barrier(2, timeout=BOUND)
        tries: list[str] = []

        def lock_both(first: str, second: str) -> None:
            with transaction.atomic():
                SharedState.objects.lock(first, now=START)
                tries.append(first)
                if tries.count(first) == 1:
                    both_hold_one.wait()
                SharedState.objects.lock(second, now=START)

        def work(first: str, second: str) -> None:
            with closing(connections["default"]):
                retry(partial(lock_both, first, second))

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(work, "left", "right"), pool.submit(work, "right", "left")]:
                done.result(BOUND)
        assert len(tries) == 3

    def test_a_lock_that_was_waited_for_too_long_is_tried_again(self) -> None:
        SharedState.objects.create(name="mutex")
        refused = threading.Event()

        def lock() -> None:
            try:
                with transaction.atomic():
                    SharedState.objects.lock("mutex", now=START)
            except OperationalError:
                refused.set()
                raise

        def work() -> None:
            with closing(connections["default"]) as database:
                execute(database, WAIT_A_SECOND)
                with_db_retry(lock, lease=HOUR)

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                SharedState.objects.lock("mutex", now=START)
                done = pool.submit(work)
                assert refused.wait(BOUND)
            done.result(BOUND)

    def test_a_server_that_has_become_read_only_is_left(self) -> None:
        execute(connection, READ_ONLY_SESSION)
        with_db_retry(partial(SharedState.objects.lock, "mutex", now=START), lease=HOUR)
        assert SharedState.objects.filter(name="mutex").exists()

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="a time-out of PostgreSQL's")
    def test_a_transaction_that_was_ended_as_idle_is_repeated(self) -> None:
        execute(connection, {"postgresql": "SET idle_in_transaction_session_timeout = '50ms'"})
        tries: list[int] = []

        def lock_slowly() -> None:
            with transaction.atomic():
                SharedState.objects.lock("mutex", now=START)
                tries.append(1)
                if len(tries) == 1:
                    time.sleep(0.3)
                SharedState.objects.lock("mutex", now=START)

        with_db_retry(lock_slowly, lease=HOUR)
        assert len(tries) == 2

    @pytest.mark.skipif(connection.vendor != "postgresql", reason="MariaDB waits here instead")
    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    @RETRIES
    def test_a_transaction_that_cannot_be_serialized_is_repeated(self, level: str, retry: Retry) -> None:
        SharedState.objects.record("counter", now=START, detail={"n": 0})
        execute(connection, {"postgresql": f"SET default_transaction_isolation = '{level}'"})
        tries: list[int] = []

        def count() -> None:
            with transaction.atomic():
                number = SharedState.objects.get(name="counter").detail["n"]
                tries.append(1)
                if len(tries) == 1:
                    with closing(connection.copy()) as other:
                        execute(other, {"postgresql": "UPDATE report_orchestrator_mark SET detail = '{\"n\": 5}'"})
                SharedState.objects.record("counter", now=START, detail={"n": number + 1})

        try:
            retry(count)
        finally:
            connection.close()
        assert (SharedState.objects.get(name="counter").detail, len(tries)) == ({"n": 6}, 2)

    def test_a_connection_that_the_server_closed_is_replaced(self) -> None:
        close_own_connection()
        tries: list[int] = []
        assert (with_db_retry(partial(count_rows, tries), lease=HOUR), len(tries)) == (0, 2)

    def test_a_tick_is_not_repeated_for_a_connection_that_the_server_closed(self) -> None:
        close_own_connection()
        tries: list[int] = []
        with pytest.raises(DatabaseError):
            with_conflict_retry(partial(count_rows, tries))
        assert len(tries) == 1
        connection.close()
