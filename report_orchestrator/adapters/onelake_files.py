"""The steps that a store needs of OneLake, each with the answer to what a lost or ambiguous answer means.

Source: https://learn.microsoft.com/rest/api/storageservices/datalakestoragegen2/path
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.filedatalake import PathProperties

from report_orchestrator.adapters.onelake_client import Connection
from report_orchestrator.adapters.onelake_errors import DISPLACED, may_have_worked, missing_lakehouse
from report_orchestrator.exceptions import OrchestratorError, StorageError, TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A file as the lake shows it: `size` in bytes, and an ETag without quotes that a rename does not change."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file or folder of a listing. `path` is relative to the workspace."""

    path: str
    etag: str
    is_folder: bool
    modified_at: datetime

    @property
    def folder(self) -> str:
        """The name of the folder in which it lies."""
        return self.path.rpartition("/")[0].rpartition("/")[2]


class LakeFiles:
    """Files and folders of one workspace. Raises `AzureError` as the SDK does, unless a method says otherwise."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self, path: str) -> Standing | None:
        """What a reader sees at the path.

        Raises:
            StorageError: a folder stands there.
        """
        try:
            seen = self._connection.send_again(lambda lake: lake.get_file_client(path).get_file_properties())
        except ResourceNotFoundError:
            return None
        marks = {name.lower(): value for name, value in seen.metadata.items()}
        if marks.get("hdi_isfolder") == "true":
            raise StorageError(
                f"A folder stands in OneLake at {path}, where a file belongs. Remove it, then retry the run."
            )
        return Standing(size=seen.size, etag=_bare(seen.etag))

    def make_folder(self, folder: str) -> None:
        """Makes a folder and those above it. Idempotent.

        Raises:
            ConfigurationError: there is no such workspace or lakehouse.
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
        """Makes an empty file where none stands; returns its ETag."""
        try:
            made = self._connection.send(
                lambda lake: lake.get_file_client(path).create_file(match_condition=MatchConditions.IfMissing)
            )
        except AzureError as error:
            return self._settled(error, path).etag
        return _bare(str(made["etag"]))

    def append(self, path: str, piece: bytes, offset: int) -> None:
        """Adds bytes that nobody sees before the flush. At an explicit offset, the same bytes again change nothing."""
        self._connection.send_again(
            lambda lake: lake.get_file_client(path).append_data(
                piece, offset=offset, length=len(piece), validate_content=True
            )
        )

    def flush(self, path: str, size: int, etag: str) -> Standing:
        """Shows all that was appended; returns what stands then, which has that size.

        Raises:
            TransientError: the lake said yes, and shows something else.
        """
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

    def rename(self, source: str, target: str) -> Standing:
        """Gives a file its name where no file has it; returns what stands there then, which may be another's."""
        try:
            self._connection.send(
                lambda lake: lake.get_file_client(source).rename_file(
                    f"{lake.file_system_name}/{target}", match_condition=MatchConditions.IfMissing
                )
            )
        except AzureError as error:
            return self._settled(error, target)
        standing = self.look(target)
        if standing is None:
            raise TransientError(
                "OneLake renamed a result and then did not show it.", code="onelake_result_missing"
            )
        return standing

    def read(self, path: str, standing: Standing) -> Iterator[bytes]:
        """The bytes of a file that must still be the one that was seen."""
        if not standing.size:
            return iter(())
        return self._connection.send(
            lambda lake: lake.get_file_client(path).download_file(
                etag=f'"{standing.etag}"', match_condition=MatchConditions.IfNotModified
            )
        ).chunks()

    def head(self, path: str, standing: Standing, limit: int) -> bytes:
        """The first bytes of a file that must still be the one that was seen."""
        length = min(standing.size, limit)
        if not length:
            return b""
        return self._connection.send_again(
            lambda lake: (
                lake.get_file_client(path)
                .download_file(
                    offset=0,
                    length=length,
                    etag=f'"{standing.etag}"',
                    match_condition=MatchConditions.IfNotModified,
                )
                .readall()
            )
        )

    def below(self, folder: str) -> list[Listed]:
        """All files and folders below a folder, or none where it is missing."""
        try:
            found = self._connection.send_again(lambda lake: list(lake.get_paths(folder, recursive=True)))
        except ResourceNotFoundError:
            return []
        return [_listed(path) for path in found]

    def remove(self, file: Listed) -> bool:
        """Removes a file unless somebody has changed or removed it since it was listed; tells whether it did."""
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
        """Removes a folder with nothing in it, as far as the lake lets us."""
        # The SDK's own delete_directory is recursive, and could take a file that was begun this moment.
        with suppress(HttpResponseError):
            self._connection.send(lambda lake: lake.get_file_client(folder.path).delete_file(recursive=False))

    def discard(self, path: str) -> None:
        """Removes a file of our own that nobody needs, if that works at once."""
        with suppress(AzureError, OrchestratorError):
            self._connection.send(lambda lake: lake.get_file_client(path).delete_file())

    def _settled(self, error: AzureError, path: str) -> Standing:
        """What stands there after a request of which only a look can tell whether it worked; otherwise raises the error."""
        standing = self.look(path) if may_have_worked(error) else None
        if standing is None:
            raise error
        return standing

    def _whole(self, path: str, size: int) -> Standing:
        standing = self.look(path)
        if standing is None or standing.size != size:
            shown = "nothing" if standing is None else f"{standing.size:,} bytes"
            raise TransientError(
                f"OneLake took {size:,} bytes of a result and shows {shown}. Nothing was published.",
                code="onelake_size_differs",
            )
        return standing


def _listed(path: PathProperties) -> Listed:
    at = path.last_modified  # UTC, though the SDK does not say so
    return Listed(
        path=path.name,
        etag=_bare(path.etag),
        is_folder=path.is_directory,
        modified_at=at if at.tzinfo else at.replace(tzinfo=UTC),
    )


def _bare(etag: str) -> str:
    """The ETag without its quotes: requests, answers and listings differ about them."""
    return etag.strip('"')
