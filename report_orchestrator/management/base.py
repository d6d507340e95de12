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
from rich.console import Console
from rich.table import Table

from report_orchestrator import log_events
from report_orchestrator.conf import Settings, get_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.models import ReportRun
from report_orchestrator.ports import Ports
from report_orchestrator.wiring import get_ports

PIPE_WIDTH = 1000
"""Columns for a table that no terminal limits: wide enough that no path is broken in two."""


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
        """Writes a table to standard output; nothing where there are no rows."""
        drawn = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
        for column in columns:
            drawn.add_column(column, overflow="fold")
        for row in rows:
            drawn.add_row(*(_shown(cell) for cell in row))
        if drawn.row_count:
            self.console().print(drawn, markup=False)

    def console(self) -> Console:
        """A console on the command's own output, as wide as what reads it."""
        width = None if self.stdout.isatty() else PIPE_WIDTH
        return Console(file=self.stdout, width=width, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]

    def progress_console(self) -> Console:
        """A console on standard error, for what is watched and not kept."""
        return Console(file=self.stderr, highlight=False)  # type: ignore[arg-type]  # it writes like a file


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


def _shown(cell: object) -> str:
    match cell:
        case None | "":
            return "-"
        case datetime():
            return cell.strftime("%Y-%m-%d %H:%M:%S %Z")
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
