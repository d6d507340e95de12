"""How the audit names users."""

import pytest

from report_orchestrator.models.operator_actions import actor_name


@pytest.mark.parametrize(
    ("user_name", "named"), [("ann", "ann (user 7)"), (4711, "4711 (user 7)"), ("a" * 150, "a" * 100 + " (user 7)")]
)
def test_a_user_is_named_whatever_the_projects_names_are(user_name: object, named: str) -> None:
    assert actor_name(user_name, 7) == named
