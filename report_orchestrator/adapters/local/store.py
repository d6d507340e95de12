"""Store results in a folder: the embedded default, with the same guarantees as OneLake."""

import contextlib
import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from functools import partial
from io import BufferedWriter
from itertools import islice
from pathlib import Path, PurePosixPath

from report_orchestrator.adapters.background_thread import run_in_thread, wait_for, with_heartbeat
from report_orchestrator.adapters.local.atomic_rename import rename_new
from report_orchestrator.adapters.local.folders import (
    make_private_folder,
    open_private,
    results_folder,
    sync_folder,
    temporary_folder,
)
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import NO_OBSERVER, StoredResult, Upload, WriteObserver

PIECE = 1024 * 1024
SYNCED = 64 * 1024 * 1024
"""Bytes after which a growing file is synced. A sync of several GiB at the end could outlast a lease."""


class LocalFiles:
    """A `ResultStore` in a local folder."""

    def __init__(self, root: Path, results: str) -> None:
        """Raise `ConfigurationError` if the results would be outside the root, or among other files."""
        self._root = root.absolute()
        self._results = results_folder(self._root, results)

    def write(self, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        """Write a temporary file, sync it, and rename it without replacing an existing one."""
        final = self._final(path)
        with _plain_errors(self._root):
            written = None if final.exists() else self._write_new(final, chunks, observer)
            return written or _adopted(final, observer)

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Remove temporary files unchanged for `older_than`, except those of `writing`; at most `most`."""
        before = time.time() - older_than.total_seconds()
        spared = {_prefix_of(path) for path in writing}
        with _plain_errors(self._root):
            candidates = (
                file
                for file in list(temporary_folder(self._root).glob("*.part"))
                if _prefix_of(file.stem) not in spared
            )
            removed = (file for file in candidates if _remove_if_untouched(file, since=before))
            return sum(1 for _file in islice(removed, most))

    def read(self, path: str) -> Iterator[bytes]:
        """Yield a stored result's bytes in pieces of `PIECE`."""
        final = self._final(path)
        if not final.is_file():
            raise StorageError(f"The result at {final} no longer exists.")
        with _plain_errors(self._root), final.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def read_head(self, path: str, limit: int) -> bytes:
        final = self._final(path)
        try:
            with final.open("rb") as file:
                return file.read(limit)
        except FileNotFoundError as error:
            raise StorageError(f"The result at {final} no longer exists.") from error
        except OSError as error:
            raise StorageError(f"The result at {final} cannot be read: {error.strerror or error}.") from error

    def _final(self, path: str) -> Path:
        final = self._results / path
        if not is_plain(path):
            raise StorageError(f"'{path}' is not a path below FABRIC_RESULTS_PATH. Nothing was written or read.")
        inside = Path(os.path.realpath(self._root)) / self._results.relative_to(self._root)
        if not Path(os.path.realpath(final)).is_relative_to(inside):
            raise StorageError(f"'{path}' is outside RESULT_ROOT because of a link. Nothing was written or read.")
        if os.path.lexists(final) and not final.is_file():
            raise StorageError(
                f"{final} is no file: a pipe, for example, could be read without end. Remove it, then retry the run."
            )
        return final

    def _write_new(self, final: Path, chunks: Iterable[bytes], observer: WriteObserver) -> StoredResult | None:
        """Return the stored result; None if another attempt was faster, whose file remains."""
        temporary = temporary_folder(self._root) / f"{_prefix_of(final.name)}.{uuid.uuid4().hex}.part"
        make_private_folder(temporary.parent)
        make_private_folder(final.parent)
        try:
            upload = _uploaded(temporary, chunks, observer)
            observer.uploaded(upload)
            rename_new(temporary, final)
            sync_folder(final.parent)
        except FileExistsError:
            return None
        finally:
            temporary.unlink(missing_ok=True)
        return _described(final, upload)


def _uploaded(temporary: Path, chunks: Iterable[bytes], observer: WriteObserver) -> Upload:
    digest, size, synced = hashlib.sha256(), 0, 0
    with open(temporary, "xb", opener=open_private) as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size - synced >= SYNCED:
                _sync(file, observer)
                synced = size
        _sync(file, observer)
        return Upload(etag=_etag(os.fstat(file.fileno())), size=size, sha256=digest.hexdigest())


def _sync(file: BufferedWriter, observer: WriteObserver) -> None:
    """Write the file to its disk, which may be slow, in a thread."""
    file.flush()
    wait_for(run_in_thread(partial(os.fsync, file.fileno()), "local-sync"), observer.heartbeat)
    observer.heartbeat()


def _etag(state: os.stat_result) -> str:
    """Return a tag that a second link keeps and no other file has."""
    return f"{state.st_dev:x}-{state.st_ino:x}-{state.st_mtime_ns:x}"


def _prefix_of(name: str) -> str:
    """Return the common prefix of a result's temporary files: its name up to the first dot."""
    return PurePosixPath(name).name.partition(".")[0]


def _remove_if_untouched(file: Path, *, since: float) -> bool:
    """Remove a file unless it was written to or removed since then. Links, pipes and folders are not ours, and stay."""
    try:
        state = file.lstat()
        if not stat.S_ISREG(state.st_mode) or state.st_mtime >= since:
            return False
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _adopted(final: Path, observer: WriteObserver) -> StoredResult:
    """Return the existing file as recorded, or read it for its hash if it is unknown."""
    state, known = final.stat(), observer.known_upload
    if known is not None and (known.etag, known.size) == (_etag(state), state.st_size):
        return _described(final, known)
    digest, size = hashlib.sha256(), 0
    with final.open("rb", buffering=0) as file:  # a buffered file would wait for its reader before it closes
        for piece in with_heartbeat(iter(partial(file.read, PIECE), b""), observer.heartbeat):
            digest.update(piece)
            size += len(piece)
    return StoredResult(location=str(final), size=size, sha256=digest.hexdigest())


def _described(final: Path, upload: Upload) -> StoredResult:
    return StoredResult(location=str(final), size=upload.size, sha256=upload.sha256)


@contextlib.contextmanager
def _plain_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ConfigurationError(
            f"RESULT_ROOT ({root}) is not writable: {error.strerror}. Grant the user of the worker write "
            "permission, then retry the run."
        ) from error
    except OSError as error:
        code = ErrorCode.NO_SPACE if error.errno in {errno.ENOSPC, errno.EDQUOT} else ErrorCode.STORAGE
        raise TransientError(
            f"The result could not be written to RESULT_ROOT ({root}): {error.strerror or error}.", code=code
        ) from error
