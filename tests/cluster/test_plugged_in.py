"""In a project that has Django-Q already, runs succeed whatever its queue is like, and the log is JSON in production."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_orchestrator.sandbox.fireant import FireantSandbox, SandboxOptions
from tests.demo.environment import Environment
from tests.support.clusters import await_that

pytestmark = pytest.mark.slow

PATIENCE = 60.0  # seconds


TASKS = "from tests.cluster.foreign_tasks import *"


def in_django(environment: Environment, code: str) -> str:
    return environment.manage("shell", "-v0", "-c", f"{TASKS}; {code}").strip()


def test_runs_overtake_a_full_queue_without_django_qs_scheduler(tmp_path: Path) -> None:
    with FireantSandbox(SandboxOptions(api_key="s3cr3t-key", seconds_queued=0, seconds_running=0.5)) as fireant:
        overrides = {
            "DJANGO_SETTINGS_MODULE": "tests.foreign_host.settings",
            "FIREANT_API_URL": fireant.url,
            "APP_ENV": "prod",
            "POLL_INTERVAL_SECONDS": "1",
            # Django-Q warns of its time-outs when it is imported, before any app can set up the log.
            "PYTHONWARNINGS": "ignore::UserWarning",
        }
        environment = Environment(folder=tmp_path, key="s3cr3t-key", overrides=overrides)
        environment.manage("migrate", "-v0")
        key = in_django(environment, "from tests.foreign_host.models import make_analysis; print(make_analysis())")
        done = tmp_path / "done"
        in_django(environment, f"fill_queue({str(done)!r})")
        environment.manage("run_report", key)
        _before, _command, output = (tmp_path / "commands.log").read_text().rpartition(f"run_report {key}\n")
        assert "queued" in output
        assert "Enqueued" not in output  # as Django-Q logs it, to standard error

        def statuses() -> list[str]:
            found: list[str] = json.loads(in_django(environment, "import json; print(json.dumps(statuses()))"))
            return found

        with environment.running("qcluster", "qcluster"):
            await_that(lambda: statuses() == ["succeeded"], "the run has succeeded", PATIENCE)
            health = environment.manage("orchestrator_health", "--format", "json")
            status = json.loads(environment.manage("orchestrator_status", "--format", "json"))
            done.touch()
        assert json.loads(health)["healthy"] is True
        assert status["workers_alive"] == 2
        assert len(fireant.jobs) == 1

    lines = (tmp_path / "qcluster.log").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    written = {record["message"] for record in records}
    assert {"printed by a task", "written by a task", "logged by a task", "ValueError: caught by a task"} <= written
    assert any("warned by a task" in message for message in written)
    assert any("failed in a task" in message for message in written)
    assert [record for record in records if record["logger"] == "django-q" and record["level"] == "INFO"] == []
