"""The doctor's results, and changes of the settings that it examines."""

from __future__ import annotations

from pytest_django import Settings as DjangoSettings

from report_orchestrator.conf import SETTING
from tests.support.commands import manage

KEY = "k3y-of-the-doctor"
NAMES = [
    "settings",
    "models and fields",
    "queue's settings",
    "libraries",
    "database default",
    "database reports",
    "database's clock",
    "reports",
    "broker",
    "queue's schedules",
    "queue's permissions",
    "cluster: worker",
    "cluster: runs",
    "cluster: leases",
    "cluster: schedules",
    "cluster: upkeep",
    "cluster: workers",
    "Fireant",
    "Fireant's clock",
    "result store",
]


def change(settings: DjangoSettings, **given: object) -> None:
    setattr(settings, SETTING, {**getattr(settings, SETTING), **given})


def examined() -> dict[str, dict[str, str]]:
    """Return the doctor's results by name, with its exit status."""
    result = manage("orchestrator_doctor", "--format", "json")
    findings = {finding["name"]: finding for finding in result.json["findings"]}
    failed = any(finding["level"] == "fail" for finding in findings.values())
    assert (result.status, result.json["well"]) == (int(failed), not failed)
    assert KEY not in result.out + result.err
    return findings


def levels(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: finding["level"] for name, finding in findings.items() if finding["level"] != "ok"}
