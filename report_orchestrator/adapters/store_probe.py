"""Whether results could be stored: a small file is written, read back and removed, in each kind of store."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from report_orchestrator.adapters.local_files import TEMPORARY
from report_orchestrator.adapters.local_names import give_name
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import Appended, Probed, ResultTable

if TYPE_CHECKING:
    from report_orchestrator.adapters.onelake_files import LakeFiles

CONTENT = b"written by orchestrator_doctor, and removed at once\n"


def probe_folder(settings: Settings) -> Probed:
    """Writes as the store does: a temporary file, synced, that gets a name which nothing takes from it.

    Raises:
        ConfigurationError, TransientError: as a write would; the message says what to do.
    """
    root = settings.result_root.absolute()
    name = f"doctor-{uuid.uuid4().hex}"
    temporary, final = root / TEMPORARY / f"{name}.part", root / settings.fabric_results_path / f".{name}"
    try:
        _write_and_remove(temporary, final)
    except PermissionError as error:
        raise ConfigurationError(
            f"RESULT_ROOT ({root}) cannot be written: {error.strerror}. Give this user the right to, or set another folder."
        ) from error
    except OSError as error:
        raise TransientError(
            f"RESULT_ROOT ({root}) cannot take a result: {error.strerror or error}. "
            "It must be a folder with space.",
            code="storage",
        ) from error
    return Probed(detail=f"a file was written to {root}, read back and removed")


def _write_and_remove(temporary: Path, final: Path) -> None:
    with _folders(temporary.parent, final.parent):
        try:
            _write_synced(temporary, CONTENT)
            give_name(temporary, final)
            _expect_name_kept(temporary, final)
            _expect_content(final.read_bytes())
        finally:
            temporary.unlink(missing_ok=True)
            final.unlink(missing_ok=True)


@contextmanager
def _folders(*wanted: Path) -> Iterator[None]:
    """Has folders there for the length of the block: left behind, they would belong to whoever called the doctor, maybe root.

    Those that were there before stay, and so do those into which somebody has put something meanwhile.
    """
    missing = {each for folder in wanted for each in (folder, *folder.parents) if not each.exists()}
    try:
        for folder in wanted:
            folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in sorted(missing, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):
                each.rmdir()


def probe_table(settings: Settings) -> Probed:
    """Makes a table beside the one of results for a moment, by the same way: one row is appended, seen, and all removed.

    Raises:
        ConfigurationError, TransientError: as an append would; the message says what to do.
    """
    name = f"_doctor_{uuid.uuid4().hex}"
    place = _table_in_lake if settings.result_store == "onelake" else _table_in_folder
    with place(settings, name) as momentary:
        told = [_appended(each) for each in (momentary, momentary)]
    if [each.rows for each in told] != [1, None]:
        raise StorageError(
            f"A table beside the results' took a row and did not show it ({told[0].note or told[1].note or 'no reason'})."
        )
    return Probed(detail=f"one was made at {told[0].location}, took a row, showed it and was removed")


def _appended(table: ResultTable) -> Appended:
    return table.append("doctor", {}, lambda: [b'{"results": [{"well": true}]}'], lambda: None)


@contextmanager
def _table_in_folder(settings: Settings, name: str) -> Iterator[ResultTable]:
    from report_orchestrator.adapters.delta_table import DeltaResults

    tables = settings.result_root.absolute() / "Tables"
    try:
        with _folders(tables):
            try:
                yield DeltaResults(str(tables / name))
            finally:
                shutil.rmtree(tables / name, ignore_errors=True)
    except OSError as error:
        raise ConfigurationError(
            f"{tables} cannot be made: {error.strerror or error}. Correct RESULT_ROOT."
        ) from error


@contextmanager
def _table_in_lake(settings: Settings, name: str) -> Iterator[ResultTable]:
    from report_orchestrator.adapters.onelake_address import lake_address
    from report_orchestrator.adapters.onelake_client import Connection
    from report_orchestrator.adapters.onelake_errors import plain_errors
    from report_orchestrator.adapters.onelake_files import LakeFiles
    from report_orchestrator.adapters.onelake_tables import onelake_table

    address = lake_address(settings)
    connection = Connection(settings, address.workspace)
    try:
        try:
            yield onelake_table(settings, name)
        finally:
            with plain_errors(settings):
                _remove_all(LakeFiles(connection), f"{address.lakehouse}/Tables/{name}")
    finally:
        connection.close()


def _remove_all(files: LakeFiles, folder: str) -> None:
    from report_orchestrator.adapters.onelake_files import Listed

    found = sorted(files.below(folder), key=lambda each: each.path, reverse=True)  # the deepest first
    for each in found:
        if each.is_folder:
            files.remove_folder_if_empty(each)
        else:
            files.remove(each)
    if found:
        now = datetime.now(UTC)
        files.remove_folder_if_empty(Listed(path=folder, etag="", is_folder=True, modified_at=now))


def _write_synced(temporary: Path, content: bytes) -> None:
    temporary.unlink(missing_ok=True)
    with temporary.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _expect_name_kept(temporary: Path, final: Path) -> None:
    """A file system that says yes to a name which is taken would let one result replace another."""
    _write_synced(temporary, b"another file, which must not get the name")
    with suppress(FileExistsError):
        give_name(temporary, final)
        raise ConfigurationError(
            "RESULT_ROOT is on a file system that gives a name which is taken to another file. "
            "Set it to a folder of another file system."
        )


def _expect_content(found: bytes) -> None:
    if found != CONTENT:
        raise StorageError(
            f"The store took {len(CONTENT)} bytes and gave back {len(found)} others. Look at its disk or its account."
        )


def probe_lake(settings: Settings) -> Probed:
    """Writes to the lakehouse's folder of temporary files, reads back, gives the file a name among the results and removes it.

    The name begins with an underscore: readers that glob over the results skip it.

    Raises:
        ConfigurationError, TransientError, StorageError: as a write would; the message says what to do.
    """
    from report_orchestrator.adapters.onelake_address import lake_address
    from report_orchestrator.adapters.onelake_client import Connection
    from report_orchestrator.adapters.onelake_errors import plain_errors
    from report_orchestrator.adapters.onelake_files import LakeFiles, Listed

    address = lake_address(settings)
    name = f"doctor-{uuid.uuid4().hex}"
    path, final = address.temporary(name), address.final(f"_{name}")
    folder = path.rpartition("/")[0]
    connection = Connection(settings, address.workspace)
    try:
        with plain_errors(settings):
            files = LakeFiles(connection)
            files.make_folder(folder)
            files.make_folder(final.rpartition("/")[0])
            etag = files.create(path)
            try:
                files.append(path, CONTENT, 0)
                standing = files.flush(path, len(CONTENT), etag)
                _expect_content(b"".join(files.read(path, standing)))
                named = files.rename(path, final)
                if named != standing:
                    raise StorageError(
                        "OneLake gave a file its name and shows another one there. Look at the workspace and who writes to it."
                    )
            except Exception:
                files.discard(path)
                raise
            now = datetime.now(UTC)
            files.remove(Listed(path=final, etag=standing.etag, is_folder=False, modified_at=now))
            files.remove_folder_if_empty(Listed(path=folder, etag="", is_folder=True, modified_at=now))
    finally:
        connection.close()
    return Probed(detail=f"a file was written to {address.lakehouse}, read back and removed")


def probe_token(settings: Settings) -> Probed:
    """Obtains a token from Entra, as the store does.

    Raises:
        ConfigurationError, TransientError: there is no token to be had; the message says why.
    """
    from report_orchestrator.adapters.onelake_client import Credential

    token = Credential(settings).get_token("https://storage.azure.com/.default")
    minutes = (token.expires_on - datetime.now(UTC).timestamp()) / 60
    if minutes <= 0:
        raise ConfigurationError(
            "Entra gave a token that is over by this machine's clock. Set this machine's clock right."
        )
    return Probed(detail=f"obtained from Entra, good for {minutes:.0f} min")
