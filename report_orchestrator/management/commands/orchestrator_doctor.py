"""`manage.py orchestrator_doctor`: is everything there that a report needs on its way?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rich.status import Status

from report_orchestrator.conf import get_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.log_events import masked
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.services.doctor import Began, Finding, Level, examine, examine_project, not_looked_at
from report_orchestrator.wiring import get_ports, get_probes

SIGNS = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗"}
WORDS = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "FAIL"}


class Command(OrchestratorCommand):
    """Before the first run, after a move, and when nothing works."""

    help = (
        "Looks at everything that a report needs on its way: settings, models, databases, reports, the broker, the cluster, "
        "Fireant and its key, the store and its token, and the clocks. Submits no job, and removes the small file that it writes."
    )
    examples = """examples:
  manage.py orchestrator_doctor
  manage.py orchestrator_doctor --format json

exit status: 0 nothing failed, 1 something failed, 2 used wrongly"""

    # They are among what is looked at, and must not keep the rest from being looked at.
    requires_system_checks = ()

    def begin(self, options: Mapping[str, Any]) -> bool:
        """Examines and tells."""
        shown = options["format"] == "text"
        with self.progress_console().status("looking", spinner="line") as status:
            findings = [_masked(each) for each in _findings(_progress(status) if shown else _nothing)]
        failed = any(finding.level is Level.FAIL for finding in findings)
        if shown:
            self._tell(findings)
        else:
            self.answer({"well": not failed, "findings": findings})
        return failed

    def _tell(self, findings: list[Finding]) -> None:
        rows = [(self._sign(one.level), one.name, one.detail, one.hint) for one in findings]
        self.table("", ("", "what", "how it stands", "what to do"), rows)
        counts = Counter(one.level for one in findings)
        self.stdout.write(
            f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} failed."
        )

    def _sign(self, level: Level) -> str:
        """A sign and a word; the word alone where the output's encoding has no such sign."""
        sign = SIGNS[level]
        try:
            sign.encode(getattr(self.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return WORDS[level]
        return f"{sign} {WORDS[level]}"


def _findings(began: Began) -> Iterator[Finding]:
    yield from examine_project(began=began)
    try:
        settings = get_settings()
        ports, probes = get_ports(), get_probes()
    except OrchestratorError as error:
        yield not_looked_at("the settings cannot be used", error.message)
        return
    yield from examine(ports=ports, settings=settings, probes=probes, began=began)


def _masked(finding: Finding) -> Finding:
    return replace(finding, detail=masked(finding.detail), hint=masked(finding.hint))


def _progress(status: Status) -> Began:
    return lambda name: status.update(f"looking at: {name}")


def _nothing(_name: str) -> None:
    """Programs watch no progress."""
