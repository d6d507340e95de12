"""The doctor's checks: settings, databases, reports, queue, cluster, Fireant and result store, each with what to do.

No job is submitted and nothing is left behind: the checks request a job that does not exist from Fireant, and write a small
file to the store, read it back and remove it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import chain
from typing import TypeAlias
from urllib.parse import urlsplit

from django.apps import apps
from django.core import checks
from django.db import DatabaseError, InterfaceError, ProgrammingError, connections, router
from django.db.migrations.executor import MigrationExecutor

from report_orchestrator.conf import LOOPBACK_HOSTS, Settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.models.schedules import ScheduleState
from report_orchestrator.ports import ProbeResult
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.findings import check_health

CLOCK_WARNING, CLOCK_FAILURE = timedelta(seconds=5), timedelta(seconds=60)
"""Differences of two clocks; tokens and certificates depend on clocks."""
QUARANTINED_SHOWN = 5
CHECK_ID_PREFIX = "report_orchestrator."
CHECK_GROUPS = {
    "settings": (
        "E001",
        "E002",
        "E003",
        "E006",
        "E007",
        "E009",
        "E010",
        "E011",
        "E012",
        "W103",
        "W104",
        "W106",
        "W110",
        "W111",
        "W114",
        "W115",
        "W116",
        "W117",
        "W119",
        "W120",
    ),
    "models and fields": ("E004", "E005", "W112"),
    "queue's settings": ("E008", "W101", "W102", "W105", "W107", "W109", "W118"),
    "libraries": ("W113",),
}


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check; `hint` is the action to take if it is not ok."""

    name: str
    level: Level
    detail: str
    hint: str = ""


Probe: TypeAlias = Callable[[], ProbeResult]
Check: TypeAlias = Callable[[], Iterable[CheckResult]]
OnStart: TypeAlias = Callable[[str], None]
"""Called with the name of each check before it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Requests to the outside without side effects; each raises an `OrchestratorError` that says what to do.

    `token` is None if no token is needed, `table` if results are kept as files only.
    """

    broker: Probe
    queue_schedules: Probe
    queue_permissions: Probe
    fireant: Probe
    store: Probe
    token: Probe | None = None
    table: Probe | None = None


def check_project(*, on_start: OnStart) -> Iterator[CheckResult]:
    """Run the checks that need no valid settings: system checks and databases."""
    on_start("system checks")
    yield from _system_checks()
    for alias in connections:
        on_start(f"database {alias}")
        yield from _run_check(f"database {alias}", partial(_database, alias))


def check_connections(*, runtime: Runtime, probes: Probes, on_start: OnStart) -> Iterator[CheckResult]:
    """Run the checks that need valid settings."""
    named_checks: list[tuple[str, Check]] = [
        ("database's clock", partial(_database_clock, runtime)),
        ("reports", partial(_reports, runtime)),
        ("broker", partial(_probe, "broker", probes.broker)),
        ("queue's schedules", partial(_probe, "queue's schedules", probes.queue_schedules)),
        ("queue's permissions", partial(_probe, "queue's permissions", probes.queue_permissions)),
        ("cluster", partial(_cluster, runtime)),
        ("Fireant", partial(_fireant, runtime.configured, probes.fireant)),
    ]
    stores = (("token", probes.token), ("result store", probes.store), ("result table", probes.table))
    named_checks += [(name, partial(_probe, name, probe)) for name, probe in stores if probe is not None]
    for name, check in named_checks:
        on_start(name)
        yield from _run_check(name, check)


def unchecked(reason: str, hint: str) -> CheckResult:
    """Return the result shown for all checks that could not run."""
    return CheckResult("everything else", Level.FAIL, f"not checked: {reason}", hint)


def _run_check(name: str, check: Check) -> Iterator[CheckResult]:
    """Yield a check's results, and a failure if it raises.

    A library, or a store of the project's own, may raise anything, and must not keep other checks from running.
    """
    try:
        yield from check()
    except OrchestratorError as error:
        yield CheckResult(name, Level.FAIL, "failed", error.message)
    except (DatabaseError, InterfaceError) as error:
        yield _database_failure(name, error)
    except Exception as error:  # noqa: BLE001 - the outcome of a check is recorded here, whatever it is
        yield CheckResult(
            name,
            Level.FAIL,
            f"check failed ({type(error).__name__}: {_first_line(error)})",
            "Correct the error. If the store is your own, its 'probe' should raise an OrchestratorError "
            "with the remedy.",
        )


def _database_failure(name: str, error: Exception) -> CheckResult:
    if isinstance(error, ProgrammingError) or "no such table" in str(error):  # SQLite's is an OperationalError
        detail, hint = "tables are missing", "Run 'manage.py migrate'."
    else:
        detail, hint = "the database cannot be used", "Start it, or correct DATABASES."
    return CheckResult(name, Level.FAIL, f"{detail}: {_first_line(error)}", hint)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _system_checks() -> Iterator[CheckResult]:
    try:
        messages = checks.run_checks()
    except Exception as error:  # noqa: BLE001 - a check runs code of the project's, such as its urls.py
        detail = f"system checks failed to run ({type(error).__name__}: {error})"
        yield CheckResult("project", Level.FAIL, detail, "Run 'manage.py check' for the traceback.")
        return
    for name, ids in CHECK_GROUPS.items():
        results = [_from_message(name, message) for message in messages if _number(message) in ids]
        yield from results or [CheckResult(name, Level.OK, "ok")]
    grouped = frozenset(chain.from_iterable(CHECK_GROUPS.values()))
    for message in messages:
        ours = (message.id or "").startswith(CHECK_ID_PREFIX)
        # One of ours without a group may be why nothing runs; of others, warnings do not matter here.
        shown = _number(message) not in grouped if ours else message.level >= checks.ERROR
        if shown and not message.is_silenced():
            yield _from_message("project", message)


def _number(message: checks.CheckMessage) -> str:
    return "" if message.is_silenced() else (message.id or "").removeprefix(CHECK_ID_PREFIX)


def _from_message(name: str, message: checks.CheckMessage) -> CheckResult:
    level = Level.FAIL if message.level >= checks.ERROR else Level.WARN
    detail = f"{message.msg} ({(message.id or '').removeprefix(CHECK_ID_PREFIX)})"
    return CheckResult(name, level, detail, message.hint or "")


def _database(alias: str) -> Iterator[CheckResult]:
    name, connection = f"database {alias}", connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    executor = MigrationExecutor(connection)
    if not executor.loader.migrated_apps:
        return
    missing = [
        migration.app_label
        for migration, _backwards in executor.migration_plan(executor.loader.graph.leaf_nodes())
        if any(
            router.allow_migrate_model(alias, model)
            for model in apps.get_app_config(migration.app_label).get_models(include_auto_created=True)
        )
    ]
    if not missing:
        yield CheckResult(name, Level.OK, "reachable and migrated")
        return
    option = "" if alias == "default" else f" --database {alias}"
    labels = ", ".join(sorted(set(missing)))
    yield CheckResult(
        name, Level.FAIL, f"{len(missing)} migrations of {labels} are not applied", f"Run 'manage.py migrate{option}'."
    )


def _database_clock(runtime: Runtime) -> Iterator[CheckResult]:
    before = datetime.now(UTC)
    database_now = runtime.clock()
    machine_now = before + (datetime.now(UTC) - before) / 2
    yield _clock("database's clock", "database clock", database_now - machine_now)


def _clock(name: str, subject: str, ahead: timedelta) -> CheckResult:
    if abs(ahead) < CLOCK_WARNING:
        return CheckResult(name, Level.OK, f"{subject} matches the clock of this machine")
    seconds = ahead.total_seconds()
    return CheckResult(
        name,
        Level.FAIL if abs(ahead) >= CLOCK_FAILURE else Level.WARN,
        f"{subject} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the clock of this machine",
        "Correct the wrong clock, for example with NTP. Tokens, certificates and Retry-After depend on it.",
    )


def _reports(runtime: Runtime) -> Iterator[CheckResult]:
    reports = ReportSchedule.objects.filter(report_model=runtime.reports.label).present()
    states = Counter(reports.values_list("state", flat=True))
    if not states:
        hint = "Run 'manage.py discover_reports', or start qcluster."
        yield CheckResult("reports", Level.WARN, "no reports discovered", hint)
        return
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    yield CheckResult("reports", Level.OK, counts)
    live = reports.live(runtime.clock(), unless_switched=not runtime.settings.shadow)
    if in_shadow := reports.count() - live.count():
        hint = "Compare with shadow_report. Once the other system is stopped, run switch_reports live."
        yield CheckResult("reports in shadow", Level.WARN, f"{in_shadow} submit nothing here", hint)
    if count := states[ScheduleState.QUARANTINED]:
        quarantined = reports.filter(state=ScheduleState.QUARANTINED).order_by("pk")
        yield _quarantined(list(quarantined[:QUARANTINED_SHOWN]), count)


def _quarantined(first: Sequence[ReportSchedule], count: int) -> CheckResult:
    names = ", ".join(map(str, first)) + (f" and {count - len(first)} more" if count > len(first) else "")
    return CheckResult(
        "quarantined reports",
        Level.WARN,
        f"{count} with an invalid definition: {names}",
        f"Run 'manage.py discover_reports --dry-run' for the reasons. The first: {first[0].problem}",
    )


def _cluster(runtime: Runtime) -> Iterator[CheckResult]:
    for finding in check_health(runtime=runtime):
        if finding.name != "fireant":
            name = f"cluster: {finding.name}"
            level = Level.FAIL if not finding.well else Level.WARN if finding.hint else Level.OK
            yield CheckResult(name, level, finding.detail, finding.hint)
    name, processes = "cluster: workers", runtime.queue.workers_alive()
    if processes is None:
        hint = "Start the database, or correct DATABASES."
        yield CheckResult(name, Level.FAIL, "unknown, because the database does not respond", hint)
    elif processes:
        yield CheckResult(name, Level.OK, f"{processes} active")
    else:
        hint = "Start 'manage.py qcluster' of this app. Workers of other clusters are not counted."
        yield CheckResult(name, Level.WARN, "none active", hint)


def _answer(result: ProbeResult, *, has_key: bool) -> str:
    if result.doubt:
        return f"{result.detail}{'' if has_key else '; no key was sent'}; {result.doubt}"
    return f"reached; {'the key is accepted' if has_key else 'no key was sent'} ({result.detail})"


def _fireant(settings: Settings, probe: Probe) -> Iterator[CheckResult]:
    result = probe()
    has_key = bool(settings.fireant_api_key)
    lacks_key = not has_key and urlsplit(settings.fireant_api_url).hostname not in LOOPBACK_HOSTS
    hints = ["Set FIREANT_API_KEY."] if lacks_key else []
    if result.doubt:
        hints.append("Check FIREANT_API_URL and its path; the key was not verified.")
    yield CheckResult(
        name="Fireant",
        level=Level.WARN if hints else Level.OK,
        detail=_answer(result, has_key=has_key),
        hint=" ".join(hints),
    )
    if result.ahead is not None:
        yield _clock("Fireant's clock", "Fireant clock", result.ahead)


def _probe(name: str, probe: Probe) -> Iterator[CheckResult]:
    result = probe()
    level = Level.WARN if result.doubt else Level.OK
    yield CheckResult(name, level, result.detail, result.doubt)
