"""Read another system's files in a folder of the lakehouse."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from azure.core.exceptions import ResourceNotFoundError

from report_orchestrator.adapters.onelake.address import lake_address
from report_orchestrator.adapters.onelake.connection import Connection
from report_orchestrator.adapters.onelake.errors import READING, missing_folder, translated_errors
from report_orchestrator.adapters.onelake.files import FileInfo, LakeFiles
from report_orchestrator.conf import Settings
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import FolderFile


class LakeFolder:
    """A `FileFolder` in the lakehouse of the settings, whatever `RESULT_STORE` is."""

    def __init__(self, settings: Settings, path: str) -> None:
        """Take a path such as `Files/old`.

        Raises:
            ConfigurationError: it is not a folder below `Files`, or a setting of the lakehouse is missing.
        """
        path = path.strip("/")
        if not is_plain(path) or not f"{path}/".startswith("Files/"):
            raise ConfigurationError(f"'{path}' is not a folder of the lakehouse. Give one such as onelake:Files/old.")
        address = lake_address(settings)
        self._settings = settings
        self._root = f"{address.lakehouse}/{path}"
        self._connection = Connection(settings, address.workspace)
        self._files = LakeFiles(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def files(self, most: int) -> Sequence[FolderFile]:
        with translated_errors(self._settings, READING):
            try:
                listed = self._files.files_below(self._root, most)
            except ResourceNotFoundError as error:
                raise missing_folder(error, self._root) from error
        depth = self._root.count("/") + 1  # a listing may begin with the lakehouse's GUID instead of its name
        return [FolderFile(path=file.path.split("/", depth)[-1], size=file.size, etag=file.etag) for file in listed]

    def read(self, file: FolderFile) -> bytes:
        with translated_errors(self._settings, READING):
            return self._files.head(f"{self._root}/{file.path}", FileInfo(size=file.size, etag=file.etag), file.size)
