"""`manage.py fireant_sandbox`: serve a local Fireant."""

import os
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.sandbox_command import SandboxCommand, number_between
from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions

SECONDS = number_between(0, threading.TIMEOUT_MAX, "a number of seconds, 0 or more")
SHARE = number_between(0, 1, "a share from 0 to 1")
EXAMPLE = """\
example, in two terminals:
  manage.py fireant_sandbox --seconds-running 10 --fail "Windstorm accumulation"
  FIREANT_API_URL=http://127.0.0.1:8099 manage.py qcluster

Every job waits, runs and ends by the clock; jobs of the reports named with --fail end Failed. If FIREANT_API_KEY
is set, every request needs it. Jobs are kept in memory and are gone when the sandbox ends.

Faults can be scripted while it runs (kinds: status_code, not_found, reset, reset_after_work, stall, trickle,
reset_mid_body, short_body, malformed_json, no_job_id, unknown_status; endpoints: submit, status, results):
  curl -H "Authorization: Bearer $FIREANT_API_KEY" http://127.0.0.1:8099/sandbox/faults \\
       -d '{"endpoint": "status", "kind": "status_code", "status": 503, "retry_after": "2", "times": 3}'
GET /sandbox/faults, /sandbox/jobs and /sandbox/requests show what happened; DELETE /sandbox/jobs
removes jobs, DELETE /sandbox/faults withdraws faults.
"""


class Command(SandboxCommand[FireantSandbox]):
    help = "Serves a local Fireant until it is interrupted, for demos and for development."
    service = "Fireant"
    example = EXAMPLE
    default_port = 8099

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        # No option takes the key itself: all users of the machine see the arguments of a process.
        add(
            "--key-file",
            type=Path,
            metavar="PATH",
            help="file with the bearer key to require (default: FIREANT_API_KEY)",
        )
        add("--seconds-queued", type=SECONDS, default=1.0, metavar="S", help="time in the queue (default: 1)")
        add("--seconds-running", type=SECONDS, default=3.0, metavar="S", help="running time (default: 3)")
        add("--failure-rate", type=SHARE, default=0.0, metavar="SHARE", help="share of failing jobs, 0 to 1")
        add("--seed", type=int, default=0, metavar="N", help="which jobs that share includes")
        names: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "NAME"}
        add("--fail", help="reports whose jobs fail", **names)
        add("--never-finish", help="reports whose jobs never end", **names)
        add("--text-ids", action="store_true", help="return job ids as text, not as integers")
        add("--bare-status", action="store_true", help='return {"status": …} without "data"')
        add("--result-bytes", type=int, metavar="N", help="stream results of N bytes (default: small ones)")

    def create(self, options: dict[str, Any], **server: Any) -> FireantSandbox:
        sandbox_options = SandboxOptions(
            api_key=_key_in(options["key_file"]) or os.environ.get("FIREANT_API_KEY"),
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
        return FireantSandbox(sandbox_options, **server)

    def welcome(self, sandbox: FireantSandbox, options: dict[str, Any]) -> str:
        return f"The Fireant sandbox is running; stop it with Ctrl+C. Set FIREANT_API_URL={sandbox.url}"


def _key_in(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        key = file.read_text().strip()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
        raise ValueError(f"--key-file {file} cannot be read: {reason}") from None
    if not key:
        raise ValueError(f"--key-file {file} is empty. Write the key into it.")
    return key
