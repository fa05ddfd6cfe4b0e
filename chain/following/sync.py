"""Follows the chain: logs become events, and events the mirror.

It stores and wakes others (`blocks.CHANNEL`), and waits for nobody's reaction:
`chain.following.news`.

A fork is found by the stored hashes. What the endpoints do not agree on is not stored, and a head
that is lower than before is a node that lags, not a fork.
"""

import logging
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from chain.deployed.contracts import Deployment, deployment
from chain.following.fetch import Fetcher
from chain.following.finality import Confirmations
from chain.following.heads import HeadWatch
from chain.following.progress import Position, Progress
from chain.mirror import blocks
from chain.models import Block
from chain.postgres.liveness import CHAIN, tell
from chain.postgres.wakeup import notify
from chain.rpc.client import Header, Node, RpcError, RpcInconsistent
from chain.rpc.endpoints import endpoints

FIRST_PAUSE_S = 0.3
MAX_PAUSE_S = 10.0
ANCESTORS_AT_ONCE = 50
FAILURES_BEFORE_DISTRUST = 3
"""In a row; then another endpoint is asked, where there is one."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Follow the chain until `stop` is set. A node or database that is away is waited for."""
    node = endpoints()
    follower = Follower(node, deployment())
    heads = HeadWatch(settings.RPC_WS_URL or settings.RPC_URLS[0])
    progress = Progress(logger.info)
    pause_s, failures = FIRST_PAUSE_S, 0
    try:
        while not stop.is_set():
            beat()
            looked_at = time.time()
            try:
                moved = follower.step()
            except RpcError as error:
                logger.warning("%s; trying again in %.1f s", error, pause_s)
                failures += 1
                if failures % FAILURES_BEFORE_DISTRUST == 0:
                    node.distrust(str(error))
            except (OperationalError, InterfaceError):
                logger.exception("the database is away; trying again in %.1f s", pause_s)
                close_old_connections()
            else:
                progress.report(follower.position)
                pause_s, failures = FIRST_PAUSE_S, 0
                if not moved:
                    tell(CHAIN, looked_at)
                    heads.wait()
                continue
            stop.wait(pause_s)
            pause_s = min(pause_s * 2, MAX_PAUSE_S)
    finally:
        heads.close()


class Follower:
    """Takes the mirror along the chain, step by step."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self._node = node
        self._deployment = deployment
        self._fetcher = Fetcher(node, deployment)
        self._confirmations = Confirmations(node)
        self.position = Position(0, 0, 0)

    def step(self, until: int | None = None) -> bool:
        """Store the next batch, or go back to where the chain has forked.

        Args:
            until: the last block to store; None for the chain's head.

        Return whether there was anything to do. Raises RpcError; then nothing has changed.
        """
        self.require_chain()
        head = self._node.latest()
        before = blocks.cursor()
        if before is not None and not self._is_canonical(before, head):
            self._go_back(before, head)
            return True
        first = self._deployment.start_block if before is None else before.number + 1
        if until is not None and until < head.number:
            head = self._header(until)
        if first > head.number:
            self._confirm()
            return False
        # A liar is found out before much is asked of it.
        self._node.cross_check(head.number, head.hash)
        batch = self._fetcher.fetch(first, head, None if before is None else before.hash)
        last = batch.headers[-1]
        if last.number != head.number:
            self._node.cross_check(last.number, last.hash)
        if blocks.store(batch, before, head.number):
            self.position = Position(
                last.number, head.number, self.position.events + len(batch.events)
            )
        self._confirm()
        return True

    def require_chain(self) -> None:
        """Raise RpcError unless a node serves the chain that the contracts are on."""
        self._node.require_chain(self._deployment.chain_id)

    def _is_canonical(self, cursor: Block, head: Header) -> bool:
        """Whether the chain still has what the mirror was built from."""
        if head.number == cursor.number + 1:
            return head.parent_hash == cursor.hash
        if head.number >= cursor.number:
            return self._header(cursor.number).hash == cursor.hash
        # A lagging node is no fork: what it has may be what we have.
        below = Block.objects.filter(number__lte=head.number).order_by("-number").first()
        return below is not None and self._header(below.number).hash == below.hash

    def _header(self, number: int) -> Header:
        [header] = self._node.headers([number])
        if header is None:
            raise RpcInconsistent(f"{self._node.host}: block {number} is missing")
        return header

    def _go_back(self, cursor: Block, head: Header) -> None:
        # One endpoint alone does not undo what the others still have.
        disputed = self._header(min(cursor.number, head.number))
        self._node.cross_check(disputed.number, disputed.hash)
        ancestor = self._ancestor(head)
        first_orphan = 0 if ancestor is None else ancestor.number + 1
        if first_orphan > cursor.number:
            return  # the fork has gone again
        orphaned = blocks.go_back(cursor, first_orphan)
        if orphaned is None:
            return  # another follower was here meanwhile
        logger.warning(
            "the chain has forked: from block %d back to %d, %d events orphaned",
            cursor.number,
            first_orphan - 1,
            orphaned,
        )

    def _ancestor(self, head: Header) -> Block | None:
        """The highest stored block that the chain still has."""
        known = Block.objects.filter(number__lte=head.number).order_by("-number")
        below = head.number + 1
        while stored := list(known.filter(number__lt=below)[:ANCESTORS_AT_ONCE]):
            headers = self._node.headers([block.number for block in stored])
            for block, header in zip(stored, headers, strict=True):
                if header is not None and header.hash == block.hash:
                    return block
            below = stored[-1].number
        return None

    def _confirm(self) -> None:
        if self._confirmations.advance():
            notify(blocks.CHANNEL)
