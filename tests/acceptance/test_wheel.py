"""Build the wheel and install it into an empty environment."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.demo.environment import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_a_host_needs_and_nothing_of_the_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {name.removeprefix("report_orchestrator/") for name in names if name.startswith("report_orchestrator/")}
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


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return python


def test_the_example_project_runs_without_extras(python: Path, tmp_path: Path) -> None:
    """As after `pip install -e .`, without the extra `dev`."""
    visit = "from django.test import Client; print(Client(SERVER_NAME='localhost').get('/admin/login/').status_code)"
    databases = {f"{name}DATABASE_URL": f"sqlite:///{tmp_path}/{name}d.sqlite3" for name in ("", "REPORTS_")}
    for arguments in (("migrate", "-v0"), ("shell", "-v0", "-c", visit)):
        done = subprocess.run(
            [str(python), "manage.py", *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **databases},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "200"


def test_the_wheel_works_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text(
        "SECRET_KEY = 'x'\n"
        "INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', 'report_orchestrator', 'django_q']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}\n"
        "Q_CLUSTER = {'name': 'x', 'orm': 'default', 'timeout': 120, 'retry': 600}\n"
        "REPORT_ORCHESTRATOR = {'REPORT_MODEL': 'auth.Permission', "
        "'REPORT_FIELDS': {'cron': 'codename', 'event_group': 'content_type'}, 'EVENT_KIND_FIELD': 'codename', "
        "'EVENT_FIELDS': {'events': 'permission', 'country': 'name'}}\n"
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
