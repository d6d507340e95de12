"""Each code that an error of ours can have is told in words, with what a person can do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import report_orchestrator
from report_orchestrator.admin.causes import CAUSES, REFUSALS, advice_for, cause_in_words
from report_orchestrator.services.opening import SKIPPED_BECAUSE

PACKAGE = Path(report_orchestrator.__file__).parent
CODED = re.compile(r'\b(?:error_)?code(?:: str)? ?= ?"([a-z_]+)"')
OF_NO_RUN = {"error", "not_possible", "lease_lost", "broker"}
"""The root of the errors and of refusals, a dropped outcome, and the doctor's own findings."""


def codes() -> set[str]:
    """Every code in the source, but for those of the local servers and of the pages."""
    parts = ("domain", "services", "adapters", "admin")
    files = [*(file for part in parts for file in (PACKAGE / part).rglob("*.py")), PACKAGE / "exceptions.py"]
    return {code for file in files for code in CODED.findall(file.read_text())}


def test_every_code_has_its_words() -> None:
    found = codes() | set(SKIPPED_BECAUSE)

    assert len(found) > 40
    assert found - OF_NO_RUN - set(CAUSES) - set(REFUSALS) == set()


@pytest.mark.parametrize("code", sorted(CAUSES))
def test_words_read_as_part_of_a_sentence_and_advice_as_one(code: str) -> None:
    assert not cause_in_words(code).endswith(".")
    assert advice_for(code).endswith(".")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("fireant_503", "Nothing is wrong with the report"),
        ("fireant_429", "Nothing is wrong with the report"),
        ("onelake_404", "Correct the setting or the right"),
        ("of_a_later_version", ""),
        ("", ""),
    ],
)
def test_an_answers_number_says_whether_it_may_pass(code: str, told: str) -> None:
    assert advice_for(code).startswith(told)
    assert bool(advice_for(code)) == bool(told)
