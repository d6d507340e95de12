"""Check that Django-Q's broker responds, without sending a message."""

from django_q.brokers import get_broker

from report_orchestrator.adapters.masked_errors import with_masked_causes
from report_orchestrator.conf import current_secrets, load_settings
from report_orchestrator.exceptions import TransientError
from report_orchestrator.masking import masked
from report_orchestrator.ports import ProbeResult


def probe_broker() -> ProbeResult:
    """Ping the broker and count its waiting messages.

    Raises:
        TransientError: the broker is unavailable.
    """
    with with_masked_causes(load_settings()[0]):
        return _probe()


def _probe() -> ProbeResult:
    broker = get_broker()
    kind = type(broker).__name__
    try:
        there, waiting = broker.ping(), broker.queue_size()
    except Exception as error:  # each broker's library has errors of its own, without a common root
        raise TransientError(
            f"The Django-Q broker ({kind}) does not respond ({type(error).__name__}: "
            f"{masked(str(error), current_secrets())}). Start it, or correct Q_CLUSTER.",
            code="broker",
        ) from error
    if not there:
        raise TransientError(
            f"The Django-Q broker ({kind}) is not available. Start it, or correct Q_CLUSTER.", code="broker"
        )
    return ProbeResult(detail=f"{kind} responds, messages waiting: {waiting}")
