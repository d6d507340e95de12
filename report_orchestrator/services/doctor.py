"""A traveller's check of everything between this project and its results: each thing looked at, and what to do about it.

Nothing is submitted, and nothing stays behind: Fireant is asked about a job that there is none of, and the store takes a small
file that is read back and removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import TypeAlias

from django.apps import apps
from django.core import checks
from django.db import DatabaseError, InterfaceError, connections, router
from django.db.migrations.executor import MigrationExecutor

from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import ReportSchedule
from report_orchestrator.models.schedules import ScheduleState
from report_orchestrator.ports import Ports, Probed
from report_orchestrator.services import health
from report_orchestrator.services.approaches import in_force

SKEW_NOTED, SKEW_REFUSED = timedelta(seconds=5), timedelta(seconds=60)
"""From where on a clock that differs is told, and from where on it is refused: tokens and certificates go by clocks."""
NAMED = 5
"""How many quarantined reports are named."""
OURS = "report_orchestrator."
ABOUT = {
    "settings": ("E001", "E002", "E003", "E006", "E007", "E009", "E010", "W103", "W104", "W106"),
    "models and fields": ("E004", "E005"),
    "queue's settings": ("E008", "W101", "W102", "W105", "W107", "W108", "W109"),
}
"""What each of our system checks is about."""


class Level(StrEnum):
    """How a thing stands. A warning is worth a look, and stops nothing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `hint` says what to do where it is not well."""

    name: str
    level: Level
    detail: str
    hint: str = ""


Probe: TypeAlias = Callable[[], Probed]
Check: TypeAlias = tuple[str, Callable[[], Iterable[Finding]]]
Began: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Harmless questions to the outside. Each raises an `OrchestratorError` that says what to do; `token` is None where no
    token is needed, `table` where results are kept as files only."""

    broker: Probe
    fireant: Probe
    store: Probe
    token: Probe | None = None
    table: Probe | None = None


def examine_project(*, began: Began) -> Iterator[Finding]:
    """What can be looked at whatever the settings are: the system checks and the databases."""
    began("system checks")
    yield from _system_checks()
    for alias in connections:
        began(f"database {alias}")
        yield from _guarded((f"database {alias}", lambda alias=alias: _database(alias)))  # type: ignore[misc]


def examine(*, ports: Ports, settings: Settings, probes: Probes, began: Began) -> Iterator[Finding]:
    """What can be looked at once the settings are well. `began` is told the name of each check before it begins."""
    looks: list[Check] = [
        ("database's clock", lambda: _database_clock(ports)),
        ("reports", lambda: _reports(ports)),
        ("broker", lambda: _probed("broker", probes.broker)),
        ("cluster", lambda: _cluster(ports, settings)),
        ("Fireant", lambda: _fireant(settings, probes.fireant)),
        ("result store", lambda: _probed("result store", probes.store)),
    ]
    if probes.token is not None:
        token = probes.token
        looks.insert(-1, ("token", lambda: _probed("token", token)))
    if probes.table is not None:
        table = probes.table
        looks.append(("result table", lambda: _probed("result table", table)))
    for look in looks:
        began(look[0])
        yield from _guarded(look)


def not_looked_at(why: str, hint: str) -> Finding:
    """Stands for everything that could not be examined, and so cannot be said to be well."""
    return Finding(name="everything else", level=Level.FAIL, detail=f"not looked at: {why}", hint=hint)


def _guarded(look: Check) -> Iterable[Finding]:
    """What a check found before it failed, and why it could look no further.

    A library, or a store of the project's own, may raise anything, and must not keep the rest from being looked at.
    """
    name, find = look
    found: list[Finding] = []
    try:
        found.extend(find())
    except OrchestratorError as error:
        found.append(Finding(name=name, level=Level.FAIL, detail="it failed", hint=error.message))
    except (DatabaseError, InterfaceError) as error:
        found.append(
            Finding(
                name=name,
                level=Level.FAIL,
                detail=f"the database cannot be used: {_first_line(error)}",
                hint="Start it, correct DATABASES, or run 'manage.py migrate'.",
            )
        )
    except Exception as error:  # noqa: BLE001 - the outcome of a look is recorded here, whatever it is
        found.append(
            Finding(
                name=name,
                level=Level.FAIL,
                detail=f"it could not be looked at ({type(error).__name__}: {_first_line(error)})",
                hint="Look at what it names. Where it is a store of your own, have its 'probe' raise an OrchestratorError "
                "that says what to do.",
            )
        )
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _system_checks() -> Iterator[Finding]:
    try:
        found = checks.run_checks()
    except Exception as error:  # noqa: BLE001 - a check runs code of the project's, such as its urls.py
        yield Finding(
            name="project",
            level=Level.FAIL,
            detail=f"its checks cannot run ({type(error).__name__}: {error})",
            hint="Run 'manage.py check', which shows where.",
        )
        return
    for name, ids in ABOUT.items():
        about = [message for message in found if _number(message) in ids]
        yield from map(lambda message, name=name: _of_check(name, message), about)  # type: ignore[misc]
        if not about:
            yield Finding(name=name, level=Level.OK, detail="well")
    grouped = frozenset(chain.from_iterable(ABOUT.values()))
    for message in found:
        ours = (message.id or "").startswith(OURS)
        # One of ours that nobody has grouped is told all the same: it may be why nothing runs.
        told = _number(message) not in grouped if ours else message.level >= checks.ERROR
        if told and not message.is_silenced():
            yield _of_check("project", message)


def _number(message: checks.CheckMessage) -> str:
    return (message.id or "").removeprefix(OURS) if not message.is_silenced() else ""


def _of_check(name: str, message: checks.CheckMessage) -> Finding:
    wrong = message.level >= checks.ERROR
    return Finding(
        name=name,
        level=Level.FAIL if wrong else Level.WARN,
        detail=f"{message.msg} ({(message.id or '').removeprefix(OURS)})",
        hint=message.hint or "",
    )


def _database(alias: str) -> Iterator[Finding]:
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    executor = MigrationExecutor(connection)
    if not executor.loader.migrated_apps:
        return
    missing = [
        migration
        for migration, _backwards in executor.migration_plan(executor.loader.graph.leaf_nodes())
        if _has_tables_here(alias, migration.app_label)
    ]
    labels = ", ".join(sorted({migration.app_label for migration in missing}))
    option = "" if alias == "default" else f" --database {alias}"
    yield Finding(
        name=f"database {alias}",
        level=Level.FAIL if missing else Level.OK,
        detail=f"{len(missing)} migrations of {labels} are not applied"
        if missing
        else "reachable and migrated",
        hint=f"Run 'manage.py migrate{option}'." if missing else "",
    )


def _has_tables_here(alias: str, app_label: str) -> bool:
    """Whether the routers let the app's tables into this database."""
    models = apps.get_app_config(app_label).get_models(include_auto_created=True)
    return any(router.allow_migrate_model(alias, model) for model in models)


def _database_clock(ports: Ports) -> Iterator[Finding]:
    before = datetime.now(UTC)
    theirs = ports.clock()
    between = before + (datetime.now(UTC) - before) / 2
    yield _clock("database's clock", "the database's clock", theirs - between)


def _clock(name: str, whose: str, ahead: timedelta) -> Finding:
    seconds = ahead.total_seconds()
    detail = f"{whose} is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    if abs(ahead) < SKEW_NOTED:
        return Finding(name=name, level=Level.OK, detail=f"{whose} and this machine's agree")
    return Finding(
        name=name,
        level=Level.FAIL if abs(ahead) >= SKEW_REFUSED else Level.WARN,
        detail=detail,
        hint="Set the wrong clock right, for example by NTP: tokens, certificates and Retry-After go by clocks.",
    )


def _reports(ports: Ports) -> Iterator[Finding]:
    known = ReportSchedule.objects.filter(report_model=ports.reports.label).present()
    states = Counter(known.values_list("state", flat=True))
    if not states:
        yield Finding(
            name="reports",
            level=Level.WARN,
            detail="none are known",
            hint="Run 'manage.py discover_reports', or start qcluster.",
        )
        return
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    quarantined = known.filter(state=ScheduleState.QUARANTINED).order_by("pk")
    yield Finding(name="reports", level=Level.OK, detail=told)
    if states[ScheduleState.QUARANTINED]:
        yield _quarantined(list(quarantined[:NAMED]), states[ScheduleState.QUARANTINED])


def _quarantined(first: Sequence[ReportSchedule], count: int) -> Finding:
    names = ", ".join(map(str, first)) + (f" and {count - len(first)} more" if count > len(first) else "")
    return Finding(
        name="quarantined reports",
        level=Level.WARN,
        detail=f"{count} cannot run as they are defined: {names}",
        hint="'manage.py discover_reports --dry-run' says what is wrong with each. The first: "
        + first[0].problem,
    )


def _cluster(ports: Ports, settings: Settings) -> Iterator[Finding]:
    for finding in health.examine(ports=ports, settings=in_force(settings)):
        if finding.name != "fireant":
            yield Finding(
                name=f"cluster: {finding.name}",
                level=Level.OK if finding.well else Level.FAIL,
                detail=finding.detail,
                hint=finding.hint,
            )
    alive = ports.queue.workers_alive()
    if alive is None:
        yield Finding(
            name="cluster: workers",
            level=Level.FAIL,
            detail="nobody can tell: the broker or the cache does not answer",
            hint="Start the broker and the cache, or correct Q_CLUSTER and CACHES.",
        )
        return
    yield Finding(
        name="cluster: workers",
        level=Level.OK if alive else Level.WARN,
        detail=f"{alive} report themselves" if alive else "none report themselves",
        hint="" if alive else "Start 'manage.py qcluster'; if it runs, use a cache that processes share.",
    )


def _fireant(settings: Settings, probe: Probe) -> Iterator[Finding]:
    probed = probe()
    keyless = not settings.fireant_api_key
    key = "; no key was sent" if keyless else "" if probed.doubt else ", and took the key"
    yield Finding(
        name="Fireant",
        level=Level.WARN if keyless or probed.doubt else Level.OK,
        detail=probed.detail + key + (f"; {probed.doubt}" if probed.doubt else ""),
        hint=("Set FIREANT_API_KEY. " if keyless else "")
        + ("Look at FIREANT_API_URL, its path too; the key is not proven." if probed.doubt else ""),
    )
    if probed.ahead is not None:
        yield _clock("Fireant's clock", "Fireant's clock", probed.ahead)


def _probed(name: str, probe: Probe) -> Iterator[Finding]:
    probed = probe()
    yield Finding(
        name=name, level=Level.WARN if probed.doubt else Level.OK, detail=probed.detail, hint=probed.doubt
    )
