"""The versions of libraries whose private parts this app uses, as in pyproject.toml. Others are untested."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

_NUMBER = re.compile(r"\d+")

VERSIONS_RUN: Mapping[str, tuple[str, str]] = {
    "cron-descriptor": ("1.4", "3"),  # its Options, made without their own `__init__`
    "croniter": ("6.2", "8"),  # the values of `expand` and the names of days and months
    "django-q2": ("1.11", "1.12"),  # Sentinel, Cluster, Conf, Stat and the functions of its processes
    "urllib3": (
        "2.7",
        "3",
    ),  # the response class of its connections, the response that it wraps, how its pools take and give
}
"""The lowest version run, and the first one that was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UntestedVersion:
    library: str
    installed: str
    lowest: str
    ceiling: str


def untested_versions() -> Iterator[UntestedVersion]:
    """Yield the libraries installed in a version that was not run."""
    for library, (lowest, ceiling) in VERSIONS_RUN.items():
        try:
            installed = metadata.version(library)
        except metadata.PackageNotFoundError:  # bundled without metadata
            continue
        if not _numbers(lowest) <= _numbers(installed) < _numbers(ceiling):
            yield UntestedVersion(library=library, installed=installed, lowest=lowest, ceiling=ceiling)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(text))
