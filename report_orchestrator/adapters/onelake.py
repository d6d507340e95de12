"""Results in Microsoft Fabric OneLake, by a protocol that no reader, crash or lost answer can get half a file or two out of.

A result grows as a temporary file outside the results, is checked, and gets its one name in a single step that never takes the
name from a file that has it. OneLake-compatible by its documentation; unproven against the real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from operator import attrgetter

from azure.core.exceptions import AzureError

from report_orchestrator.adapters.onelake_address import LakeAddress, folder_of, lake_address
from report_orchestrator.adapters.onelake_appends import append_all, pieces
from report_orchestrator.adapters.onelake_client import Connection
from report_orchestrator.adapters.onelake_errors import plain_errors
from report_orchestrator.adapters.onelake_files import LakeFiles, Standing
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import StorageError, TransientError
from report_orchestrator.ports import NOBODY, Follower, StoredResult, Upload


class OneLakeStore:
    """A `ResultStore` in a lakehouse. Connects when it is first used; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def write(self, path: str, chunks: Iterable[bytes], follower: Follower = NOBODY) -> StoredResult:
        """Stores the bytes whole, or not at all; a file that stands there already stays, and is what is described.

        Memory stays near a few pieces, however large the result. A file that already stands is read for its hash, unless
        the follower knows it.

        Raises:
            TransientError: worth another attempt from the first byte, after `retry_after` where the lake names it.
            ConfigurationError: a setting, a role or a certificate must be corrected first.
            StorageError: the lake refused for another reason.
        """
        with plain_errors(self._settings):
            final = self._address.final(path)
            standing = self._files.look(final)
            if standing is None:
                return self._write_new(final, chunks, follower)
            return self._adopted(final, standing, follower)

    def read_head(self, path: str, limit: int) -> bytes:
        """The first bytes of a stored result.

        Raises:
            TransientError, ConfigurationError: as for `write`.
            StorageError: there is no such file, or the lake refused for another reason.
        """
        with plain_errors(self._settings):
            final = self._address.final(path)
            standing = self._files.look(final)
            if standing is None:
                raise StorageError(f"There is no result at {self._address.url(final)} any more.")
            return self._files.head(final, standing, limit)

    def sweep(self, older_than: timedelta, writing: Collection[str] = (), *, most: int = 1000) -> int:
        """Removes temporary files that were begun before that, but for those of `writing`; returns how many. Idempotent.

        Stops after `most` files, and then leaves their folders to the next call.

        The lake does not show that a file is still being appended to, so a write that may take longer has to be in `writing`.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; what was removed before stays removed.
        """
        before = datetime.now(UTC) - older_than
        spared = {folder_of(path) for path in writing}
        with plain_errors(self._settings):
            found = self._files.below(self._address.temporary_root)
            old = [each for each in found if each.modified_at < before and each.folder not in spared]
            files = (each for each in old if not each.is_folder and self._files.remove(each))
            removed = sum(1 for _each in islice(files, most))
            if removed == most:
                return removed
            folders = (each for each in old if each.is_folder)
            for folder in sorted(folders, key=attrgetter("path"), reverse=True):  # the deepest first
                self._files.remove_folder_if_empty(folder)
        return removed

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a stored result, in pieces.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; `StorageError` also where there is no such result.
        """
        with plain_errors(self._settings):
            final = self._address.final(path)
            standing = self._files.look(final)
            if standing is None:
                raise StorageError(f"There is no result at {self._address.url(final)} any more.")
            yield from self._files.read(final, standing)

    def close(self) -> None:
        """Gives the pooled connections back. The next use makes new ones."""
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

    def _write_new(self, final: str, chunks: Iterable[bytes], follower: Follower) -> StoredResult:
        self._files.make_folder(final.rpartition("/")[0])
        temporary = self._address.temporary(final)
        try:
            upload = self._uploaded(temporary, chunks, follower)
            follower.note(upload)
            follower.keep()  # what comes now is published, so nothing may end it half-way
        except AzureError:
            raise  # a lake that fails is not asked for more: the sweep removes the file
        except Exception:
            self._files.discard(temporary)
            raise
        return self._published(temporary, upload, final, follower)

    def _uploaded(self, temporary: str, chunks: Iterable[bytes], follower: Follower) -> Upload:
        etag = self._files.create(temporary)
        digest = hashlib.sha256()
        size = append_all(
            _hashed(pieces(chunks), digest.update),
            lambda piece, offset: self._files.append(temporary, piece, offset),
            follower.keep,
        )
        follower.keep()
        standing = self._files.flush(temporary, size, etag)
        return Upload(etag=standing.etag, size=standing.size, sha256=digest.hexdigest())

    def _published(self, temporary: str, upload: Upload, final: str, follower: Follower) -> StoredResult:
        standing = self._files.rename(temporary, final)
        if standing == _standing(upload):
            return self._described(final, standing, upload.sha256)
        self._files.discard(temporary)
        return self._adopted(final, standing, follower)

    def _adopted(self, final: str, standing: Standing, follower: Follower) -> StoredResult:
        known = follower.uploaded
        if known is not None and standing == _standing(known):
            return self._described(final, standing, known.sha256)
        digest, size = hashlib.sha256(), 0
        for piece in self._files.read(final, standing):
            follower.keep()
            digest.update(piece)
            size += len(piece)
        if size != standing.size:
            raise TransientError(
                f"OneLake shows {standing.size:,} bytes of a stored result and gave {size:,}.",
                code="onelake_size_differs",
            )
        return self._described(final, standing, digest.hexdigest())

    def _described(self, final: str, standing: Standing, sha256: str) -> StoredResult:
        return StoredResult(location=self._address.url(final), size=standing.size, sha256=sha256)


def _hashed(pieces: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        update(piece)
        yield piece


def _standing(upload: Upload) -> Standing:
    return Standing(size=upload.size, etag=upload.etag)
