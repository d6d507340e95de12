"""Name the user of the operating system who runs a command, for the audit."""

import os
import sys

if sys.platform != "win32":
    import pwd

ROOT = 0


def command_line_user() -> str:
    """Return the process's real user, and for root the one who became it by sudo.

    Never the user's own environment variables: anyone may set LOGNAME. SUDO_UID is sudo's, and is read for root alone.
    """
    if sys.platform == "win32":
        return "command line"
    user = os.getuid()
    name = _name_of(user)
    before = os.environ.get("SUDO_UID", "")
    if user == ROOT and before.isdecimal() and len(before) < 11 and int(before) != ROOT:
        name = f"{_name_of(int(before))} as {name}"
    return f"{name} (command line)"


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OverflowError):  # a container's user may have no name
        return f"user {user}"
