"""The codes of errors: their texts, and their meaning for retries and for the circuit breaker."""

from __future__ import annotations

import re

import pytest

from report_orchestrator.domain.error_codes import ErrorCode, Trait, advice_of, title_of, traits_of
from report_orchestrator.services.scheduling.create_runs import SKIP_REASONS


@pytest.mark.parametrize("code", ErrorCode)
def test_a_title_reads_as_part_of_a_sentence_and_advice_as_a_sentence(code: ErrorCode) -> None:
    assert title_of(code)
    assert not title_of(code).endswith(".")
    assert advice_of(code).endswith(".")


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_fits_its_column_and_reads_as_its_text(code: ErrorCode) -> None:
    assert len(code) <= 40
    assert repr(code) == repr(str(code))


def test_every_reason_for_a_skipped_run_is_a_code() -> None:
    assert set(SKIP_REASONS) <= set(ErrorCode)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("fireant_503", "The report is fine"),
        ("fireant_429", "The report is fine"),
        ("onelake_404", "Correct the setting or permission"),
        ("of_a_later_version", ""),
        ("", ""),
    ],
)
def test_the_status_of_a_response_decides_the_advice(code: str, advice: str) -> None:
    assert advice_of(code).startswith(advice)
    assert bool(advice_of(code)) == bool(advice)


@pytest.mark.parametrize(
    ("code", "traits"),
    [
        ("fireant_503", Trait.TRANSIENT | Trait.FIREANT_DOWN),
        ("fireant_500", Trait.TRANSIENT),
        ("fireant_429", Trait.TRANSIENT | Trait.FIREANT_UP | Trait.FIREANT_REJECTED),
        ("fireant_422", Trait.FIREANT_UP | Trait.FIREANT_REJECTED),
        ("onelake_503", Trait.TRANSIENT),
        ("onelake_403", Trait.NONE),
        ("of_a_later_version", Trait.NONE),
    ],
)
def test_the_status_of_a_response_decides_its_traits(code: str, traits: Trait) -> None:
    assert traits_of(code) == traits


def test_the_act_of_a_code_is_that_of_its_advice() -> None:
    at_fault = {code for code in ErrorCode if Trait.REPORT_AT_FAULT in code.traits}
    new_run = {code for code in ErrorCode if Trait.NEEDS_NEW_RUN in code.traits}

    assert not at_fault & new_run
    assert at_fault == {
        code for code in ErrorCode if re.search("^(Correct|Enable) the report |^Make the report", code.advice)
    }
    assert new_run == {code for code in ErrorCode if re.search("^Start a new run|^Run or backfill", code.advice)}
