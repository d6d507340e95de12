"""The host on psycopg's connection pool, which allows no lasting connections."""

from tests.host.settings import *  # noqa: F403
from tests.host.settings import DATABASES

for _database in DATABASES.values():
    _database["CONN_MAX_AGE"] = 0
    _database.setdefault("OPTIONS", {})["pool"] = {"min_size": 1}
