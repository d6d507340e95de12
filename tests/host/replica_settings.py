"""The host with a replica of each database, at REPLICA_URL, from which its router reads."""

from urllib.parse import urlsplit

from tests.host.settings import *  # noqa: F403
from tests.host.settings import DATABASES, env

_server = urlsplit(env.str("REPLICA_URL"))
for _alias in list(DATABASES):
    DATABASES[f"{_alias}_replica"] = {**DATABASES[_alias], "HOST": _server.hostname, "PORT": _server.port}
DATABASE_ROUTERS = ["tests.host.routers.ReplicaReads"]
