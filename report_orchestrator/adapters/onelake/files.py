"""OneLake's file operations for a store, each resolving lost and ambiguous responses.

Source: https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.filedatalake import FileSystemClient, PathProperties

from report_orchestrator.adapters.onelake.connection import Connection
from report_orchestrator.adapters.onelake.errors import DISPLACED, may_have_worked, missing_lakehouse
from report_orchestrator.domain.error_codes import ErrorCode
from report_orchestrator.exceptions import OrchestratorError, StorageError, TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A file in the lake: `size` in bytes, and an unquoted ETag that a rename keeps."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file or folder of a listing. `path` is relative to the workspace, `size` in bytes."""

    path: str
    etag: str
    is_folder: bool
    modified_at: datetime
    size: int = 0

    @property
    def folder(self) -> str:
        """The name of the parent folder."""
        return self.path.rpartition("/")[0].rpartition("/")[2]


class LakeFiles:
    """Files and folders of one workspace. Raises the SDK's `AzureError` unless a method says otherwise."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def info(self, path: str) -> FileInfo | None:
        """Return the file at the path; None if there is none.

        Raises:
            StorageError: the path is a folder.
        """
        try:
            properties = self._connection.send_again(lambda lake: lake.get_file_client(path).get_file_properties())
        except ResourceNotFoundError:
            return None
        marks = {name.lower(): value for name, value in properties.metadata.items()}
        if marks.get("hdi_isfolder") == "true":
            raise StorageError(
                f"OneLake has a folder at {path}, where a file is expected. Remove it, then retry the run."
            )
        return FileInfo(size=properties.size, etag=_bare(properties.etag))

    def make_folder(self, folder: str) -> None:
        """Create a folder and its parents. Idempotent.

        Raises:
            ConfigurationError: the workspace or lakehouse does not exist.
        """
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

    def create(self, path: str) -> str:
        """Create an empty file where none exists; return its ETag."""
        try:
            made = self._connection.send(
                lambda lake: lake.get_file_client(path).create_file(match_condition=MatchConditions.IfMissing)
            )
        except AzureError as error:
            return self._settled(error, path).etag
        return _bare(str(made["etag"]))

    def append(self, path: str, piece: bytes, offset: int) -> None:
        """Append bytes, invisible until the flush. Idempotent, as the offset is explicit."""
        self._connection.send_again(
            lambda lake: lake.get_file_client(path).append_data(
                piece, offset=offset, length=len(piece), validate_content=True
            )
        )

    def flush(self, path: str, size: int, etag: str) -> FileInfo:
        """Make all appended bytes visible; return the file, which has that size.

        Raises:
            TransientError: the lake confirmed the flush and shows another size.
        """
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(path).flush_data(
                    size, etag=f'"{etag}"', match_condition=MatchConditions.IfNotModified
                )
            )
        except AzureError as error:
            info = self._settled(error, path)
            if info.size != size:
                raise
            return info
        return self._whole(path, size)

    def rename(self, source: str, target: str) -> FileInfo:
        """Rename a file unless the name is taken; return the file under that name, which may be another's."""
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(source).rename_file(
                    f"{lake.file_system_name}/{target}", match_condition=MatchConditions.IfMissing
                )
            )
        except AzureError as error:
            return self._settled(error, target)
        info = self.info(target)
        if info is None:
            raise TransientError(
                "OneLake renamed a result but did not return it under the new name.",
                code=ErrorCode.ONELAKE_RESULT_MISSING,
            )
        return info

    def read(self, path: str, info: FileInfo) -> Iterator[bytes]:
        """Yield the bytes of a file that must be unchanged."""
        if not info.size:
            return iter(())
        return self._connection.send(
            lambda lake: lake.get_file_client(path).download_file(
                etag=f'"{info.etag}"', match_condition=MatchConditions.IfNotModified
            )
        ).chunks()

    def head(self, path: str, info: FileInfo, limit: int) -> bytes:
        """Return the first bytes of a file that must be unchanged."""
        length = min(info.size, limit)
        if not length:
            return b""
        return self._connection.send_again(
            lambda lake: (
                lake.get_file_client(path)
                .download_file(
                    offset=0, length=length, etag=f'"{info.etag}"', match_condition=MatchConditions.IfNotModified
                )
                .readall()
            )
        )

    def below(self, folder: str) -> list[Listed]:
        """Yield all files and folders below a folder; none if it is missing."""
        try:
            entries = self._connection.send_again(lambda lake: list(lake.get_paths(folder, recursive=True)))
        except ResourceNotFoundError:
            return []
        return [_listed(path) for path in entries]

    def files_below(self, folder: str, most: int) -> list[Listed]:
        """Return at most so many files below a folder. Raises `ResourceNotFoundError` if it is missing."""

        def listed(lake: FileSystemClient) -> list[PathProperties]:
            paths = lake.get_paths(folder, recursive=True)
            return list(islice((path for path in paths if not path.is_directory), most))

        return [_listed(path) for path in self._connection.send_again(listed)]

    def remove(self, file: Listed) -> bool:
        """Remove a file unless it was changed or removed since the listing; return True if removed."""
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(file.path).delete_file(
                    etag=f'"{file.etag}"', match_condition=MatchConditions.IfNotModified
                )
            )
        except HttpResponseError as error:
            if error.status_code not in DISPLACED:
                raise
            return False
        return True

    def remove_folder_if_empty(self, folder: Listed) -> None:
        """Remove an empty folder, as far as the lake permits."""
        # The SDK's own delete_directory is recursive, and could take a file that was begun this moment.
        with suppress(HttpResponseError):
            self._connection.send(lambda lake: lake.get_file_client(folder.path).delete_file(recursive=False))

    def discard(self, path: str) -> None:
        """Remove one of our own files, if that works at once."""
        with suppress(AzureError, OrchestratorError):
            self._connection.send(lambda lake: lake.get_file_client(path).delete_file())

    def _settled(self, error: AzureError, path: str) -> FileInfo:
        """Return the file found after an ambiguous response; raise the error if the request did not work."""
        info = self.info(path) if may_have_worked(error) else None
        if info is None:
            raise error
        return info

    def _whole(self, path: str, size: int) -> FileInfo:
        info = self.info(path)
        if info is None or info.size != size:
            actual = "nothing" if info is None else f"{info.size:,} bytes"
            raise TransientError(
                f"OneLake received {size:,} bytes of a result but has {actual}. Nothing was published.",
                code=ErrorCode.ONELAKE_SIZE_DIFFERS,
            )
        return info


def _listed(path: PathProperties) -> Listed:
    at = path.last_modified  # UTC, though the SDK does not say so
    return Listed(
        path=path.name,
        etag=_bare(path.etag),
        is_folder=path.is_directory,
        size=path.content_length,
        modified_at=at if at.tzinfo else at.replace(tzinfo=UTC),
    )


def _bare(etag: str) -> str:
    """Return the ETag without quotes: requests, responses and listings differ."""
    return etag.strip('"')
