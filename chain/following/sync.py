"""Follows the chain: decodes logs to events, stores them, and updates the mirror.

The follower notifies other processes on `blocks.CHANNEL` and does not wait for their reactions.
They read the stored events through `chain.following.news`.

A fork is detected by comparing stored block hashes with the chain's. Blocks on which the endpoints
disagree are not stored. A head that is lower than before means that the node lags, not that the
chain has forked.
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
"""After this many failures in a row, the follower changes to another endpoint, if there is one."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Follow the chain until `stop` is set. While the node or the database is away, wait for it."""
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
    """Moves the mirror along the chain, one batch at a time."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self._node = node
        self._deployment = deployment
        self._fetcher = Fetcher(node, deployment)
        self._confirmations = Confirmations(node)
        self.position = Position(0, 0, 0)

    def step(self, until: int | None = None) -> bool:
        """Store the next batch, or undo blocks that a fork has removed from the chain.

        Args:
            until: the last block to store; None for the chain's head.

        Return whether there was anything to do.

        Raises:
            RpcError: an endpoint failed. Nothing has changed then.
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
        # Check the head first, so that a lying endpoint is detected before the logs are requested.
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
        """Raise RpcError unless an endpoint serves the chain that the contracts are on."""
        self._node.require_chain(self._deployment.chain_id)

    def _is_canonical(self, cursor: Block, head: Header) -> bool:
        """Return whether the chain still contains the last stored block."""
        if head.number == cursor.number + 1:
            return head.parent_hash == cursor.hash
        if head.number >= cursor.number:
            return self._header(cursor.number).hash == cursor.hash
        # The node may lag. It is no fork if the blocks that it has are the stored ones.
        below = Block.objects.filter(number__lte=head.number).order_by("-number").first()
        return below is not None and self._header(below.number).hash == below.hash

    def _header(self, number: int) -> Header:
        [header] = self._node.headers([number])
        if header is None:
            raise RpcInconsistent(f"{self._node.host}: block {number} is missing")
        return header

    def _go_back(self, cursor: Block, head: Header) -> None:
        # Do not undo blocks on the word of one endpoint while the others still have them.
        disputed = self._header(min(cursor.number, head.number))
        self._node.cross_check(disputed.number, disputed.hash)
        ancestor = self._ancestor(head)
        first_orphan = 0 if ancestor is None else ancestor.number + 1
        if first_orphan > cursor.number:
            return  # the endpoint has returned to the stored fork
        orphaned = blocks.go_back(cursor, first_orphan)
        if orphaned is None:
            return  # another follower has moved the cursor in the meantime
        logger.warning(
            "the chain has forked: went back from block %d to %d, %d events orphaned",
            cursor.number,
            first_orphan - 1,
            orphaned,
        )

    def _ancestor(self, head: Header) -> Block | None:
        """Return the highest stored block that is still part of the chain, or None."""
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
