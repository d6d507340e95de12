"""The wait before a dead process is started again."""

from dataclasses import dataclass

YOUNG = 3.0  # seconds of life
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0  # seconds


@dataclass(slots=True)
class RestartBackoff:
    """No wait, unless a process dies early repeatedly: then 0.5 s, 1 s, 2 s, … up to 5 s, against restart storms."""

    young_deaths: int = 0
    """In a row."""

    def wait_after(self, age: float) -> float:
        """Count a death at this age in seconds; return the seconds to wait."""
        self.young_deaths = self.young_deaths + 1 if age < YOUNG else 0
        if self.young_deaths < 2:
            return 0.0
        return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (self.young_deaths - 2))
