"""The folders of the local store: inside RESULT_ROOT whatever paths and links say, and closed to other users."""

import os
import threading
from pathlib import Path

from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError

TEMPORARY = Path("_report_orchestrator") / "tmp"
"""Outside the results, so that no glob over them finds a partial file."""
RESERVED = frozenset({TEMPORARY.parts[0], "tables"})
FILE_MODE, FOLDER_MODE = 0o640, 0o750
"""Results hold exposures: other users of the machine may not read them. A stricter umask stays in force."""
PRIVATE_UMASK = 0o777 & ~FOLDER_MODE
"""The umask of these modes."""


def results_folder(root: Path, path: str) -> Path:
    """Return the folder of results below the root.

    Raises:
        ConfigurationError: FABRIC_RESULTS_PATH leads elsewhere, or into a folder with another purpose.
    """
    if not is_plain(path.strip("/")) or path.startswith("/") or path.partition("/")[0].lower() in RESERVED:
        raise ConfigurationError(
            f"FABRIC_RESULTS_PATH is {path!r}. Set it to a folder below RESULT_ROOT, such as report_results, other than "
            f"{' and '.join(sorted(RESERVED))}."
        )
    return root / path.strip("/")


def temporary_folder(root: Path) -> Path:
    """Return the folder of temporary files.

    Raises:
        ConfigurationError: a link leads from there to another folder.
    """
    folder = root / TEMPORARY
    if Path(os.path.realpath(folder)) != Path(os.path.realpath(root)) / TEMPORARY:
        raise ConfigurationError(
            f"{folder} is a link, or below one, to another folder. Nothing was written or removed there. Replace the link by a "
            "folder of RESULT_ROOT's own."
        )
    return folder


def make_private_folder(folder: Path) -> None:
    """Create a folder and its parents durably, surviving a power cut. Existing ones keep their modes."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(path.parent)


def open_private(path: str, flags: int) -> int:
    """Open a new file that other users may not read: an `opener` of `open`."""
    return os.open(path, flags, FILE_MODE)


class _PrivateUmask:
    """A stricter umask of the whole process, shared by its threads: the last one to leave restores the former umask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = os.umask(0o077)  # it can only be read by setting one
                os.umask(self._before | PRIVATE_UMASK)
            self._users += 1

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                os.umask(self._before)


private_umask = _PrivateUmask()
"""Within it, files and folders that a library creates have no more than `FILE_MODE` and `FOLDER_MODE`."""


def sync_folder(folder: Path) -> None:
    """Sync a folder: a new name survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
