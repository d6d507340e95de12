"""What all our commands share: two formats, three exit statuses, and nothing between a reader and the answer.

Exit status 0: all went well; 1: something failed; 2: the command was used wrongly.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from report_orchestrator import log_events
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.wiring import get_ports

PADDED = 32
"""The widest column, in characters, that is lined up where no terminal limits a line; a longer cell just goes on."""


class Teaching(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples of a help text as they were written."""


class OrchestratorCommand(BaseCommand):
    """A command with `--format text|json`. Subclasses implement `run`, and may set `examples`."""

    examples = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, with the examples below the options."""
        parser = super().create_parser(prog_name, subcommand, epilog=self.examples, **kwargs)
        parser.formatter_class = Teaching
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds what all of them have."""
        parser.add_argument(
            "--format",
            choices=("text", "json"),
            default="text",
            help="text for people (default), json for programs; only the answer goes to standard output",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the command; what goes wrong becomes a sentence and an exit status."""
        if options["format"] == "text" and options["verbosity"] < 2:
            _quieten_console()
        try:
            failed = self.begin(options)
        except OrchestratorError as error:
            raise CommandError(log_events.masked(error.message), returncode=1) from error
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(unusable_database(error), returncode=1) from error
        except KeyboardInterrupt:
            here = "The runs stay where they are; a qcluster goes on with them, or run_due_reports --now."
            self.stderr.write(here if options.get("now") else "Stopped watching. What was queued goes on.")
            raise SystemExit(1) from None
        if failed:
            raise SystemExit(1)

    def begin(self, options: Mapping[str, Any]) -> bool:
        """Runs over the project's settings, which must be well; a command that examines them begins otherwise."""
        return self.run(get_ports(), get_settings(), options)

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Does the work; returns whether something failed."""
        raise NotImplementedError

    def used_wrongly(self, message: str) -> NoReturn:
        """Ends with status 2 and says what to write instead."""
        raise CommandError(message, returncode=2)

    def answer(self, value: object) -> None:
        """Writes JSON to standard output."""
        self.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Writes a table to standard output, drawn for a terminal and else a line for each row; nothing where there is none."""
        shown = [[_shown(cell) for cell in row] for row in rows]
        if not shown:
            return
        if self.stdout.isatty():
            self._draw(title, columns, shown)
            return
        for line in [title] * bool(title) + _lines([list(columns), *shown]):
            self.stdout.write(line)

    def _draw(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        drawn = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in rows:
            drawn.add_row(*row)
        console = Console(file=self.stdout, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
        console.print(drawn, markup=False)

    def progress_console(self) -> Console:
        """A console on standard error, for what is watched and not kept."""
        return Console(file=self.stderr, highlight=False)  # type: ignore[arg-type]  # it writes like a file


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, cells whole, columns as wide as most of them need. The bar is ASCII, as a pipe's encoding may be."""
    flat = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [min(max(map(len, column)), PADDED) for column in zip(*flat, strict=True)]
    return [
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in flat
    ]


def _quieten_console() -> None:
    """A person reads the answer, not the log beside it; `--verbosity 2` shows both."""
    log_events.silence_own_handler(logging.ERROR)


def _plain(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        case _:
            return str(value)


def in_host_time(instant: datetime) -> str:
    """An instant as people read it everywhere: by the clock of the project's `TIME_ZONE`, which it names."""
    return f"{instant.astimezone(timezone.get_default_timezone()):%Y-%m-%d %H:%M:%S %Z}"


def _shown(cell: object) -> str:
    match cell:
        case None | "":
            return "-"
        case datetime():
            return in_host_time(cell)
        case _:
            return str(cell)


def unusable_database(error: Exception) -> str:
    """A sentence instead of a traceback, for a database that is away or not migrated."""
    return f"The database cannot be used: {log_events.masked(str(error))}. Is it running, and has 'manage.py migrate' been run?"


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def run_as_json(run: ReportRun, ports: Ports) -> dict[str, object]:
    """A run as programs get it."""
    return {
        "run_id": run.pk,
        "report_id": ports.reports.public_id(run.report_key),
        "scheduled_for": run.scheduled_for,
        "status": run.status,
        "step": run.step,
        "fireant_job_id": run.fireant_job_id or None,
        "results_path": run.results_path or None,
        "error": run.error or None,
    }


def refused_as_json(report_key: str, error: str, ports: Ports) -> dict[str, object]:
    """A report for which no run could be opened, in the same shape."""
    return {
        "run_id": None,
        "report_id": ports.reports.public_id(report_key),
        "scheduled_for": None,
        "status": "refused",
        "step": None,
        "fireant_job_id": None,
        "results_path": None,
        "error": error,
    }


def parse_date(text: str) -> date:
    """A date as YYYY-MM-DD, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a date such as 2026-07-01") from None
