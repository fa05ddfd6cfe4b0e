"""Asking nodes for their parts, each through its own mailbox, and again while nothing comes of it.

A row is written before a message goes out: it is what a node's answer is held against, and it
keeps two routers' processes, or one that was started again, from asking twice at once.
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
"""Between the pings of a node; the contract keeps one on the roll for 900 s."""
PING_AGAIN_S = 60.0
"""How long a ping that was asked for may take to show on chain."""

KEPT_S = 24 * 3600.0
"""Longer than any network task lives."""

logger = logging.getLogger(__name__)


def ask(node: str, job: NetworkJob, now: datetime, again_s: float = ASK_AGAIN_S) -> None:
    """Ask a node for a part, unless it was asked just now or has not been heard of lately."""
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
    """Ask those who are online, and have not told the chain so lately, for a ping; how many.

    Not those who are about to leave, nor those whose answers nobody else's model could give.
    """
    online = _online(None, now, draining=False, canonical=True)
    pinged_since = now - timedelta(seconds=PING_EVERY_S)
    there = NetworkNode.objects.filter(address__in=online, pinged_at__gt=pinged_since)
    registered = Node.objects.filter(address__in=online).exclude(state=NodeState.UNKNOWN)
    # Who does not answer at all may be of another version, and would only gather messages.
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
    """Delete what nobody can answer any more; a node's latest ping stays."""
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
