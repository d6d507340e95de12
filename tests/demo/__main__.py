"""`make demo` and `make serve`: the product on embedded defaults, from an empty folder to stored results.

The example host project, its two SQLite databases, a local Fireant, a folder as lake, a real qcluster.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.demo.environment import ROOT, Environment, await_answer

console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def main() -> int:
    """Run the demo or the server; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("what", choices=("run", "serve"))
    parser.add_argument("--port", type=int, default=8000, help="where the admin listens (serve only)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that everything started is stopped too
    return run() if options.what == "run" else serve(options.port)


def prepare(environment: Environment) -> None:
    """Prepare two migrated databases with forty reports."""
    environment.empty()
    say("migrating both databases")
    environment.manage("migrate", "-v0")
    environment.manage("migrate", "-v0", "--database", "reports")
    say("seeding forty reports, the broken ones too")
    environment.manage("seed_reports")


def run() -> int:
    """Run the main job once, end to end."""
    began = time.monotonic()
    environment = Environment(folder=ROOT / "var" / "demo")
    prepare(environment)
    with ExitStack() as stack:
        say("starting a local Fireant and a qcluster")
        stack.enter_context(environment.fireant("--seconds-queued", "1", "--seconds-running", "3"))
        stack.enter_context(environment.running("qcluster", "qcluster"))
        django_here(environment)
        from tests.demo.show import show_reports

        well = show_reports(console, ROOT)
    say(f"everything is stopped; {time.monotonic() - began:.0f} s in all")
    console.print(f"Results:  {shown(environment.folder / 'lake')}")
    console.print(f"Logs:     {shown(environment.folder)}/*.log")
    console.print("Next:     make serve    the same, with the admin to look around in")
    return 0 if well else 1


def serve(port: int) -> int:
    """Keep the demo running, with the admin, until it is interrupted."""
    environment = Environment(folder=ROOT / "var" / "serve")
    prepare(environment)
    with ExitStack() as stack:
        say("starting a local Fireant, a qcluster and the admin")
        stack.enter_context(environment.fireant("--seconds-queued", "2", "--seconds-running", "20"))
        stack.enter_context(environment.running("qcluster", "qcluster"))
        django_here(environment)
        from tests.demo.show import make_superuser, start_some

        password = make_superuser()
        start_some()
        admin = stack.enter_context(environment.running("admin", "runserver", "--noreload", f"127.0.0.1:{port}"))
        address = f"http://127.0.0.1:{port}/admin/"
        await_answer(address, admin)
        console.print(f"\nAdmin:    {address}   user admin, password {password}")
        console.print(f"Logs:     {shown(environment.folder)}/*.log")
        console.print("Stop:     Ctrl-C")
        try:
            admin.wait()
        except KeyboardInterrupt:
            say("stopping")
    return 0


def django_here(environment: Environment) -> None:
    """Set up Django in this process, with the demo's environment."""
    import django

    os.environ.update(environment.variables)
    django.setup()


def say(what: str) -> None:
    """Print a line of progress."""
    console.print(f"[bold]{time.strftime('%H:%M:%S')}[/bold]  {what}")


def shown(path: Path) -> str:
    """Return a path relative to the project's folder."""
    return str(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
