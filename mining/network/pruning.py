"""Prunes nodes that are gone from the contract's roll, so that a draw does not try them."""

from datetime import datetime, timedelta

from chain import network_operations as operations
from chain.sending import outbox
from mining.models import NetworkNode

GONE_S = 960.0
"""NodeRoll's PRESENCE, plus a minute in case the chain's clock is behind."""
AT_ONCE = 50
"""The most nodes that are pruned at once."""


def prune_gone(now: datetime) -> int:
    """Prune up to `AT_ONCE` nodes that have not pinged for `GONE_S` seconds. Return how many.

    The contract refuses while a draw is in progress, and the sender then tries again. Others may
    prune the same nodes. A second attempt changes nothing.
    """
    gone = NetworkNode.objects.filter(
        pinged_at__lt=now - timedelta(seconds=GONE_S), pruned_at__isnull=True
    )
    nodes = list(gone.order_by("pinged_at")[:AT_ONCE])
    for node in nodes:
        assert node.pinged_at is not None
        outbox.enqueue(operations.prune_node(node.address, int(node.pinged_at.timestamp())))
    return len(nodes)
