"""Results in a folder: the embedded default, with the same promises as a lake."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import StoredResult

TEMPORARY = Path("_report_orchestrator") / "tmp"
"""Outside the results, so that no glob over them meets a part of a file."""
PIECE = 1024 * 1024


class LocalFiles:
    """A `ResultStore` in a folder of this machine."""

    def __init__(self, root: Path, results: str) -> None:
        self._root = root.absolute()
        self._results = self._root / results

    def read_head(self, path: str, limit: int) -> bytes:
        """The first bytes of a file."""
        final = self._final(path)
        try:
            with final.open("rb") as file:
                return file.read(limit)
        except FileNotFoundError as error:
            raise StorageError(f"There is no result at {final} any more.") from error
        except OSError as error:
            raise StorageError(f"The result at {final} cannot be read: {error.strerror or error}.") from error

    def _final(self, path: str) -> Path:
        final = self._results / path
        if not final.resolve().is_relative_to(self._results.resolve()):
            raise StorageError(f"'{path}' leads out of RESULT_ROOT. Nothing was written or read.")
        return final

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredResult:
        """Writes to a temporary file, syncs it, and gives it its one name, which is never taken from a file that has it."""
        final = self._final(path)
        with _plain_errors(self._root):
            written = None if final.exists() else self._write_new(final, chunks)
            return written or _described(final)

    def _write_new(self, final: Path, chunks: Iterable[bytes]) -> StoredResult | None:
        """What was written; None where another attempt was faster, whose file stands."""
        temporary = self._root / TEMPORARY / f"{uuid.uuid4().hex}.part"
        temporary.parent.mkdir(parents=True, exist_ok=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        try:
            with temporary.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, final)
            _sync_folder(final.parent)
        except FileExistsError:
            return None
        finally:
            temporary.unlink(missing_ok=True)
        return StoredResult(location=str(final), size=size, sha256=digest.hexdigest())


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder has been synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(final: Path) -> StoredResult:
    digest = hashlib.sha256()
    size = 0
    with final.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
    return StoredResult(location=str(final), size=size, sha256=digest.hexdigest())


@contextlib.contextmanager
def _plain_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ConfigurationError(
            f"RESULT_ROOT ({root}) cannot be written: {error.strerror}. Give the worker's user the right to, then retry the run."
        ) from error
    except OSError as error:
        code = "no_space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "storage"
        raise TransientError(
            f"The result could not be written to RESULT_ROOT ({root}): {error.strerror or error}.", code=code
        ) from error
