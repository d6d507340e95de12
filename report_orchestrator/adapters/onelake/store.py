"""Store results in Microsoft Fabric OneLake so that no reader, crash or lost response yields a partial or duplicate
file.

A result grows as a temporary file outside the results, is verified, and is renamed in one step that never replaces a
file. Compatible with OneLake by its documentation; not yet proven against the real one.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import wait
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import islice
from operator import attrgetter
from typing import TypeVar

from azure.core.exceptions import AzureError

from report_orchestrator.adapters.background_thread import run_in_thread, wait_for, with_heartbeat
from report_orchestrator.adapters.onelake.address import LakeAddress, folder_of, lake_address
from report_orchestrator.adapters.onelake.appends import append_all, pieces
from report_orchestrator.adapters.onelake.connection import Connection
from report_orchestrator.adapters.onelake.errors import READING, translated_errors
from report_orchestrator.adapters.onelake.files import FileInfo, LakeFiles
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import StorageError, TransientError
from report_orchestrator.ports import NO_OBSERVER, StoredResult, Upload, WriteObserver

_T = TypeVar("_T")


class OneLakeStore:
    """A `ResultStore` in a lakehouse. Connects at first use; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def write(self, path: str, chunks: Iterable[bytes], observer: WriteObserver = NO_OBSERVER) -> StoredResult:
        """Store the bytes completely or not at all; an existing file is kept and described.

        Memory stays near a few pieces, whatever the size. An existing file is read for its hash unless the observer
        knows it.

        Raises:
            TransientError: worth another attempt from the first byte, after `retry_after` if the lake names it.
            ConfigurationError: a setting, a role or a certificate must be corrected first.
            StorageError: the lake refused for another reason.
        """
        with translated_errors(self._settings):
            final = self._address.final(path)
            info = _await_response(partial(self._files.info, final), observer)
            if info is None:
                return self._write_new(final, chunks, observer)
            return self._adopted(final, info, observer)

    def read_head(self, path: str, limit: int) -> bytes:
        """Return the first bytes of a stored result.

        Raises:
            TransientError, ConfigurationError: as for `write`.
            StorageError: there is no such file, or the lake refused for another reason.
        """
        with translated_errors(self._settings, READING):
            final = self._address.final(path)
            info = self._files.info(final)
            if info is None:
                raise StorageError(f"The result at {self._address.url(final)} no longer exists.")
            return self._files.head(final, info, limit)

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Remove temporary files older than that, except those of `writing`; return their number. Idempotent.

        Stops after `most` files and leaves their folders to the next call. The lake does not show ongoing appends, so
        a long write must be in `writing`.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; earlier removals remain.
        """
        before = datetime.now(UTC) - older_than
        spared = {folder_of(path) for path in writing}
        with translated_errors(self._settings):
            entries = self._files.below(self._address.temporary_root)
            old = [entry for entry in entries if entry.modified_at < before and entry.folder not in spared]
            files = (entry for entry in old if not entry.is_folder and self._files.remove(entry))
            removed = sum(1 for _each in islice(files, most))
            if removed == most:
                return removed
            folders = (entry for entry in old if entry.is_folder)
            for folder in sorted(folders, key=attrgetter("path"), reverse=True):  # the deepest first
                self._files.remove_folder_if_empty(folder)
        return removed

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a stored result in pieces.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; `StorageError` also if there is no
                such result.
        """
        with translated_errors(self._settings, READING):
            final = self._address.final(path)
            info = self._files.info(final)
            if info is None:
                raise StorageError(f"The result at {self._address.url(final)} no longer exists.")
            yield from self._files.read(final, info)

    def close(self) -> None:
        """Close the pooled connections. The next use opens new ones."""
        self._connection.close()

    @cached_property
    def _address(self) -> LakeAddress:
        return lake_address(self._settings)

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self._settings, self._address.workspace)

    @cached_property
    def _files(self) -> LakeFiles:
        return LakeFiles(self._connection)

    def _write_new(self, final: str, chunks: Iterable[bytes], observer: WriteObserver) -> StoredResult:
        _await_response(partial(self._files.make_folder, final.rpartition("/")[0]), observer)
        temporary = self._address.temporary(final)
        try:
            upload = self._uploaded(temporary, chunks, observer)
            observer.uploaded(upload)
            observer.heartbeat()  # what comes now is published, so nothing may end it half-way
        except AzureError:
            raise  # no more requests to a lake that fails: the sweep removes the file
        except Exception:
            self._files.discard(temporary)
            raise
        return self._published(temporary, upload, final, observer)

    def _uploaded(self, temporary: str, chunks: Iterable[bytes], observer: WriteObserver) -> Upload:
        etag = _await_response(partial(self._files.create, temporary), observer)
        digest = hashlib.sha256()
        size = append_all(
            _hashed(pieces(chunks), digest.update),
            lambda piece, offset: self._files.append(temporary, piece, offset),
            observer.heartbeat,
        )
        observer.heartbeat()
        info = _await_response(partial(self._files.flush, temporary, size, etag), observer)
        return Upload(etag=info.etag, size=info.size, sha256=digest.hexdigest())

    def _published(self, temporary: str, upload: Upload, final: str, observer: WriteObserver) -> StoredResult:
        info = self._files.rename(temporary, final)
        if info == _info_of(upload):
            return self._described(final, info, upload.sha256)
        self._files.discard(temporary)
        return self._adopted(final, info, observer)

    def _adopted(self, final: str, info: FileInfo, observer: WriteObserver) -> StoredResult:
        known = observer.known_upload
        if known is not None and info == _info_of(known):
            return self._described(final, info, known.sha256)
        digest, size = hashlib.sha256(), 0
        for piece in with_heartbeat(self._files.read(final, info), observer.heartbeat):
            digest.update(piece)
            size += len(piece)
        if size != info.size:
            raise TransientError(
                f"OneLake reports {info.size:,} bytes for a stored result but returned {size:,}.",
                code=ErrorCode.ONELAKE_SIZE_DIFFERS,
            )
        return self._described(final, info, digest.hexdigest())

    def _described(self, final: str, info: FileInfo, sha256: str) -> StoredResult:
        return StoredResult(location=self._address.url(final), size=info.size, sha256=sha256)


def _await_response(request: Callable[[], _T], observer: WriteObserver) -> _T:
    """Send a request in a thread, and return its response. If a heartbeat raises, the request ends before the error is raised."""
    response = run_in_thread(request, "onelake-request")
    try:
        return wait_for(response, observer.heartbeat)
    except Exception:
        wait([response])
        raise


def _hashed(pieces: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def _info_of(upload: Upload) -> FileInfo:
    return FileInfo(size=upload.size, etag=upload.etag)
