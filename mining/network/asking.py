"""Asks nodes for their parts through their mailboxes, and repeats requests that have no effect.

A row is written before the message is sent. A node's report is checked against that row. The row
also prevents two processes, or one that was restarted, from asking twice at the same time.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from mining.assignment import mailbox
from mining.deadlines import ONLINE_S
from mining.errors import MailboxUnavailable
from mining.models import MinerPresence, NetworkAsk, NetworkNode, Node, NodeState
from mining.node.network.job import NetworkJob, Stage

ASK_AGAIN_S = 15.0
PING_EVERY_S = 300.0
"""The time between two pings of a node. A ping keeps a node on the contract's roll for 900 s."""
PING_AGAIN_S = 60.0
"""How long a requested ping may take to appear on chain."""

KEPT_S = 24 * 3600.0
"""How long requests are kept. No network task lasts that long."""

logger = logging.getLogger(__name__)


def ask(node: str, job: NetworkJob, now: datetime, again_s: float = ASK_AGAIN_S) -> None:
    """Ask a node for a part.

    Do nothing if the node is not online, or was asked for the part within the last `again_s`
    seconds.
    """
    with transaction.atomic():
        if not _online([node], now):
            return
        asked, created = NetworkAsk.objects.select_for_update().get_or_create(
            node=node.lower(),
            stage=job.stage,
            number=job.number,
            seed=job.seed,
            defaults={"asked_at": now},
        )
        if not created:
            if now - asked.asked_at < timedelta(seconds=again_s):
                return
            asked.asked_at = now
            asked.save(update_fields=["asked_at"])
        transaction.on_commit(lambda: _send(node, job), robust=True)


def ask_for_pings(chain_id: int, contract: str, now: datetime) -> int:
    """Ask the nodes that are online but have not pinged the chain recently for a ping.

    Nodes that are draining, and nodes whose tokens others cannot check, are not asked. Return how
    many nodes are asked.
    """
    online = _online(None, now, draining=False, canonical=True)
    pinged_since = now - timedelta(seconds=PING_EVERY_S)
    there = NetworkNode.objects.filter(address__in=online, pinged_at__gt=pinged_since)
    registered = Node.objects.filter(address__in=online).exclude(state=NodeState.UNKNOWN)
    # A node that never answers may run another version. More messages would only pile up there.
    mute = NetworkAsk.objects.filter(
        Q(answered_at__isnull=True) | Q(answered_at__lt=F("asked_at")),
        node__in=online,
        stage=Stage.PING,
        asked_at__gt=pinged_since,
    )
    silent = (
        set(registered.values_list("address", flat=True))
        - set(there.values_list("address", flat=True))
        - set(mute.values_list("node", flat=True))
    )
    job = NetworkJob(
        stage=Stage.PING,
        chain_id=chain_id,
        contract=contract,
        deadline_at=now.timestamp() + PING_AGAIN_S,
    )
    for node in sorted(silent):
        ask(node, job, now, PING_AGAIN_S)
    return len(silent)


def forget_old(now: datetime) -> None:
    """Delete requests that are too old to be answered. Each node's request for a ping stays."""
    old = NetworkAsk.objects.filter(asked_at__lt=now - timedelta(seconds=KEPT_S))
    old.exclude(stage=Stage.PING).delete()


def _online(nodes: Iterable[str] | None, now: datetime, **lookups: bool) -> list[str]:
    heard = MinerPresence.objects.filter(
        last_seen_at__gte=now - timedelta(seconds=ONLINE_S), **lookups
    )
    if nodes is not None:
        heard = heard.filter(address__in=[node.lower() for node in nodes])
    return list(heard.values_list("address", flat=True))


def _send(node: str, job: NetworkJob) -> None:
    try:
        mailbox.send_network_job(node, job)
    except MailboxUnavailable:
        logger.warning("network task %d: %s was not asked", job.number, node, exc_info=True)
