"""Give a file its final name in one step, without ever replacing an existing file."""

import ctypes
import errno
import os
from pathlib import Path

from report_orchestrator.exceptions import ConfigurationError

_WITHOUT_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Errors of file systems without hard links, such as exFAT and some of SMB and FUSE."""
_CANNOT_SPARE = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""Errors of file systems whose renames cannot refuse to replace a file."""
_HERE = -100
"""`AT_FDCWD` of Linux: relative paths begin at the working directory."""
_SPARING = 1
"""`RENAME_NOREPLACE` of Linux."""


def rename_new(temporary: Path, final: Path) -> None:
    """Name a file `final` by a hard link or, without those, by a rename. `temporary` may or may not remain.

    Source of the rename: https://man7.org/linux/man-pages/man2/rename.2.html

    Raises:
        FileExistsError: the name is taken; its file is unchanged.
        ConfigurationError: the file system has neither hard links nor renames that refuse to replace.
        OSError: any other failure.
    """
    try:
        os.link(temporary, final)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        _rename_sparing(temporary, final)


def _rename_sparing(temporary: Path, final: Path) -> None:
    # Python has no name for it: its own rename would replace another's file.
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise _unfit()
    if rename(_HERE, os.fsencode(temporary), _HERE, os.fsencode(final), _SPARING) == 0:
        return
    code = ctypes.get_errno()
    if code in _CANNOT_SPARE:
        raise _unfit()
    raise OSError(code, os.strerror(code), str(temporary), None, str(final))


def _unfit() -> ConfigurationError:
    return ConfigurationError(
        "RESULT_ROOT is on a file system that cannot protect a stored result from being replaced: it "
        "supports neither hard links nor renames that keep an existing file. Nothing was written. "
        "Set RESULT_ROOT to a folder on another file system, then retry the run."
    )
