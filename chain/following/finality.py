"""From when on money may depend on what the chain says.

The mirror follows the head, and shows what a fork may still undo. Whoever gives something away
for it (work for a deposit, say) looks at what is confirmed only.
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
"""Nobody loses money there, and everybody waits."""
DEFAULT_DEPTH = 12
TAGS = ("safe", "finalized")
ASK_EVERY_S = 5.0


@dataclass(frozen=True)
class Policy:
    """What counts as confirmed: blocks with so many on top of them, or those that a tag names."""

    depth: int = 0
    tag: str = ""


def policy() -> Policy:
    """What `settings.CONFIRMATIONS` says. Raises ImproperlyConfigured when it says nothing."""
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
        return Policy()  # there is no chain that could fork
    return Policy(depth=0 if chain_id in DEVELOPMENT_CHAINS else DEFAULT_DEPTH)


def confirmed_block() -> int:
    """The number of the last block that money may depend on; -1 when there is none yet."""
    now = policy()
    cursor = blocks.cursor()
    if cursor is None:
        return -1
    if not now.tag:
        return cursor.number - now.depth
    final = FinalBlock.objects.filter(pk=now.tag).first()
    return -1 if final is None else min(final.number, cursor.number)


def unconfirmed_events() -> QuerySet[Event]:
    """What the mirror shows and money may not depend on yet."""
    if policy() == Policy():
        return Event.objects.none()
    return Event.objects.filter(block_id__gt=confirmed_block())


class Confirmations:
    """Keeps up with what becomes confirmed."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._asked_at = 0.0
        self._confirmed: int | None = None

    def advance(self) -> bool:
        """Look how far the chain is confirmed; return whether stored events have become so.

        Raises RpcError.
        """
        now = policy()
        if now == Policy():
            return False  # what is stored is confirmed
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
        """The lowest that two endpoints name, where there are two."""
        number = _number_of(self._node, tag)
        witness = self._node.witness()
        if witness is None:
            return number
        try:
            return min(number, _number_of(witness, tag))
        except RpcError:
            return number  # the witness is not well; nobody contradicts


def _number_of(node: Node | Rpc, tag: str) -> int:
    block = node.call("eth_getBlockByNumber", tag, False)
    return -1 if block is None else int(block["number"], 16)
