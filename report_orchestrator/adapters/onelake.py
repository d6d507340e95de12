"""Results in Microsoft Fabric OneLake, by a protocol that no reader, crash or lost answer can get half a file or two out of.

A result grows as a temporary file outside the results, is checked, and gets its one name in a single step that never takes the
name from a file that has it. OneLake-compatible by its documentation; unproven against the real one.

Source: https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.filedatalake import PathProperties

from report_orchestrator.adapters.onelake_address import LakeAddress, lake_address
from report_orchestrator.adapters.onelake_client import PIECE, Connection
from report_orchestrator.adapters.onelake_errors import may_have_worked, missing_lakehouse, plain_errors
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import TransientError
from report_orchestrator.ports import StoredResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A file as the lake shows it. A rename keeps its ETag."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A temporary file that holds the whole result."""

    path: str
    standing: Standing
    sha256: str


class OneLakeStore:
    """A `ResultStore` in a lakehouse. Makes its connection when it is first used; safe to use from several threads."""

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
            standing = self._look(final)
            if standing is None:
                return self._write_new(final, chunks)
            return self._adopted(final, standing)

    def sweep(self, older_than: timedelta) -> int:
        """Removes temporary files that nobody has touched for that long; returns how many. Idempotent.

        `older_than` must be longer than any write takes: the lake does not show that a file is still being appended to.

        Raises:
            TransientError, ConfigurationError, StorageError: as for `write`; what was removed before stays removed.
        """
        before = datetime.now(UTC) - older_than
        with plain_errors(self._settings):
            old = [path for path in self._temporaries() if _modified_at(path) < before]
            removed = sum(self._remove(path.name, path.etag) for path in old if not path.is_directory)
            for folder in sorted((path.name for path in old if path.is_directory), reverse=True):
                self._remove_empty(folder)
        return removed

    def close(self) -> None:
        """Gives the pooled connections back."""
        self._connection.close()

    @cached_property
    def _address(self) -> LakeAddress:
        return lake_address(self._settings)

    @cached_property
    def _connection(self) -> Connection:
        return Connection(self._settings, self._address.workspace)

    def _write_new(self, final: str, chunks: Iterable[bytes]) -> StoredResult:
        self._create_folder(final.rpartition("/")[0])
        temporary = self._address.temporary(final)
        try:
            upload = self._uploaded(temporary, chunks)
        except AzureError:
            raise  # a lake that fails is not asked for more: the sweep removes the file
        except Exception:
            self._discard(temporary)
            raise
        return self._published(upload, final)

    def _uploaded(self, temporary: str, chunks: Iterable[bytes]) -> Upload:
        etag = self._created(temporary)
        digest, size = hashlib.sha256(), 0
        for piece in pieces(chunks):
            self._append(temporary, piece, size)
            digest.update(piece)
            size += len(piece)
        standing = self._flushed(temporary, size, etag)
        return Upload(path=temporary, standing=standing, sha256=digest.hexdigest())

    def _published(self, upload: Upload, final: str) -> StoredResult:
        standing = self._renamed(upload.path, final)
        if standing == upload.standing:
            return self._described(final, standing, upload.sha256)
        self._discard(upload.path)
        return self._adopted(final, standing)

    def _create_folder(self, folder: str) -> None:
        try:
            self._connection.send_again(
                lambda lake: lake.get_directory_client(folder).create_directory(
                    match_condition=MatchConditions.IfMissing
                )
            )
        except ResourceExistsError:
            pass
        except ResourceNotFoundError as error:
            raise missing_lakehouse(error) from error

    def _created(self, path: str) -> str:
        try:
            made = self._connection.send(
                lambda lake: lake.get_file_client(path).create_file(match_condition=MatchConditions.IfMissing)
            )
        except AzureError as error:
            return self._settled(error, path).etag
        return _bare(str(made["etag"]))

    def _append(self, path: str, piece: bytes, offset: int) -> None:
        # At an explicit offset, the same bytes again change nothing.
        self._connection.send_again(
            lambda lake: lake.get_file_client(path).append_data(
                piece, offset=offset, length=len(piece), validate_content=True
            )
        )

    def _flushed(self, path: str, size: int, etag: str) -> Standing:
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(path).flush_data(
                    size, etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified
                )
            )
        except AzureError as error:
            standing = self._settled(error, path)
            if standing.size != size:
                raise
            return standing
        return self._whole(path, size)

    def _whole(self, path: str, size: int) -> Standing:
        standing = self._look(path)
        if standing is None or standing.size != size:
            shown = "nothing" if standing is None else f"{standing.size:,} bytes"
            raise TransientError(
                f"OneLake took {size:,} bytes of a result and shows {shown}. Nothing was published.",
                code="onelake_size_differs",
            )
        return standing

    def _renamed(self, source: str, target: str) -> Standing:
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(source).rename_file(
                    f"{lake.file_system_name}/{target}", match_condition=MatchConditions.IfMissing
                )
            )
        except AzureError as error:
            return self._settled(error, target)
        standing = self._look(target)
        if standing is None:
            raise TransientError(
                "OneLake renamed a result and then did not show it.", code="onelake_result_missing"
            )
        return standing

    def _settled(self, error: AzureError, path: str) -> Standing:
        """What stands at the path after a request of which only a look can tell whether it worked; otherwise raises the error."""
        standing = self._look(path) if may_have_worked(error) else None
        if standing is None:
            raise error
        return standing

    def _look(self, path: str) -> Standing | None:
        try:
            seen = self._connection.send_again(lambda lake: lake.get_file_client(path).get_file_properties())
        except ResourceNotFoundError:
            return None
        return Standing(size=seen.size, etag=_bare(seen.etag))

    def _adopted(self, final: str, standing: Standing) -> StoredResult:
        digest, size = hashlib.sha256(), 0
        for piece in self._read(final, standing):
            digest.update(piece)
            size += len(piece)
        if size != standing.size:
            raise TransientError(
                f"OneLake shows {standing.size:,} bytes of a stored result and gave {size:,}.",
                code="onelake_size_differs",
            )
        return self._described(final, standing, digest.hexdigest())

    def _read(self, path: str, standing: Standing) -> Iterator[bytes]:
        if not standing.size:
            return iter(())
        return self._connection.send(
            lambda lake: lake.get_file_client(path).download_file(
                etag=f'"{standing.etag}"', match_condition=MatchConditions.IfNotModified
            )
        ).chunks()

    def _described(self, final: str, standing: Standing, sha256: str) -> StoredResult:
        return StoredResult(location=self._address.url(final), size=standing.size, sha256=sha256)

    def _discard(self, temporary: str) -> None:
        with suppress(AzureError):
            self._connection.send(lambda lake: lake.get_file_client(temporary).delete_file())

    def _temporaries(self) -> list[PathProperties]:
        root = self._address.temporary_root
        try:
            return self._connection.send_again(lambda lake: list(lake.get_paths(root, recursive=True)))
        except ResourceNotFoundError:
            return []

    def _remove(self, path: str, etag: str) -> bool:
        """Removes the file unless somebody has changed or removed it since it was listed."""
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(path).delete_file(
                    etag=f'"{_bare(etag)}"', match_condition=MatchConditions.IfNotModified
                )
            )
        except HttpResponseError as error:
            if error.status_code not in {404, 409, 412}:
                raise
            return False
        return True

    def _remove_empty(self, folder: str) -> None:
        # The SDK's own delete_directory is recursive, and could take a file that was begun this moment.
        with suppress(HttpResponseError):
            self._connection.send(lambda lake: lake.get_file_client(folder).delete_file(recursive=False))


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


def _modified_at(path: PathProperties) -> datetime:
    """When the listing says it was changed: UTC, which the SDK does not say."""
    seen = path.last_modified
    return seen if seen.tzinfo else seen.replace(tzinfo=UTC)


def _bare(etag: str) -> str:
    """The ETag without its quotes: requests, answers and listings differ about them."""
    return etag.strip('"')
