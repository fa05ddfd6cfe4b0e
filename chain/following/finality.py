"""Confirmations: which blocks are deep enough for money to depend on them.

The mirror follows the head, so it also contains events that a fork may still undo. Code that gives
something in return for an event, such as work for a deposit, uses confirmed events only.
"""

import time
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from chain.deployed.contracts import DeploymentMissing, deployment
from chain.mirror import blocks
from chain.models import Event, FinalBlock
from chain.rpc.client import Node, Rpc, RpcError

DEVELOPMENT_CHAINS = (1337, 31337)
"""Chain ids of development chains. They need no confirmations: no money is at stake there, and
developers would have to wait."""
DEFAULT_DEPTH = 12
TAGS = ("safe", "finalized")
ASK_EVERY_S = 5.0


@dataclass(frozen=True)
class Policy:
    """What counts as confirmed: a depth in blocks below the head, or a tag of the chain."""

    depth: int = 0
    tag: str = ""


def policy() -> Policy:
    """Return the policy that `settings.CONFIRMATIONS` names.

    An empty setting means depth 0 on development chains and `DEFAULT_DEPTH` on others.

    Raises:
        ImproperlyConfigured: the setting is neither a number nor a known tag.
    """
    given = str(settings.CONFIRMATIONS).strip()
    if given in TAGS:
        return Policy(tag=given)
    if given.isdecimal():
        return Policy(depth=int(given))
    if given:
        raise ImproperlyConfigured(
            f"CONFIRMATIONS is {given!r}: give a number of blocks, `safe` or `finalized`"
        )
    try:
        chain_id = deployment().chain_id
    except DeploymentMissing:
        return Policy()  # without a deployment there is no chain to follow
    return Policy(depth=0 if chain_id in DEVELOPMENT_CHAINS else DEFAULT_DEPTH)


def confirmed_block() -> int:
    """Return the number of the last confirmed block, or -1 if there is none yet."""
    now = policy()
    cursor = blocks.cursor()
    if cursor is None:
        return -1
    if not now.tag:
        return cursor.number - now.depth
    final = FinalBlock.objects.filter(pk=now.tag).first()
    return -1 if final is None else min(final.number, cursor.number)


def unconfirmed_events() -> QuerySet[Event]:
    """Return the stored events that are not confirmed yet."""
    if policy() == Policy():
        return Event.objects.none()
    return Event.objects.filter(block_id__gt=confirmed_block())


class Confirmations:
    """Tracks which stored blocks have become confirmed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked_at = 0.0
        self._confirmed: int | None = None

    def advance(self) -> bool:
        """Update the confirmed block. Return whether stored events have become confirmed.

        Raises:
            RpcError: an endpoint failed.
        """
        now = policy()
        if now == Policy():
            return False  # every stored event is confirmed at once
        if now.tag and time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            FinalBlock.objects.update_or_create(
                tag=now.tag, defaults={"number": self._final_block(now.tag)}
            )
        before, self._confirmed = self._confirmed, confirmed_block()
        if before is None or self._confirmed <= before:
            return False
        return Event.objects.filter(block_id__gt=before, block_id__lte=self._confirmed).exists()

    def _final_block(self, tag: str) -> int:
        """Return the tagged block's number. If two endpoints differ, return the lower number."""
        number = _number_of(self._node, tag)
        witness = self._node.witness()
        if witness is None:
            return number
        try:
            return min(number, _number_of(witness, tag))
        except RpcError:
            return number  # the witness does not answer, so there is nothing to compare


def _number_of(node: Node | Rpc, tag: str) -> int:
    block = node.call("eth_getBlockByNumber", tag, False)
    return -1 if block is None else int(block["number"], 16)
