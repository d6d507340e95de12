"""Whether results could be stored: a small file is written, read back and removed, in each kind of store."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

from report_orchestrator.adapters.local_files import TEMPORARY
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, StorageError, TransientError
from report_orchestrator.ports import Probed

CONTENT = b"written by orchestrator_doctor, and removed at once\n"


def probe_folder(settings: Settings) -> Probed:
    """Writes as the store does: a temporary file, synced, that gets its name by a link.

    Raises:
        ConfigurationError, TransientError: as a write would; the message says what to do.
    """
    root = settings.result_root.absolute()
    name = f"doctor-{uuid.uuid4().hex}"
    temporary, final = root / TEMPORARY / name, root / settings.fabric_results_path / f".{name}"
    try:
        _write_and_remove(temporary, final)
    except PermissionError as error:
        raise ConfigurationError(
            f"RESULT_ROOT ({root}) cannot be written: {error.strerror}. Give this user the right to, or set another folder."
        ) from error
    except OSError as error:
        raise TransientError(
            f"RESULT_ROOT ({root}) cannot take a result: {error.strerror or error}. "
            "It must be a folder, with space, of a file system that has hard links.",
            code="storage",
        ) from error
    return Probed(detail=f"a file was written to {root}, read back and removed")


def _write_and_remove(temporary: Path, final: Path) -> None:
    temporary.parent.mkdir(parents=True, exist_ok=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("xb") as file:
            file.write(CONTENT)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, final)
        _expect_content(final.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
        final.unlink(missing_ok=True)


def _expect_content(found: bytes) -> None:
    if found != CONTENT:
        raise StorageError(
            f"The store took {len(CONTENT)} bytes and gave back {len(found)} others. Look at its disk or its account."
        )


def probe_lake(settings: Settings) -> Probed:
    """Writes to the lakehouse's folder of temporary files, reads back, and removes the file and its folder.

    Raises:
        ConfigurationError, TransientError, StorageError: as a write would; the message says what to do.
    """
    from report_orchestrator.adapters.onelake_address import lake_address
    from report_orchestrator.adapters.onelake_client import Connection
    from report_orchestrator.adapters.onelake_errors import plain_errors
    from report_orchestrator.adapters.onelake_files import LakeFiles, Listed

    address = lake_address(settings)
    path = address.temporary(f"doctor-{uuid.uuid4().hex}")
    folder = path.rpartition("/")[0]
    connection = Connection(settings, address.workspace)
    try:
        with plain_errors(settings):
            files = LakeFiles(connection)
            files.make_folder(folder)
            etag = files.create(path)
            try:
                files.append(path, CONTENT, 0)
                standing = files.flush(path, len(CONTENT), etag)
                _expect_content(b"".join(files.read(path, standing)))
            except Exception:
                files.discard(path)
                raise
            now = datetime.now(UTC)
            files.remove(Listed(path=path, etag=standing.etag, is_folder=False, modified_at=now))
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
