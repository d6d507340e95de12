"""Distinguish temporary database errors from permanent ones, by the database's own codes."""

from django.db import Error, InterfaceError, OperationalError

READ_ONLY_TRANSACTION = "25006"  # SQLSTATE; psycopg raises all of class 25 as InternalError
IDLE_IN_TRANSACTION_TIMEOUT = "25P03"  # the server has closed the connection
CONFLICTS = frozenset({"40001", "40P01"})  # serialization failure, deadlock
MYSQL_CONFLICTS = frozenset({1205, 1213})  # ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
MYSQL_READ_ONLY = frozenset(
    {1290, 1792, 1836}
)  # ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_…, ER_READ_ONLY_MODE


def is_transient(error: BaseException) -> bool:
    """Return True if the database was unavailable, read-only or busy, or ended a deadlock or a serialization failure."""
    return isinstance(error, OperationalError | InterfaceError) or (
        isinstance(error, Error) and _sqlstate(error) in {READ_ONLY_TRANSACTION, IDLE_IN_TRANSACTION_TIMEOUT}
    )


def is_conflict(error: BaseException) -> bool:
    """Return True if the database ended a transaction in favour of another: repeated at once, it can succeed."""
    return _sqlstate(error) in CONFLICTS or _is_mysql(error, MYSQL_CONFLICTS)


def is_read_only(error: BaseException) -> bool:
    """Return True if the server accepts no writes, as after a failover: a connection to it works, and must still be replaced."""
    return _sqlstate(error) == READ_ONLY_TRANSACTION or _is_mysql(error, MYSQL_READ_ONLY)


def _is_mysql(error: BaseException, numbers: frozenset[int]) -> bool:
    return isinstance(error, OperationalError) and error.args[:1] != () and error.args[0] in numbers


def _sqlstate(error: BaseException) -> str:
    """Return the five characters of the driver's error, or "" where it has none."""
    cause = error.__cause__
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")
