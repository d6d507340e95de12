"""A host that has little in common with the first runs a report by settings alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from tests.demo.environment import Environment

pytestmark = pytest.mark.slow


def test_a_foreign_host_runs_a_report_end_to_end_with_settings_alone(tmp_path: Path) -> None:
    with FireantSandbox(SandboxOptions(api_key="sandbox-key")) as fireant:
        environment = Environment(
            folder=tmp_path,
            key="sandbox-key",
            overrides={"DJANGO_SETTINGS_MODULE": "tests.foreign_host.settings", "FIREANT_API_URL": fireant.url},
        )
        environment.manage("check", "--fail-level", "WARNING")
        environment.manage("migrate", "-v0")
        make = "from tests.foreign_host.models import make_analysis; print(make_analysis())"
        key = environment.manage("shell", "-v0", "-c", make).strip()

        found = json.loads(environment.manage("discover_reports", "--format", "json"))
        assert (found["examined"], found["states"]) == (1, {"active": 1})

        [run] = json.loads(environment.manage("run_report", key, "--now", "--format", "json", "--date", "2026-07-01"))
        assert (run["report_id"], run["status"], run["step"]) == (key, "succeeded", "results_storage")
        stored = Path(run["results_path"])
        assert stored.parent == tmp_path / "lake" / "report_results" / key / "2026-07-01"
        assert "results" in json.loads(stored.read_text())

        [job] = fireant.jobs
        assert job.kind == "ring"
        payload = job.payload
        assert payload["title"] == "Surge"
        assert payload["threshold"] == 1.5
        assert (payload["as_at_date"], payload["fx_date"]) == ("2026-07-01", "2026-07-01")
        meta = payload["meta"]
        assert isinstance(meta, dict)
        assert (meta["report_id"], meta["modifier_id"]) == (key, None)
        rings = payload["rings"]
        assert isinstance(rings, list)
        assert {(ring["name"], ring["latitude"], ring["radius"]) for ring in rings if isinstance(ring, dict)} == {
            ("Thames", 51.5, 5.0),
            ("Humber", 51.5, 5.0),
        }


def test_the_time_zone_of_a_related_row_decides(tmp_path: Path) -> None:
    environment = Environment(folder=tmp_path, overrides={"DJANGO_SETTINGS_MODULE": "tests.foreign_host.settings"})
    environment.manage("migrate", "-v0")
    environment.manage("shell", "-v0", "-c", "from tests.foreign_host.models import make_analysis; make_analysis()")
    status = json.loads(environment.manage("orchestrator_status", "--format", "json"))
    [due] = status["next_due"]
    assert due["at"][11:16] in {"02:30", "01:30"}  # half past two in London, in winter or in summer


@pytest.mark.parametrize("kept", ["", "contenttypes,auth,staticfiles"])
def test_a_host_without_djangos_optional_apps_can_use_every_command(tmp_path: Path, kept: str) -> None:
    overrides = {"DJANGO_SETTINGS_MODULE": "tests.foreign_host.bare_settings", "KEPT_APPS": kept}
    environment = Environment(folder=tmp_path, overrides=overrides)
    environment.manage("check", "--fail-level", "WARNING")
    environment.manage("makemigrations", "--check", "--dry-run")
    environment.manage("migrate", "-v0")
    make = "from tests.foreign_host.models import make_analysis; print(make_analysis())"
    key = environment.manage("shell", "-v0", "-c", make).strip()
    assert json.loads(environment.manage("discover_reports", "--format", "json"))["states"] == {"active": 1}
    for command in (
        ("orchestrator_status",),
        ("sync_schedules",),
        ("run_due_reports",),
        ("explain_cron", "0 6 * * *"),
        ("run_report", key),
        ("pause_reports", key, "--reason", "tests"),
        ("resume_reports", key, "--reason", "tests"),
        ("backfill_reports", key, "--from", "2026-07-01", "--to", "2026-07-01", "--dry-run"),
        ("cancel_run", "1", "--reason", "tests"),
    ):
        json.loads(environment.manage(*command, "--format", "json"))
    environment.manage("qcluster", "--run-once")
    for command in (("orchestrator_health",), ("orchestrator_doctor",)):  # no cluster, no Fireant
        json.loads(environment.manage(*command, "--format", "json", statuses=[1]))
