"""A file's one name in a folder, given in a single step that never takes the name from a file that has it."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from report_orchestrator.exceptions import ConfigurationError

_WITHOUT_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""What a file system answers that has no hard links, such as exFAT, some of SMB and some of FUSE."""
_CANNOT_SPARE = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""What it answers where its renames cannot be told to spare what stands there."""
_HERE = -100
"""`AT_FDCWD` of Linux: a path that is not absolute begins where the process stands."""
_SPARING = 1
"""`RENAME_NOREPLACE` of Linux."""


def give_name(temporary: Path, final: Path) -> None:
    """Names a file `final`: by a hard link or, where there are none, by a rename. `temporary` may be there afterwards or not.

    Source of the rename: https://man7.org/linux/man-pages/man2/rename.2.html

    Raises:
        FileExistsError: the name is taken, and stays with the file that has it.
        ConfigurationError: the file system has neither hard links nor renames that spare what stands there.
        OSError: as the file system says it.
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
        "RESULT_ROOT is on a file system that cannot keep a stored result from being replaced: it has neither hard links nor "
        "renames that spare what stands there. Nothing was written. Set RESULT_ROOT to a folder of another file system, then "
        "retry the run."
    )
