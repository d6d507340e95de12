"""Whether Django-Q's broker answers, without a message sent."""

from __future__ import annotations

from django_q.brokers import get_broker

from report_orchestrator.exceptions import TransientError
from report_orchestrator.ports import Probed


def probe_broker() -> Probed:
    """Asks the broker whether it is there, and how many messages wait.

    Raises:
        TransientError: it is away.
    """
    broker = get_broker()
    kind = type(broker).__name__
    try:
        there, waiting = broker.ping(), broker.queue_size()
    except Exception as error:  # each broker's library has errors of its own, without a common root
        raise TransientError(
            f"Django-Q's broker ({kind}) does not answer ({type(error).__name__}: {error}). Start it, or correct Q_CLUSTER.",
            code="broker",
        ) from error
    if not there:
        raise TransientError(
            f"Django-Q's broker ({kind}) says that it is not there. Start it, or correct Q_CLUSTER.",
            code="broker",
        )
    return Probed(detail=f"{kind} answers, {waiting} messages wait")
