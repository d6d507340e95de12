"""Downloads that last leave a worker for everything else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django_q.conf import Conf
from pytest_django import Settings as DjangoSettings

from report_orchestrator import brokers
from report_orchestrator.adapters.queue import django_q
from report_orchestrator.adapters.queue.django_q import DjangoQ
from report_orchestrator.domain.runs import Status, Step, StepResult
from report_orchestrator.models import ReportRun, RunStep
from report_orchestrator.services.operator_actions import cancel_run
from report_orchestrator.services.running.download_slots import LONG_AFTER, PAUSE
from report_orchestrator.services.running.foreground import run_to_end
from report_orchestrator.services.running.worker import advance, run_due
from report_orchestrator.testing import FakePorts, make_runtime
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make()


def bytes_take(fakes: FakePorts, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return a result in three pieces, each after this many seconds."""

    @contextmanager
    def results(_job_id: str) -> Iterator[Iterator[bytes]]:
        def pieces() -> Iterator[bytes]:
            for piece in (b"{", b"  ", b"}"):
                fakes.clock.advance(seconds=seconds)
                yield piece

        yield pieces()

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, job_id, _heartbeat: results(job_id))


def downloading(new_run: NewRun, fakes: FakePorts) -> ReportRun:
    """A run whose download another worker began just now."""
    run = new_run()
    now = fakes.clock()
    run.write(
        status=Status.RUNNING.value,
        step=Step.RESULTS_STORAGE.value,
        worker="elsewhere",
        wake_at=now + timedelta(hours=1),
        started_at=now,
        attempt=1,
    )
    RunStep.objects.create(run=run, step=run.step, attempt=1, started_at=now)
    return run


def work_on(run: ReportRun, fakes: FakePorts) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(SETTINGS), in_worker=True)
    run.refresh_from_db()
    return run


@pytest.fixture
def slow(fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads of half a minute, two workers."""
    bytes_take(fakes, 10, monkeypatch)
    fakes.queue.workers = 2


@pytest.mark.usefixtures("slow")
def test_the_last_free_worker_is_given_back(new_run: NewRun, fakes: FakePorts) -> None:
    downloading(new_run, fakes)
    run = work_on(new_run(), fakes)
    assert (run.status, run.step, run.error_code, run.failures, run.crashes) == (
        Status.UP_FOR_RETRY,
        Step.RESULTS_STORAGE,
        "gave_way",
        0,
        0,
    )
    assert run.wake_at == fakes.clock() + PAUSE
    assert fakes.store.files == {}
    assert list(run.steps.order_by("pk").values_list("result", flat=True))[-1] == StepResult.RETRIED


@pytest.mark.usefixtures("slow")
def test_one_that_gave_way_does_not_begin_again_while_there_is_no_place(new_run: NewRun, fakes: FakePorts) -> None:
    other = downloading(new_run, fakes)
    run = work_on(new_run(), fakes)
    attempts = run.attempt
    fakes.clock.advance(seconds=PAUSE.total_seconds())
    run = work_on(run, fakes)
    assert (run.status, run.attempt, run.wake_at) == (Status.UP_FOR_RETRY, attempts, fakes.clock() + PAUSE)
    other.write(status=Status.QUEUED.value, worker="")
    fakes.clock.advance(seconds=PAUSE.total_seconds())
    run = work_on(run, fakes)
    assert run.status == Status.SUCCEEDED


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("workers", [1, 3])
def test_one_lasting_download_is_always_allowed_and_others_while_a_worker_is_left(
    workers: int, new_run: NewRun, fakes: FakePorts
) -> None:
    fakes.queue.workers = workers
    if workers == 3:
        downloading(new_run, fakes)
    assert work_on(new_run(), fakes).status == Status.SUCCEEDED


def test_a_short_download_takes_any_worker(new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_take(fakes, 1, monkeypatch)
    fakes.queue.workers = 2
    downloading(new_run, fakes)
    assert work_on(new_run(), fakes).status == Status.SUCCEEDED


@pytest.mark.usefixtures("slow")
def test_a_run_that_is_driven_by_hand_holds_no_worker_and_gives_no_way(new_run: NewRun, fakes: FakePorts) -> None:
    downloading(new_run, fakes)
    run = new_run()
    wait: Callable[[float], None] = lambda seconds: pytest.fail(f"it waits for {seconds} s")  # noqa: E731
    [*_rounds, [ended]] = run_to_end([run.pk], runtime=fakes.runtime(SETTINGS), wait=wait)
    assert ended.status == Status.SUCCEEDED


@pytest.mark.usefixtures("slow")
def test_a_worker_that_gave_way_goes_on_with_other_work(new_run: NewRun, fakes: FakePorts) -> None:
    fakes.fireant.bodies["7"] = b"{}"
    downloading(new_run, fakes)
    lasting, other = new_run(), new_run()
    other.write(step=Step.LOCAL_JOB_RECORD.value, fireant_job_id="7")
    moved = run_due(lasting.pk, runtime=fakes.runtime(SETTINGS), until=fakes.clock() + timedelta(minutes=5))
    other.refresh_from_db()
    assert moved == 2
    assert other.step == Step.RESULTS_STORAGE


def waiting_for_a_place(new_run: NewRun, fakes: FakePorts) -> ReportRun:
    """A run whose download gave way once, and whose time to look again has come."""
    run = new_run()
    fakes.fireant.bodies["7"] = b"{}"
    run.write(
        status=Status.UP_FOR_RETRY.value,
        step=Step.RESULTS_STORAGE.value,
        error_code="gave_way",
        fireant_job_id="7",
        wake_at=fakes.clock(),
        started_at=fakes.clock(),
    )
    return run


@pytest.mark.usefixtures("slow")
def test_one_that_gave_way_and_then_lost_its_worker_is_rescued(new_run: NewRun, fakes: FakePorts) -> None:
    run = downloading(new_run, fakes)
    fakes.fireant.bodies["7"] = b"{}"
    run.write(error_code="gave_way", fireant_job_id="7", wake_at=fakes.clock())
    run = work_on(run, fakes)
    assert (run.status, run.steps.filter(result=StepResult.LOST).count()) == (Status.SUCCEEDED, 1)


@pytest.fixture(params=["broker", "cache"])
def redis_away(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, settings: DjangoSettings
) -> Iterator[None]:
    """Django-Q's broker, or the cache in which stock clusters report themselves, is a Redis that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # nobody listens, and nobody else can have it
        address = f"redis://127.0.0.1:{held.getsockname()[1]}"
        if request.param == "broker":
            monkeypatch.setattr(Conf, "ORM", None)
            monkeypatch.setattr(Conf, "REDIS", address)
        else:
            backend = "django.core.cache.backends.redis.RedisCache"
            settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": address}}
        brokers._ticking_class.cache_clear()
        yield
    brokers._ticking_class.cache_clear()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Return the log lines of the queue's adapter."""
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keeping()
    django_q.logger.addHandler(handler)
    yield lines
    django_q.logger.removeHandler(handler)


@pytest.mark.usefixtures("slow", "redis_away")
def test_a_download_goes_on_while_the_broker_or_the_cache_is_away(
    new_run: NewRun, fakes: FakePorts, said: list[str]
) -> None:
    run = waiting_for_a_place(new_run, fakes)
    ports = replace(fakes.ports, queue=DjangoQ())
    assert advance(run.pk, runtime=make_runtime(ports, SETTINGS), in_worker=True)
    run.refresh_from_db()
    assert (run.status, run.failures, run.crashes) == (Status.SUCCEEDED, 0, 0)
    assert said == []


@pytest.mark.usefixtures("slow")
def test_a_lost_worker_keeps_no_place_once_its_lease_is_over(new_run: NewRun, fakes: FakePorts) -> None:
    downloading(new_run, fakes).write(wake_at=fakes.clock())
    assert work_on(waiting_for_a_place(new_run, fakes), fakes).status == Status.SUCCEEDED


@pytest.mark.usefixtures("slow")
def test_one_that_gave_way_is_not_kept_out_by_downloads_that_have_just_begun(new_run: NewRun, fakes: FakePorts) -> None:
    """Otherwise short downloads that come and go all day would keep it from ever starting."""
    run = waiting_for_a_place(new_run, fakes)
    downloading(new_run, fakes)
    work_on(run, fakes)
    assert run.steps.filter(step=Step.RESULTS_STORAGE).count() == 1

    kept_out = waiting_for_a_place(new_run, fakes)
    fakes.clock.advance(seconds=LONG_AFTER.total_seconds())
    work_on(kept_out, fakes)
    assert kept_out.steps.filter(step=Step.RESULTS_STORAGE).count() == 0


@pytest.mark.usefixtures("slow")
def test_a_download_gives_no_way_to_one_that_holds_no_worker(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of a user's `run_report --now` uses no worker."""
    by_hand, run = new_run(), new_run()
    piece_of = type(fakes.fireant).results
    seen: list[ReportRun] = []

    @contextmanager
    def results(_job_id: str) -> Iterator[Iterator[bytes]]:
        """While the first one downloads, a worker takes the second."""
        monkeypatch.setattr(type(fakes.fireant), "results", piece_of)
        seen.append(work_on(run, fakes))
        yield iter([b"{}"])

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, job_id, _heartbeat: results(job_id))
    advance(by_hand.pk, runtime=fakes.runtime(SETTINGS))
    assert [one.status for one in seen] == [Status.SUCCEEDED]
    by_hand.refresh_from_db()
    assert by_hand.status == Status.SUCCEEDED


@pytest.mark.parametrize("in_worker", [True, False])
def test_a_cancellation_ends_a_download_within_seconds(
    new_run: NewRun, fakes: FakePorts, monkeypatch: pytest.MonkeyPatch, in_worker: bool
) -> None:
    settings = SettingsFactory.make(LEASE_SECONDS=600)
    run = new_run()
    read: list[int] = []

    @contextmanager
    def results(_job_id: str) -> Iterator[Iterator[bytes]]:
        def pieces() -> Iterator[bytes]:
            for second in range(100):
                fakes.clock.advance(seconds=1)
                read.append(second)
                if second == 50:
                    cancel_run(run.pk, actor="ann", runtime=fakes.runtime())
                yield b" "

        yield pieces()

    monkeypatch.setattr(type(fakes.fireant), "results", lambda _self, job_id, _heartbeat: results(job_id))
    advance(run.pk, runtime=fakes.runtime(settings), in_worker=in_worker)
    run.refresh_from_db()
    assert run.status == Status.CANCELED
    assert 50 <= read[-1] <= 53
