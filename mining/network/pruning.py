"""Taking nodes off the roll that are gone, so that a draw does not look at them in vain."""

from datetime import datetime, timedelta

from chain import network_operations as operations
from chain.sending import outbox
from mining.models import NetworkNode

GONE_S = 960.0
"""NodeRoll's PRESENCE, and a minute for the chain's clock to be behind."""
AT_ONCE = 50


def prune_gone(now: datetime) -> int:
    """Have those pruned who have not pinged for so long, at most `AT_ONCE`; how many.

    While a draw is under way the contract refuses, and the sender tries again. Anyone else may
    prune as well; who comes second does nothing.
    """
    gone = NetworkNode.objects.filter(
        pinged_at__lt=now - timedelta(seconds=GONE_S), pruned_at__isnull=True
    )
    nodes = list(gone.order_by("pinged_at")[:AT_ONCE])
    for node in nodes:
        assert node.pinged_at is not None
        outbox.enqueue(operations.prune_node(node.address, int(node.pinged_at.timestamp())))
    return len(nodes)
