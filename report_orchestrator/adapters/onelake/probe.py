"""Check that results could be stored in OneLake: a token is obtained; a small file is written, read back and removed."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from report_orchestrator.adapters.onelake.address import LakeAddress, lake_address
from report_orchestrator.adapters.onelake.connection import Connection, Credential
from report_orchestrator.adapters.onelake.errors import translated_errors
from report_orchestrator.adapters.onelake.files import LakeFiles, Listed
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, StorageError
from report_orchestrator.ports import ProbeResult

CONTENT = b"written by orchestrator_doctor, and removed at once\n"


def probe_lake(settings: Settings) -> ProbeResult:
    """Write a temporary file, read it back, rename it into the results folder and remove it.

    Its final name begins with an underscore, which readers that glob over the results skip.

    Raises:
        ConfigurationError, TransientError, StorageError: as a write would; the message says what to do.
    """
    with _files_of(settings) as (address, files):
        name = f"doctor-{uuid.uuid4().hex}"
        path, final = address.temporary(name), address.final(f"_{name}")
        folder = path.rpartition("/")[0]
        files.make_folder(folder)
        files.make_folder(final.rpartition("/")[0])
        etag = files.create(path)
        try:
            etag = _write_and_rename(files, path, final, etag)
        except Exception:
            files.discard(path)
            raise
        now = datetime.now(UTC)
        files.remove(Listed(path=final, etag=etag, is_folder=False, modified_at=now))
        files.remove_folder_if_empty(Listed(path=folder, etag="", is_folder=True, modified_at=now))
    return ProbeResult(detail=f"test file written to {address.lakehouse}, read and removed")


def _write_and_rename(files: LakeFiles, path: str, final: str, etag: str) -> str:
    files.append(path, CONTENT, 0)
    written = files.flush(path, len(CONTENT), etag)
    if (content := b"".join(files.read(path, written))) != CONTENT:
        raise StorageError(
            f"OneLake stored {len(CONTENT)} bytes but returned {len(content)} different ones. Check the account."
        )
    if files.rename(path, final) != written:
        raise StorageError(
            "OneLake returned a different file after a rename. Check if another program writes to the workspace."
        )
    return written.etag


@contextmanager
def _files_of(settings: Settings) -> Iterator[tuple[LakeAddress, LakeFiles]]:
    address = lake_address(settings)
    connection = Connection(settings, address.workspace)
    try:
        with translated_errors(settings):
            yield address, LakeFiles(connection)
    finally:
        connection.close()


def remove_table(settings: Settings, name: str) -> None:
    """Remove a table's folder with all its files, deepest first."""
    with _files_of(settings) as (address, files):
        folder = f"{address.lakehouse}/Tables/{name}"
        entries = sorted(files.below(folder), key=lambda entry: entry.path, reverse=True)
        for entry in entries:
            if entry.is_folder:
                files.remove_folder_if_empty(entry)
            else:
                files.remove(entry)
        if entries:
            now = datetime.now(UTC)
            files.remove_folder_if_empty(Listed(path=folder, etag="", is_folder=True, modified_at=now))


def probe_token(settings: Settings) -> ProbeResult:
    """Obtain a token from Entra, as the store does.

    Raises:
        ConfigurationError, TransientError: no token is available; the message gives the reason.
    """
    expires_on = Credential(settings).get_token("https://storage.azure.com/.default").expires_on
    minutes = (expires_on - datetime.now(UTC).timestamp()) / 60
    if minutes <= 0:
        raise ConfigurationError(
            "Entra issued a token that has already expired according to the clock of this machine. Correct the clock."
        )
    return ProbeResult(detail=f"obtained from Entra, valid for {minutes:.0f} min")
