"""The log's lines, their form, and the values that never appear in them."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings as DjangoSettings

from report_orchestrator import log_events, signals
from report_orchestrator.conf import SETTING, get_settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.exceptions import FireantError, TransientError
from report_orchestrator.models import ReportRun, ReportSchedule
from report_orchestrator.ports import JobState
from report_orchestrator.services.discovery.full_scan import discover
from report_orchestrator.services.running.worker import advance
from report_orchestrator.services.scheduling.create_runs import open_manual_run
from report_orchestrator.testing import FakePorts, geo_report
from tests.support.run_factory import NewRun
from tests.support.settings_factory import SettingsFactory

pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = SettingsFactory.make()
SECRETS = ["s3cr3t-of-fireant", 'quo"ted', "back\\slash", "apo'strophe", "schlüssel-ü", "a=b&c%20+/~."]
HOSTILE = 'Flood\n12:00:00 ERROR   run failed run_id=1 "\u2028'
logger = logging.getLogger("report_orchestrator")


@pytest.fixture(autouse=True)
def _same_logger_afterwards() -> Iterator[None]:
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


class Log:
    """The log as it is written when the app starts with these settings."""

    def __init__(self, settings: DjangoSettings, **given: object) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), **given})
        logger.handlers[:] = []
        log_events.connect()
        [handler] = logger.handlers
        assert isinstance(handler, logging.StreamHandler)
        self._written = io.StringIO()
        handler.setStream(self._written)

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")[:-1]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def named(self, event: str) -> dict[str, Any]:
        [found] = [line for line in self.events if line["event"] == event]
        return found


class Kept(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def levels(self) -> Mapping[str, str]:
        """Return the level of each recorded event."""
        return {vars(record)["event"]: record.levelname for record in self.records}


@pytest.fixture
def kept() -> Kept:
    """The records that the app writes."""
    handler = Kept()
    logger.handlers[:] = [handler]
    return handler


def go(run: ReportRun, fakes: FakePorts) -> ReportRun:
    advance(run.pk, runtime=fakes.runtime(SETTINGS))
    run.refresh_from_db()
    return run


class TestProduction:
    def test_each_line_is_an_object_that_begins_with_time_and_level(
        self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts
    ) -> None:
        log = Log(settings, APP_ENV="prod")
        go(new_run(), fakes)
        assert [line["event"] for line in log.events] == [
            "run_opened",
            "step_started",
            *["step_completed"] * 4,
            "run_succeeded",
        ]
        for line in log.events:
            assert list(line)[:4] == ["time", "level", "logger", "message"]
            assert line["logger"] == "report_orchestrator"
            assert line["message"] == line["event"].replace("_", " ")
            assert datetime.fromisoformat(line["time"]).utcoffset() is not None

    def test_a_run_is_followed_by_its_keys(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings, APP_ENV="prod")
        run = go(new_run(), fakes)
        for line in log.events:
            assert line["run_id"] == run.pk
            assert line["report"] == "report 1 (Windstorm accumulation)"
            assert line["step"]
        done = log.named("run_succeeded")
        assert (done["level"], done["step"], done["attempt"]) == ("INFO", "results_storage", 1)
        assert done["results_path"] == run.results_path
        assert done["duration_s"] == 0.0

    def test_a_wait_says_until_when(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings, APP_ENV="prod")
        fakes.fireant.answer("101", JobState.RUNNING)
        run = go(new_run(), fakes)
        waiting = log.named("run_deferred")
        assert run.wake_at is not None
        assert (waiting["polls"], waiting["wake_at"]) == (1, run.wake_at.isoformat())

    def test_a_failure_says_what_is_wrong(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings, APP_ENV="prod")
        fakes.fireant.fail("submit", FireantError("Fireant refused it", code="fireant_422"))
        go(new_run(), fakes)
        failed = log.named("run_failed")
        assert (failed["level"], failed["step"], failed["error_code"], failed["error"]) == (
            "ERROR",
            "external_job_submission",
            "fireant_422",
            "Fireant refused it",
        )

    def test_what_discovery_saw_is_reported_with_before_and_after(
        self, settings: DjangoSettings, fakes: FakePorts
    ) -> None:
        fakes.reports.add(geo_report("1"))
        discover(runtime=fakes.runtime(get_settings()))
        log = Log(settings, APP_ENV="prod")
        fakes.reports.change("1", cron="5 * * * *")
        discover(runtime=fakes.runtime(get_settings()))
        changed = log.named("report_retimed")
        assert (changed["before"], changed["after"]) == ({"cron": "0 * * * *"}, {"cron": "5 * * * *"})
        assert log.named("reports_discovered")["changes"] == 1

    def test_an_exception_stays_in_its_line(self, settings: DjangoSettings) -> None:
        log = Log(settings, APP_ENV="prod")
        logger.error("it broke", exc_info=ValueError("two\nlines"))
        [line] = log.events
        assert "ValueError: two\nlines" in line["exc_info"]

    def test_letters_of_all_languages_stay_readable(self, settings: DjangoSettings) -> None:
        log = Log(settings, APP_ENV="prod")
        logger.info("Überflutung 🌊")
        assert "Überflutung 🌊" in log.text

    def test_loggers_below_ours_are_written_alike(self, settings: DjangoSettings) -> None:
        log = Log(settings, APP_ENV="prod")
        logging.getLogger("report_orchestrator.brokers").warning("could not check scheduled ticks; retrying in 5 s")
        [line] = log.events
        assert (line["logger"], line["level"]) == ("report_orchestrator.brokers", "WARNING")


class TestDevelopment:
    def test_lines_are_for_people(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings)
        run = go(new_run(), fakes)
        assert re.fullmatch(
            rf"\d\d:\d\d:\d\d INFO    run opened run_id={run.pk} report='report 1 \(Windstorm accumulation\)' "
            r"step='report_data' trigger='manual' triggered_by='test'",
            log.lines[0],
        )

    def test_what_is_empty_is_left_out(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings)
        go(new_run(), fakes)
        [read] = [line for line in log.lines if "step completed" in line and "'report_data'" in line]
        assert "fireant_job_id" not in read
        assert "attempt=1" in read

    def test_the_level_is_the_settings(self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts) -> None:
        log = Log(settings, LOG_LEVEL="error")
        fakes.fireant.fail("submit", FireantError("refused"))
        go(new_run(), fakes)
        [line] = log.lines
        assert " ERROR   run failed " in line


@pytest.mark.parametrize("app_env", ["dev", "prod"])
class TestAnyLine:
    def test_a_name_cannot_forge_a_line(self, settings: DjangoSettings, fakes: FakePorts, app_env: str) -> None:
        log = Log(settings, APP_ENV=app_env)
        fakes.reports.add(geo_report("1", name=HOSTILE))
        discover(runtime=fakes.runtime(get_settings()))
        run = open_manual_run(
            ReportSchedule.objects.get(), run_date=None, requested_by="test\nnobody", runtime=fakes.runtime()
        )
        go(run, fakes)
        assert len(log.lines) == 9  # two of discovery, and seven of the run
        assert not [line for line in log.lines if line.startswith("12:00:00 ERROR")]

    @pytest.mark.parametrize("secret", SECRETS)
    def test_a_secret_shows_in_no_line(
        self, settings: DjangoSettings, new_run: NewRun, fakes: FakePorts, app_env: str, secret: str
    ) -> None:
        log = Log(settings, APP_ENV=app_env, FIREANT_API_KEY=secret)
        logger.info(f"the key is {secret}")  # noqa: G004 - as a careless line would have it
        logger.info("the key is %s", secret)
        logger.info("careless", extra={"event": "careless", "error": f"key {secret} refused", "all": [secret]})
        logger.error("it broke", exc_info=ValueError(f"key {secret} refused"))
        fakes.fireant.fail("submit", TransientError(f"key {secret} refused", code="fireant_503"))
        go(new_run(), fakes)
        assert "refused" in log.text
        assert log.text.count("***") >= 6
        for form in {secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}:
            assert form not in log.text

    def test_both_secrets_are_masked(self, settings: DjangoSettings, app_env: str) -> None:
        log = Log(settings, APP_ENV=app_env, FIREANT_API_KEY="k3y", AZURE_CLIENT_SECRET="cl13nt")
        logger.warning("k3y and cl13nt")
        assert "*** and ***" in log.text

    def test_a_secret_within_another_leaves_nothing_of_it(self, settings: DjangoSettings, app_env: str) -> None:
        log = Log(settings, APP_ENV=app_env, FIREANT_API_KEY="k3y", AZURE_CLIENT_SECRET="k3y-cl13nt")
        logger.warning("it is k3y-cl13nt")
        assert "cl13nt" not in log.text


class TestLevels:
    def test_a_retry_is_information_and_an_ended_failure_an_error(
        self, new_run: NewRun, fakes: FakePorts, kept: Kept
    ) -> None:
        fakes.fireant.fail("submit", TransientError("busy"))
        run = go(new_run(), fakes)
        assert run.status == Status.UP_FOR_RETRY
        fakes.fireant.fail("submit", FireantError("refused"))
        fakes.clock.advance(seconds=11)
        assert go(run, fakes).status == Status.FAILED
        assert kept.levels == {
            "run_opened": "INFO",
            "step_started": "INFO",
            "step_completed": "INFO",
            "step_retried": "INFO",
            "run_failed": "ERROR",
        }

    def test_a_run_that_waited_too_long_is_an_error(self, new_run: NewRun, fakes: FakePorts, kept: Kept) -> None:
        fakes.fireant.answer("101", JobState.RUNNING)
        advance(new_run().pk, runtime=fakes.runtime(SettingsFactory.make(MAX_POLL_ATTEMPTS=1)))
        assert kept.levels["run_timed_out"] == "ERROR"

    def test_what_a_person_may_want_to_look_at_is_a_warning(
        self, new_run: NewRun, fakes: FakePorts, kept: Kept
    ) -> None:
        fakes.fireant.answer("101", JobState.UNKNOWN)
        fakes.fireant.fail("submit", KeyboardInterrupt())
        run = new_run()
        with pytest.raises(KeyboardInterrupt):
            go(run, fakes)
        fakes.clock.advance(seconds=121)
        assert go(run, fakes).status == Status.DEFERRED
        warnings = {event for event, level in kept.levels.items() if level == "WARNING"}
        assert warnings == {"run_rescued", "submission_repeated", "unknown_job_status"}

    def test_a_quarantine_is_a_warning(self, fakes: FakePorts, kept: Kept) -> None:
        fakes.reports.add(geo_report("1"), cron="99 * * * *")
        discover(runtime=fakes.runtime(get_settings()))
        assert kept.levels["report_quarantined"] == "WARNING"

    def test_the_library_of_another_is_no_business_of_ours(self, settings: DjangoSettings) -> None:
        log = Log(settings)
        logging.getLogger("somebody.else").error("not ours")
        assert log.lines == []


class TestListeners:
    def test_a_listener_that_raises_breaks_nothing(self, new_run: NewRun, fakes: FakePorts, kept: Kept) -> None:
        def broken(**_kwargs: object) -> None:
            raise ZeroDivisionError("a listener of the host's")

        signals.run_event.connect(broken)
        signals.schedule_event.connect(broken)
        try:
            run = go(new_run(), fakes)
        finally:
            signals.run_event.disconnect(broken)
            signals.schedule_event.disconnect(broken)
        assert run.status == Status.SUCCEEDED
        assert kept.levels["run_succeeded"] == "INFO"

    def test_a_listener_gets_plain_values_after_the_commit(self, new_run: NewRun, fakes: FakePorts) -> None:
        reported: list[tuple[str, Mapping[str, object], str]] = []

        def listen(*, event: str, fields: Mapping[str, object], **_kwargs: object) -> None:
            seen = ReportRun.objects.get(pk=str(fields["run_id"]))
            reported.append((event, fields, seen.status))

        signals.run_event.connect(listen)
        try:
            fakes.fireant.answer("101", JobState.QUEUED)
            go(new_run(), fakes)
        finally:
            signals.run_event.disconnect(listen)
        assert reported[0][0] == "run_opened"
        assert (reported[-1][0], reported[-1][2]) == ("run_deferred", Status.DEFERRED)
        for _event, fields, _status in reported:
            assert fields.keys() >= {"run_id", "report", "step"}
            json.dumps(fields)  # plain values only


class TestHostsOwnLogging:
    def test_a_host_that_names_our_logger_configures_it_alone(self, settings: DjangoSettings) -> None:
        settings.LOGGING = {"version": 1, "loggers": {"report_orchestrator": {"level": "WARNING"}}}
        handlers = [logging.NullHandler()]
        logger.handlers[:], logger.propagate, level = handlers, True, logger.level
        log_events.connect()
        assert (logger.handlers, logger.propagate, logger.level) == (handlers, True, level)

    def test_a_host_that_configures_no_logger_at_all_gets_ours(self, settings: DjangoSettings) -> None:
        settings.LOGGING = {}
        logger.handlers[:] = []
        log_events.connect()
        assert len(logger.handlers) == 1
        assert logger.propagate is False

    def test_a_host_may_say_that_it_does_everything(self, settings: DjangoSettings) -> None:
        setattr(settings, SETTING, {**getattr(settings, SETTING), "CONFIGURE_LOGGING": False})
        logger.handlers[:] = []
        log_events.connect()
        assert logger.handlers == []

    def test_a_handler_that_the_host_put_there_by_code_stays(self, settings: DjangoSettings) -> None:
        settings.LOGGING_CONFIG = None
        settings.LOGGING = {}
        theirs = logging.NullHandler()
        logger.handlers[:] = [theirs]
        log_events.connect()
        assert theirs in logger.handlers

    def test_connecting_twice_leaves_one_handler(self) -> None:
        logger.handlers[:] = []
        log_events.connect()
        log_events.connect()
        assert len(logger.handlers) == 1

    def test_a_command_silences_only_our_own_handler(self, settings: DjangoSettings) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
        settings.LOGGING = {"version": 1, "loggers": {"report_orchestrator": {}}}
        theirs = logging.StreamHandler(io.StringIO())
        logger.handlers[:] = [theirs]
        log_events.connect()
        call_command("orchestrator_status", stdout=io.StringIO())
        assert logger.handlers == [theirs]
        assert theirs.level == logging.NOTSET
