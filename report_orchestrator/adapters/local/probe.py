"""Check that results could be stored in the folder: a small file is written, read back and removed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from report_orchestrator.adapters.local.atomic_rename import rename_new
from report_orchestrator.adapters.local.folders import FOLDER_MODE, open_private, results_folder, temporary_folder
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import ProbeResult

CONTENT = b"written by orchestrator_doctor, and removed at once\n"


def probe_folder(settings: Settings) -> ProbeResult:
    """Write, read back and remove a file by the store's own way: a synced temporary file, renamed without replacing another.

    Raises:
        ConfigurationError, TransientError: as a write would; the message says what to do.
    """
    root = settings.result_root.absolute()
    name = f"doctor-{uuid.uuid4().hex}"
    temporary = temporary_folder(root) / f"{name}.part"
    final = results_folder(root, settings.fabric_results_path) / f".{name}"
    try:
        _write_and_remove(temporary, final)
    except PermissionError as error:
        raise ConfigurationError(
            f"RESULT_ROOT ({root}) is not writable: {error.strerror}. Grant this user write permission, "
            "or set another folder."
        ) from error
    except OSError as error:
        raise TransientError(
            f"RESULT_ROOT ({root}) cannot store results: {error.strerror or error}. Set it to a folder "
            "with free space.",
            code=ErrorCode.STORAGE,
        ) from error
    return ProbeResult(detail=f"test file written to {root}, read and removed")


def _write_and_remove(temporary: Path, final: Path) -> None:
    with temporary_folders(temporary.parent, final.parent):
        try:
            _write_synced(temporary, CONTENT)
            rename_new(temporary, final)
            _expect_no_replacement(temporary, final)
            if (content := final.read_bytes()) != CONTENT:
                raise StorageError(
                    f"RESULT_ROOT stored {len(CONTENT)} bytes but returned {len(content)} different ones. Check "
                    "its disk."
                )
        finally:
            temporary.unlink(missing_ok=True)
            final.unlink(missing_ok=True)


@contextmanager
def temporary_folders(*folders: Path) -> Iterator[None]:
    """Create missing folders for the length of the block.

    Left behind, they would belong to the doctor's user, perhaps root. Folders that existed before, and those that hold
    files by then, stay.
    """
    missing = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        for path in sorted(missing, key=lambda path: len(path.parts)):
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        yield
    finally:
        for path in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()


def _write_synced(temporary: Path, content: bytes) -> None:
    temporary.unlink(missing_ok=True)
    with open(temporary, "xb", opener=open_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _expect_no_replacement(temporary: Path, final: Path) -> None:
    """On a file system that replaces an existing file here, one result could replace another."""
    _write_synced(temporary, b"another file, which must not get the name")
    with suppress(FileExistsError):
        rename_new(temporary, final)
        raise ConfigurationError(
            "RESULT_ROOT is on a file system that replaces existing files on rename. Set it to a folder "
            "on another file system."
        )
