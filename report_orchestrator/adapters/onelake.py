"""Results in Microsoft Fabric OneLake, by a protocol that no reader, crash or lost answer can get half a file or two out of.

A result grows as a temporary file outside the results, is checked, and gets its one name in a single step that never takes the
name from a file that has it. OneLake-compatible by its documentation; unproven against the real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from operator import attrgetter

from azure.core.exceptions import AzureError

from report_orchestrator.adapters.onelake_address import LakeAddress, lake_address
from report_orchestrator.adapters.onelake_client import PIECE, Connection
from report_orchestrator.adapters.onelake_errors import plain_errors
from report_orchestrator.adapters.onelake_files import LakeFiles, Standing
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import StorageError, TransientError
from report_orchestrator.ports import StoredResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A temporary file that holds the whole result."""

    path: str
    standing: Standing
    sha256: str


class OneLakeStore:
    """A `ResultStore` in a lakehouse. Connects when it is first used; safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def write(self, path: str, chunks: Iterable[bytes]) -> StoredResult:
        """Stores the bytes whole, or not at all; a file that stands there already stays, and is what is described.

        Memory stays near `PIECE` times a few, however large the result. A file that already stands is read for its hash.

        Raises:
            TransientError: worth another attempt from the first byte, after `retry_after` where the lake names it.
            ConfigurationError: a setting, a role or a certificate must be corrected first.
            StorageError: the lake refused for another reason.
        """
        with plain_errors(self._settings):
            final = self._address.final(path)
            standing = self._files.look(final)
            if standing is None:
                return self._write_new(final, chunks)
            return self._adopted(final, standing)

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

    def sweep(self, older_than: timedelta) -> int:
        """Removes temporary files that nobody has touched for that long; returns how many. Idempotent.

        `older_than` must be longer than any write takes: the lake does not show that a file is still being appended to.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; what was removed before stays removed.
        """
        before = datetime.now(UTC) - older_than
        with plain_errors(self._settings):
            found = self._files.below(self._address.temporary_root)
            old = [each for each in found if each.modified_at < before]
            removed = sum(self._files.remove(each) for each in old if not each.is_folder)
            folders = (each for each in old if each.is_folder)
            for folder in sorted(folders, key=attrgetter("path"), reverse=True):  # the deepest first
                self._files.remove_folder_if_empty(folder)
        return removed

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

    def _write_new(self, final: str, chunks: Iterable[bytes]) -> StoredResult:
        self._files.make_folder(final.rpartition("/")[0])
        temporary = self._address.temporary(final)
        try:
            upload = self._uploaded(temporary, chunks)
        except AzureError:
            raise  # a lake that fails is not asked for more: the sweep removes the file
        except Exception:
            self._files.discard(temporary)
            raise
        return self._published(upload, final)

    def _uploaded(self, temporary: str, chunks: Iterable[bytes]) -> Upload:
        etag = self._files.create(temporary)
        digest, size = hashlib.sha256(), 0
        for piece in pieces(chunks):
            self._files.append(temporary, piece, size)
            digest.update(piece)
            size += len(piece)
        standing = self._files.flush(temporary, size, etag)
        return Upload(path=temporary, standing=standing, sha256=digest.hexdigest())

    def _published(self, upload: Upload, final: str) -> StoredResult:
        standing = self._files.rename(upload.path, final)
        if standing == upload.standing:
            return self._described(final, standing, upload.sha256)
        self._files.discard(upload.path)
        return self._adopted(final, standing)

    def _adopted(self, final: str, standing: Standing) -> StoredResult:
        digest, size = hashlib.sha256(), 0
        for piece in self._files.read(final, standing):
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


def pieces(chunks: Iterable[bytes], size: int = PIECE) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `size`, the last of what is left. Empty chunks do not matter."""
    held = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            room = size - len(held)
            held += rest[:room]
            rest = rest[room:]
            if len(held) == size:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)
