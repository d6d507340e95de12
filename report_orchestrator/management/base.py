"""The base of all commands: text and JSON output, and exit statuses.

Exit status 0: success; 1: something failed; 2: wrong usage. Only the result goes to standard output.
"""

import argparse
import contextlib
import dataclasses
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import InternalError, OperationalError, ProgrammingError
from django.utils import timezone
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from report_orchestrator import log_events
from report_orchestrator.conf import current_secrets
from report_orchestrator.domain.printable import printable, quoted
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.masking import masked
from report_orchestrator.models import ReportRun
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.monitoring.snapshot import read_snapshot
from report_orchestrator.wiring import get_runtime

IDS_SHOWN = 20


class PrintableOutput(OutputWrapper):
    """Escapes control and format characters, so that a report's name cannot steer the terminal or forge a line."""

    def __init__(self, output: OutputWrapper) -> None:
        super().__init__(output)  # type: ignore[arg-type]  # it writes like a file
        self.unescaped = output

    def write(  # type: ignore[override]  # as Django's own
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        self.unescaped.write(printable(msg, keep="\n\t"), style_func, ending)


class OrchestratorCommand(BaseCommand):
    """A command with `--format text|json`. Subclasses implement `run`, and may set `examples` and further `formats`."""

    examples = ""
    formats: ClassVar[Sequence[str]] = ("text", "json")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, epilog=self.examples, **kwargs)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter  # keeps the lines of the examples
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=self.formats,
            default="text",
            help="text for people (default), the others for programs; only the result goes to standard output",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout, self.stderr = PrintableOutput(self.stdout), PrintableOutput(self.stderr)
        log_events.silence_queue(logging.ERROR)
        if options["format"] == "text" and options["verbosity"] < 2:
            log_events.silence_own_handler(logging.ERROR)
        try:
            with errors_as_messages():
                failed = self.run_in_project(options)
            self.stdout.flush()
        except BrokenPipeError:  # the reader, such as `head`, has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            self.stderr.write(
                "Stopped. The runs keep their progress: a qcluster continues them, or run_due_reports --now."
                if options.get("now")
                else " ".join(["Stopped watching.", *self.after_stop()])
            )
            raise SystemExit(1) from None
        if failed:
            raise SystemExit(1)

    def run_in_project(self, options: Mapping[str, Any]) -> bool:
        """Call `run` with the project's ports and settings. Override it in a command that checks them itself."""
        return self.run(get_runtime(), options)

    def run(self, runtime: Runtime, options: Mapping[str, Any]) -> bool:
        """Return True if something failed."""
        raise NotImplementedError

    def after_stop(self) -> list[str]:
        """Return sentences for a person who stopped the command: what goes on, and how to end that."""
        return []

    def add_reason(self, parser: CommandParser, *, required: bool = True) -> None:
        """Add the option for a reason, which is recorded: required where the admin's confirmation demands one."""
        text = parse_reason if required else str.strip
        parser.add_argument(
            "--reason", type=text, required=required, default="", metavar="TEXT", help="recorded with your name"
        )

    def usage_error(self, message: str) -> NoReturn:
        raise CommandError(message, returncode=2)

    def write_json(self, value: object) -> None:
        self.stdout.write(json.dumps(value, default=_to_json, ensure_ascii=False, indent=2))

    def write_table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table, drawn on a terminal and one line a row elsewhere; nothing if there are no rows."""
        cells = [[printable(_to_text(cell), keep="\n") for cell in row] for row in rows]
        if not cells:
            return
        if self.stdout.isatty():
            self._draw(columns, cells)
            return
        for line in _lines([list(columns), *cells]):
            self.stdout.write(line)

    def _draw(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(show_edge=False, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console = Console(file=self.stdout.unescaped, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
        console.print(table, markup=False)

    def write_missing(self, run_ids: Iterable[int], runs: Iterable[ReportRun]) -> bool:
        """Return True, and name the runs, if some of them no longer exist: a person or pruning deleted them."""
        missing = sorted(set(run_ids) - {run.pk for run in runs})
        if missing:
            numbers = ", ".join(map(str, missing))
            self.stderr.write(f"Deleted before it ended, so its result is unknown: run {numbers}.")
        return bool(missing)

    def progress_console(self) -> Console:
        return Console(file=self.stderr.unescaped, highlight=False)  # type: ignore[arg-type]  # it writes like a file


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Join rows to aligned lines, by the cells that a terminal needs. The separator is ASCII, as a pipe's encoding may be."""
    flat = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*flat, strict=True)]
    return [
        " | ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in flat
    ]


def _to_json(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        case _:
            return str(value)


def format_local(instant: datetime) -> str:
    """Format an instant in the project's `TIME_ZONE`, with the zone's name."""
    return f"{instant.astimezone(timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"


def _to_text(cell: object) -> str:
    match cell:
        case None | "":
            return "-"
        case datetime():
            return format_local(cell)
        case _:
            return str(cell)


@contextlib.contextmanager
def errors_as_messages() -> Iterator[None]:
    """Turn our errors, and a database that is down or not migrated, into a message and exit status 1."""
    try:
        yield
    except OrchestratorError as error:
        raise CommandError(masked(error.message, current_secrets()), returncode=1) from error
    except (InternalError, OperationalError, ProgrammingError) as error:
        cause = masked(str(error), current_secrets()).strip().partition("\n")[0]
        raise CommandError(
            f"The database cannot be used: {cause}. If tables are missing, run 'manage.py migrate'; otherwise start it.",
            returncode=1,
        ) from error


def has_active_worker(runtime: Runtime) -> bool:
    snapshot = read_snapshot(runtime.clock(), runtime.configured, report_model=runtime.reports.label)
    return snapshot.workers.is_active(snapshot.now)


def ids_in_words(ids: Sequence[object]) -> str:
    """Return ids for a command that the person may copy; the first ones, if there are many."""
    return " ".join(map(str, ids[:IDS_SHOWN])) + (" …" if len(ids) > IDS_SHOWN else "")


def pluralize(number: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def run_as_json(run: ReportRun, runtime: Runtime) -> dict[str, object]:
    return {
        "run_id": run.pk,
        "report_id": runtime.reports.public_id(run.report_key),
        "scheduled_for": run.scheduled_for,
        "status": run.status,
        "step": run.step,
        "fireant_job_id": run.fireant_job_id or None,
        "results_path": run.results_path or None,
        "error": run.error or None,
    }


def refused_as_json(report_key: str, error: str, runtime: Runtime) -> dict[str, object]:
    """Return the keys of `run_as_json` for a report that got no run."""
    return run_as_json(ReportRun(report_key=report_key, status="refused", error=error), runtime) | dict.fromkeys(
        ("run_id", "scheduled_for", "step")
    )


_DAYS = re.compile(r"[0-9]{1,4}+(?:\.[0-9]{1,9}+)?+")


def parse_days(text: str) -> float:
    days = float(text) if _DAYS.fullmatch(text) else 0
    if not 0 < days <= 366:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number of days between 0 and 366")
    return days


_SPAN = re.compile(r"([0-9]{1,4}+)([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str) -> datetime | timedelta:
    """Parse a span until now, such as `7d`, a date or a date and time."""
    if span := _SPAN.fullmatch(text):
        return timedelta(**{_UNITS[span[2]]: int(span[1])})
    with contextlib.suppress(ValueError):
        day = date.fromisoformat(text)
        return datetime.combine(day, time(), timezone.get_default_timezone())
    try:
        return parse_instant(text)
    except argparse.ArgumentTypeError:
        message = f"{quoted(text)} is neither a span such as 30m, 12h, 7d or 2w nor a date such as 2026-07-01"
        raise argparse.ArgumentTypeError(message) from None


def parse_count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:10]) <= 10**9:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number from 1 on")
    return int(text)


def parse_reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it must not be empty")
    return text.strip()


def parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a date such as 2026-07-01") from None


def parse_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or not text.partition(":")[1]:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a date and time such as '2026-07-01 14:30'")
    return instant if timezone.is_aware(instant) else instant.replace(tzinfo=timezone.get_default_timezone())
