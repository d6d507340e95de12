"""The versions that were run are those of pyproject.toml, and others are reported."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from report_orchestrator.checks import check_libraries
from report_orchestrator.library_versions import VERSIONS_RUN

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}


def test_the_table_is_that_of_the_requirements_with_a_ceiling() -> None:
    capped = {name: r.specifier for name, r in REQUIREMENTS.items() if any(s.operator == "<" for s in r.specifier)}
    without_exclusions = {
        name: SpecifierSet(",".join(str(s) for s in specifiers if s.operator != "!="))
        for name, specifiers in capped.items()
    }
    assert {name: SpecifierSet(f">={low},<{high}") for name, (low, high) in VERSIONS_RUN.items()} == without_exclusions


def test_every_requirement_has_a_floor() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = [*PROJECT["dependencies"], *(line for name in extras.keys() - {"test", "dev"} for line in extras[name])]
    assert [line for line in declared if ">=" not in line] == []


def test_installed_libraries_are_within_the_range() -> None:
    assert check_libraries(None) == []


@pytest.mark.parametrize("installed", ["1.10.0", "1.12", "1.12.0rc1", "2.0"])
def test_another_version_is_reported(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: installed if name == "django-q2" else real(name))
    [warning] = check_libraries(None)
    assert warning.id == "report_orchestrator.W113"
    assert warning.msg == (
        f"report_orchestrator was tested with django-q2 from 1.11 to before 1.12; {installed} is installed."
    )
