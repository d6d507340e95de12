"""How soon something that died is started again."""

from __future__ import annotations

from dataclasses import dataclass

YOUNG = 3.0  # seconds of life
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds


@dataclass(slots=True)
class Pace:
    """At once, unless it keeps dying young: then after half a second, a second, two, … so that no storm eats the machine."""

    young_deaths: int = 0
    """In a row."""

    def wait_after(self, age: float) -> float:
        """How many seconds to wait after a death at this age, in seconds; counts the death."""
        self.young_deaths = self.young_deaths + 1 if age < YOUNG else 0
        if self.young_deaths < 2:
            return 0.0
        return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (self.young_deaths - 2))
