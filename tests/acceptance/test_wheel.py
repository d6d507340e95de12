"""The wheel, built and installed where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.demo.place import ROOT

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_a_host_needs_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {
        name.removeprefix("report_orchestrator/") for name in names if name.startswith("report_orchestrator/")
    }
    on_disk = {
        str(file.relative_to(ROOT / "report_orchestrator"))
        for file in (ROOT / "report_orchestrator").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert package == on_disk
    assert {"py.typed", "migrations/0001_initial.py"} <= package
    assert any(name.startswith("templates/") for name in package)
    assert any(name.startswith("static/") for name in package)
    assert all(name.startswith(("report_orchestrator/", "report_orchestrator-")) for name in names)


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        str(ROOT / "constraints.txt"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / "settings.py").write_text(
        "SECRET_KEY = 'x'\n"
        "INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', 'report_orchestrator', 'django_q']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}\n"
        "Q_CLUSTER = {'name': 'x', 'orm': 'default', 'timeout': 120, 'retry': 600}\n"
        "REPORT_ORCHESTRATOR = {'REPORT_MODEL': 'auth.User', 'REPORT_FIELDS': "
        "{'name': 'username', 'cron': 'last_name', 'event_group': 'groups', 'enabled': 'is_active'},"
        "'EVENT_FIELDS': {'events': 'permissions'}}\n"
    )
    migrate = [str(python), "-m", "django", "migrate", "-v0"]
    environment = {"PATH": "/usr/bin:/bin", "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(migrate, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    status = subprocess.run(
        [str(python), "-m", "django", "orchestrator_status", "--format", "json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 0, status.stderr
    assert '"approach": "sensor"' in status.stdout
