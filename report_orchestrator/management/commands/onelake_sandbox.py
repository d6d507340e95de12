"""Serves a local OneLake, so that results can be stored without a tenant of Microsoft's."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from report_orchestrator.management.sandbox_command import WRONG_USAGE, SandboxCommand, number_between
from report_orchestrator.sandbox.onelake import OneLakeOptions, OneLakeSandbox

# Seconds. Entra's own tokens are good for a day at most.
LONGEST_TOKEN = 86_400

EXAMPLE = """\
example, in two terminals:
  manage.py onelake_sandbox --folder var/onelake
  (set the variables that it prints) manage.py qcluster

It speaks TLS with a certificate authority of its own, and has an Entra with one application. Files lie in memory and in
--folder: when the sandbox ends, they are gone. It follows Microsoft's documentation, and was never compared with the
real OneLake.

Faults can be scripted while it runs (kinds: status_code, status_after_work, expired_token, damaged, short_flush, reset,
reset_after_work, stall, trickle, reset_mid_body, short_body; endpoints: discovery, token, create_folder, create, append,
flush, rename, delete, head, read, list):
  curl --cacert var/onelake/ca.pem https://127.0.0.1:8098/sandbox/faults \\
       -d '{"endpoint": "rename", "kind": "reset_after_work"}'
GET /sandbox/faults and /sandbox/requests say what happened.
"""


class Command(SandboxCommand):
    help = "Serves a local OneLake until it is interrupted: for a demo, or to develop a host project against."
    service = "OneLake"
    example = EXAMPLE
    default_port = 8098

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--folder",
            type=Path,
            metavar="PATH",
            help="for its certificates and files (default: a temporary one)",
        )
        parser.add_argument("--workspace", default="Sandbox", metavar="NAME", help="(default: Sandbox)")
        parser.add_argument(
            "--lakehouse", default="Results.Lakehouse", metavar="NAME", help="(default: Results.Lakehouse)"
        )
        parser.add_argument(
            "--by-guid", action="store_true", help="print the GUIDs of workspace and lakehouse, not the names"
        )
        parser.add_argument(
            "--token-seconds",
            type=_token_seconds,
            default=3600,
            metavar="S",
            help="how long a token is good (default: 3600)",
        )

    def sandbox(self, options: dict[str, Any]) -> OneLakeSandbox:
        self._by_guid = options["by_guid"]
        self._sandbox = OneLakeSandbox(
            _sandbox_options(options),
            options["host"],
            options["port"],
            folder=options["folder"],
            on_request=None if options["quiet"] else self.say,
            allow_remote=options["allow_remote"],
        )
        return self._sandbox

    def welcome(self) -> str:
        overrides = self._sandbox.settings_overrides(by_guid=self._by_guid)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in overrides.items()]
        return "\n".join(["The OneLake sandbox is up. Set these and end it with Ctrl+C:", *lines])


def _sandbox_options(options: dict[str, Any]) -> OneLakeOptions:
    # The environment's, so that a cluster that was set up for one sandbox goes on with the next.
    known = {
        name: os.environ[variable]
        for name, variable in {
            "tenant_id": "AZURE_TENANT_ID",
            "client_id": "AZURE_CLIENT_ID",
            "client_secret": "AZURE_CLIENT_SECRET",
        }.items()
        if os.environ.get(variable)
    }
    try:
        return OneLakeOptions(
            workspace=options["workspace"],
            lakehouse=options["lakehouse"],
            token_seconds=options["token_seconds"],
            **known,
        )
    except ValueError as error:
        raise CommandError(str(error), returncode=WRONG_USAGE) from error


def _token_seconds(text: str) -> int:
    return int(number_between(text, 1, LONGEST_TOKEN, f"a number of seconds from 1 to {LONGEST_TOKEN}", int))
