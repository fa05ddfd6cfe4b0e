"""Claims the rewards of nodes for epochs that have ended.

This router pays the gas for the nodes that have their mailboxes here. A node can also claim its
rewards itself, and so can anyone else for it. A second claim finds nothing to pay.
"""

from chain import network_operations as operations
from chain.sending import outbox
from mining.enrolment.redis_users import enrolled
from mining.models import NetworkCredit, NetworkEpoch


def pay_out(current_epoch: int) -> int:
    """Claim the unpaid rewards of every node that has its mailbox here. Return how many."""
    paying = NetworkEpoch.objects.filter(number__lt=current_epoch, budget_wei__gt=0)
    owed = NetworkCredit.objects.filter(
        epoch__in=paying.values("number"), paid_at__isnull=True, points__gt=0
    )
    unpaid = list(owed.filter(node__in=enrolled()).order_by("epoch", "node"))
    for credit in unpaid:
        outbox.enqueue(operations.claim_network_reward(credit.node, credit.epoch))
    return len(unpaid)
