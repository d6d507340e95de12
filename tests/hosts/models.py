"""All models of the foreign hosts."""

from tests.hosts.advice import *  # noqa: F403
from tests.hosts.base import *  # noqa: F403
from tests.hosts.events import *  # noqa: F403
from tests.hosts.keys import *  # noqa: F403
from tests.hosts.relations import *  # noqa: F403
from tests.hosts.shapes import *  # noqa: F403
from tests.hosts.values import *  # noqa: F403
from tests.hosts.writes import *  # noqa: F403
from tests.hosts.zoo import *  # noqa: F403
