"""The doctor lists each thing once, with its level and remedy."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from report_orchestrator.sandbox.fireant import FireantSandbox
from tests.support.commands import cells, manage
from tests.support.doctor import NAMES, examined, levels

pytestmark = [pytest.mark.slow, pytest.mark.django_db(databases=["default", "reports"])]


def test_a_host_that_is_well_has_a_line_for_each_thing() -> None:
    findings = examined()
    assert list(findings) == NAMES
    # No process of a cluster runs beside the tests.
    assert levels(findings) == {"cluster: workers": "warn"}


def test_a_person_sees_a_sign_a_word_and_what_to_do() -> None:
    result = manage("orchestrator_doctor")
    lines = {cells(line)[1]: cells(line) for line in result.out.splitlines() if len(cells(line)) == 4}
    assert lines["Fireant"] == [
        "✓ ok",
        "Fireant",
        "reached; the key is accepted (responded 404 to a test request)",
        "-",
    ]
    assert lines["cluster: workers"][0] == "! warn"
    assert "qcluster" in lines["cluster: workers"][3]
    assert result.out.endswith("19 ok, 1 warning, 0 failed.\n")


def test_in_a_pipe_each_thing_is_one_line_with_its_text_whole_in_columns(fireant: FireantSandbox) -> None:
    fireant.stop()
    result = manage("orchestrator_doctor")
    lines = result.out.splitlines()[1:-1]
    assert [cells(line)[1] for line in lines] == [name for name in NAMES if name != "Fireant's clock"]
    [away] = [cells(line) for line in lines if cells(line)[1] == "Fireant"]
    assert away[2:] == ["failed", "Fireant cannot be reached at FIREANT_API_URL (the host refused the connection)."]
    assert {line.rindex(" | ") for line in lines} == {lines[0].rindex(" | ")}


def test_a_sign_that_the_output_cannot_show_is_left_out() -> None:
    from io import BytesIO, TextIOWrapper

    out = TextIOWrapper(BytesIO(), encoding="latin-1", errors="replace")
    call_command("orchestrator_doctor", stdout=out, stderr=StringIO(), no_color=True)
    out.flush()
    out.seek(0)
    assert "\nok " in out.read()
