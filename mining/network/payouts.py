"""Bringing nodes what they earned in epochs that are over. This router bears the gas for its own.

A node, or anyone for it, can claim as well; who comes second finds it done.
"""

from chain import network_operations as operations
from chain.sending import outbox
from mining.enrolment.redis_users import enrolled
from mining.models import NetworkCredit, NetworkEpoch


def pay_out(current_epoch: int) -> int:
    """Claim for every node that has a mailbox here what it is owed; how many claims."""
    paying = NetworkEpoch.objects.filter(number__lt=current_epoch, budget_wei__gt=0)
    owed = NetworkCredit.objects.filter(
        epoch__in=paying.values("number"), paid_at__isnull=True, points__gt=0
    )
    mine = list(owed.filter(node__in=enrolled()).order_by("epoch", "node"))
    for credit in mine:
        outbox.enqueue(operations.claim_network_reward(credit.node, credit.epoch))
    return len(mine)
