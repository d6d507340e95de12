"""Read another system's files in a local folder."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NoReturn

from report_orchestrator.exceptions import StorageError
from report_orchestrator.ports import FolderFile


class LocalFolder:
    """A `FileFolder` on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self, most: int) -> Sequence[FolderFile]:
        """Return the regular files. Links to files are followed, links to folders are not."""
        with _plain_errors(self._root):
            return list(islice(self._walk(), most))

    def read(self, file: FolderFile) -> bytes:
        path = self._root / file.path
        with _plain_errors(path), path.open("rb") as opened:
            return opened.read(file.size)

    def _walk(self) -> Iterator[FolderFile]:
        for folder, _folders, names in os.walk(self._root, onerror=_raise):
            for path in (Path(folder, name) for name in names):
                if path.is_file():
                    yield FolderFile(path=path.relative_to(self._root).as_posix(), size=path.stat().st_size)


def _raise(error: OSError) -> NoReturn:
    raise error


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{error.filename or path} cannot be read: {error.strerror or error}. Correct its path or its permissions."
        ) from error
