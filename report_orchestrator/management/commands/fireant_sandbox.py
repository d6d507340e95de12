"""Serves a local Fireant, so that a host's reports can be run without the real one."""

from __future__ import annotations

import os
import threading
from typing import Any

from django.core.management.base import CommandError, CommandParser

from report_orchestrator.management.sandbox_command import WRONG_USAGE, SandboxCommand, number_between
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions

EXAMPLE = """\
example, in two terminals:
  manage.py fireant_sandbox --seconds-running 10 --fail "Windstorm accumulation"
  FIREANT_API_URL=http://127.0.0.1:8099 manage.py qcluster

Every job waits, runs and ends by the clock; jobs of the reports named with --fail end Failed. The key of
FIREANT_API_KEY, where it is set, must come with every request. Jobs live in memory: when the sandbox ends,
they are gone.

Faults can be scripted while it runs (kinds: status_code, not_found, reset, reset_after_work, stall, trickle,
reset_mid_body, short_body, malformed_json, no_job_id, unknown_status; endpoints: submit, status, results):
  curl -H "Authorization: Bearer $FIREANT_API_KEY" http://127.0.0.1:8099/sandbox/faults \\
       -d '{"endpoint": "status", "kind": "status_code", "status": 503, "retry_after": "2", "times": 3}'
GET /sandbox/faults, /sandbox/jobs and /sandbox/requests say what happened; DELETE /sandbox/jobs forgets jobs.
"""


class Command(SandboxCommand):
    help = "Serves a local Fireant until it is interrupted: for a demo, or to develop a host project against."
    service = "Fireant"
    example = EXAMPLE
    default_port = 8099

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--api-key", metavar="KEY", help="bearer key to ask for (default: FIREANT_API_KEY)"
        )
        _add_job_arguments(parser)
        _add_answer_arguments(parser)

    def sandbox(self, options: dict[str, Any]) -> FireantSandbox:
        self._sandbox = FireantSandbox(
            _sandbox_options(options),
            options["host"],
            options["port"],
            on_request=None if options["quiet"] else self.say,
            allow_remote=options["allow_remote"],
        )
        return self._sandbox

    def welcome(self) -> str:
        return f"The Fireant sandbox is up. Set FIREANT_API_URL={self._sandbox.url} and end it with Ctrl+C."


def _add_job_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--seconds-queued", type=_seconds, default=1.0, metavar="S", help="how long a job waits (default: 1)"
    )
    parser.add_argument(
        "--seconds-running", type=_seconds, default=3.0, metavar="S", help="how long a job runs (default: 3)"
    )
    parser.add_argument(
        "--failure-rate", type=_share, default=0.0, metavar="SHARE", help="share of jobs that fail, 0 to 1"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which jobs that share falls on")
    parser.add_argument(
        "--fail", nargs="+", action="extend", default=[], metavar="NAME", help="reports that fail"
    )
    parser.add_argument(
        "--never-finish",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="reports that run for ever",
    )


def _add_answer_arguments(parser: CommandParser) -> None:
    parser.add_argument("--text-ids", action="store_true", help="answer job ids as text, not as integers")
    parser.add_argument("--bare-status", action="store_true", help='answer {"status": …} without "data"')
    parser.add_argument(
        "--result-bytes",
        type=int,
        metavar="N",
        help="stream results of exactly N bytes (default: small ones)",
    )


def _sandbox_options(options: dict[str, Any]) -> SandboxOptions:
    try:
        return SandboxOptions(
            api_key=options["api_key"] or os.environ.get("FIREANT_API_KEY"),
            seconds_queued=options["seconds_queued"],
            seconds_running=options["seconds_running"],
            failure_rate=options["failure_rate"],
            seed=options["seed"],
            integer_ids=not options["text_ids"],
            wrap_data=not options["bare_status"],
            result_bytes=options["result_bytes"],
            fail_names=tuple(options["fail"]),
            never_finish_names=tuple(options["never_finish"]),
        )
    except ValueError as error:
        raise CommandError(str(error), returncode=WRONG_USAGE) from error


def _seconds(text: str) -> float:
    return number_between(text, 0, threading.TIMEOUT_MAX, "a number of seconds, 0 or more", float)


def _share(text: str) -> float:
    return number_between(text, 0, 1, "a share from 0 to 1", float)
