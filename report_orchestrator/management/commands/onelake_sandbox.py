"""`manage.py onelake_sandbox`: serve a local OneLake."""

import os
import shlex
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from report_orchestrator.management.sandbox_command import SandboxCommand, number_between
from report_orchestrator.sandbox.onelake import OneLakeOptions, OneLakeSandbox

LONGEST_TOKEN = 86_400  # seconds; Entra's own tokens last a day at most
TOKEN_SECONDS = number_between(1, LONGEST_TOKEN, f"a number of seconds from 1 to {LONGEST_TOKEN}", int)

EXAMPLE = """\
example, in two terminals:
  manage.py onelake_sandbox --folder var/onelake
  (set the variables that it prints) manage.py qcluster

It uses TLS with its own certificate authority, and an Entra with one application. Files are kept in memory and in
--folder, and are gone when the sandbox ends. It follows Microsoft's documentation; it was not compared with the real
OneLake.

Faults can be scripted while it runs (kinds: status_code, status_after_work, expired_token, damaged, short_flush, reset,
reset_after_work, stall, trickle, reset_mid_body, short_body; endpoints: discovery, token, create_folder, create, append,
flush, rename, delete, head, read, list):
  curl --cacert var/onelake/ca.pem https://127.0.0.1:8098/sandbox/faults \\
       -d '{"endpoint": "rename", "kind": "reset_after_work"}'
GET /sandbox/faults and /sandbox/requests show what happened; DELETE /sandbox/faults withdraws faults.
"""


class Command(SandboxCommand[OneLakeSandbox]):
    help = "Serves a local OneLake until it is interrupted, for demos and for development."
    service = "OneLake"
    example = EXAMPLE
    default_port = 8098

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("--folder", type=Path, metavar="PATH", help="for certificates and files (default: a temporary one)")
        add("--workspace", default="Sandbox", metavar="NAME", help="(default: Sandbox)")
        add("--lakehouse", default="Results.Lakehouse", metavar="NAME", help="(default: Results.Lakehouse)")
        add("--by-guid", action="store_true", help="print the GUIDs of workspace and lakehouse, not the names")
        lifetime = "lifetime of a token (default: 3600)"
        add("--token-seconds", type=TOKEN_SECONDS, default=3600, metavar="S", help=lifetime)

    def create(self, options: dict[str, Any], **server: Any) -> OneLakeSandbox:
        names = {"tenant_id": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID", "client_secret": "AZURE_CLIENT_SECRET"}
        # The environment's, so that a cluster configured for one sandbox works with the next.
        credentials = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
        sandbox_options = OneLakeOptions(
            workspace=options["workspace"],
            lakehouse=options["lakehouse"],
            token_seconds=options["token_seconds"],
            **credentials,
        )
        return OneLakeSandbox(sandbox_options, folder=options["folder"], **server)

    def welcome(self, sandbox: OneLakeSandbox, options: dict[str, Any]) -> str:
        overrides = sandbox.settings_overrides(by_guid=options["by_guid"])
        lines = [f"export {name}={shlex.quote(value)}" for name, value in overrides.items()]
        return "\n".join(["The OneLake sandbox is running. Set these variables; stop it with Ctrl+C:", *lines])
