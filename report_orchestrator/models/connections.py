"""Close this process's database connections."""

from django.db import connections


def close_connections() -> None:
    """Close the connections with their pools, unless they are in a transaction."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            continue
        connection.close()
        if hasattr(connection, "close_pool"):  # PostgreSQL and Oracle
            connection.close_pool()
