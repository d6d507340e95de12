"""Results in a folder: the embedded default, with the same promises as a lake."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path, PurePosixPath

from report_orchestrator.adapters.local_names import give_name
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import NOBODY, Follower, StoredResult, Upload

TEMPORARY = Path("_report_orchestrator") / "tmp"
"""Outside the results, so that no glob over them meets a part of a file."""
PIECE = 1024 * 1024
SYNCED = 64 * 1024 * 1024
"""Bytes after which a file that grows is synced. At the end of several GiB a disk may be silent for longer than a lease."""


class LocalFiles:
    """A `ResultStore` in a folder of this machine."""

    def __init__(self, root: Path, results: str) -> None:
        self._root = root.absolute()
        self._results = self._root / results

    def write(self, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY) -> StoredResult:
        """Writes to a temporary file, syncs it, and gives it its one name, which is never taken from a file that has it."""
        final = self._final(path)
        with _plain_errors(self._root):
            written = None if final.exists() else self._write_new(final, chunks, follower)
            return written or _adopted(final, follower)

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Removes temporary files that nobody has written to for that long, but for those of `writing`; no more than `most`."""
        before = time.time() - older_than.total_seconds()
        spared = {_prefix_of(path) for path in writing}
        with _plain_errors(self._root):
            found = (
                file
                for file in list((self._root / TEMPORARY).glob("*.part"))
                if _prefix_of(file.stem) not in spared
            )
            removed = (file for file in found if _remove_if_untouched(file, since=before))
            return sum(1 for _file in islice(removed, most))

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a stored result, in pieces of `PIECE`."""
        final = self._final(path)
        if not final.is_file():
            raise StorageError(f"There is no result at {final} any more.")
        with _plain_errors(self._root), final.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

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
        if not is_plain(path):
            raise StorageError(f"'{path}' is no path below FABRIC_RESULTS_PATH. Nothing was written or read.")
        if not final.resolve().is_relative_to(self._results.resolve()):
            raise StorageError(f"'{path}' leads out of RESULT_ROOT by a link. Nothing was written or read.")
        return final

    def _write_new(self, final: Path, chunks: Iterable[bytes], follower: Follower) -> StoredResult | None:
        """What was written; None where another attempt was faster, whose file stands."""
        temporary = self._root / TEMPORARY / f"{_prefix_of(final.name)}.{uuid.uuid4().hex}.part"
        _make_folder(temporary.parent)
        _make_folder(final.parent)
        try:
            upload = _uploaded(temporary, chunks, follower)
            follower.note(upload)
            give_name(temporary, final)
            _sync_folder(final.parent)
        except FileExistsError:
            return None
        finally:
            temporary.unlink(missing_ok=True)
        return _described(final, upload)


def _uploaded(temporary: Path, chunks: Iterable[bytes], follower: Follower) -> Upload:
    digest, size, synced = hashlib.sha256(), 0, 0
    with temporary.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size - synced >= SYNCED:
                file.flush()
                os.fsync(file.fileno())
                follower.keep()
                synced = size
        file.flush()
        os.fsync(file.fileno())
        follower.keep()
        return Upload(etag=_etag(os.fstat(file.fileno())), size=size, sha256=digest.hexdigest())


def _etag(state: os.stat_result) -> str:
    """What another name for the same file leaves as it is, and what no other file has."""
    return f"{state.st_dev:x}-{state.st_ino:x}-{state.st_mtime_ns:x}"


def _prefix_of(name: str) -> str:
    """What the temporary files of all attempts at writing a result begin with: its name up to its first dot."""
    return PurePosixPath(name).name.partition(".")[0]


def _remove_if_untouched(file: Path, *, since: float) -> bool:
    """Removes it unless somebody has written to it, or removed it, since that time."""
    try:
        if file.stat().st_mtime >= since:
            return False
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    """Makes a folder and those above it, so that they survive a power cut too."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder has been synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _adopted(final: Path, follower: Follower) -> StoredResult:
    """What stands there: as it was noted, or read for its hash where nobody knows it."""
    state, known = final.stat(), follower.uploaded
    if known is not None and (known.etag, known.size) == (_etag(state), state.st_size):
        return _described(final, known)
    digest, size = hashlib.sha256(), 0
    with final.open("rb") as file:
        while piece := file.read(PIECE):
            follower.keep()
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
            f"RESULT_ROOT ({root}) cannot be written: {error.strerror}. Give the worker's user the right to, then retry the run."
        ) from error
    except OSError as error:
        code = "no_space" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "storage"
        raise TransientError(
            f"The result could not be written to RESULT_ROOT ({root}): {error.strerror or error}.", code=code
        ) from error
