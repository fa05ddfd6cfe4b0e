"""Several endpoints of one chain, used as one: fail-over and cross-checks between endpoints.

The first healthy endpoint answers. An endpoint that fails, lags or contradicts the majority is
suspended for a while. The log names it by its host.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.conf import settings

from chain.rpc.client import Call, Header, Rpc, RpcError, RpcInconsistent, RpcUnavailable

FIRST_REST_S = 5.0
"""The first suspension of an endpoint that has failed. Each further failure doubles it."""
MAX_REST_S = 300.0
LAG_BLOCKS = 8
"""An endpoint that is more blocks than this behind another one counts as lagging."""
COMPARE_HEADS_EVERY_S = 5.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


def endpoints() -> "Endpoints":
    """Return the endpoints of `settings.RPC_URLS`."""
    return Endpoints(settings.RPC_URLS)


class Endpoints:
    """Several endpoints with the interface of one `Rpc`. Not thread-safe.

    Calls succeed as long as one of the endpoints answers.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = [Rpc(url) for url in urls]
        self._suspended_until: dict[Rpc, float] = {}  # monotonic time
        self._failures: dict[Rpc, int] = defaultdict(int)
        self._chain_id: int | None = None
        self._compared_heads_at = 0.0
        self._answering = self._all[0]

    @property
    def host(self) -> str:
        """The host of the endpoint that answered last."""
        return self._answering.host

    def call(self, method: str, *params: Any) -> Any:
        """Do `Rpc.call` at the first endpoint that answers."""
        return self._first_answer(lambda rpc: rpc.call(method, *params))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Do `Rpc.batch`, all of it at one endpoint."""
        return self._first_answer(lambda rpc: rpc.batch(calls))

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Do `Rpc.headers`, all of it at one endpoint."""
        return self._first_answer(lambda rpc: rpc.headers(numbers))

    def latest(self) -> Header:
        """Do `Rpc.latest`, and suspend lagging endpoints every `COMPARE_HEADS_EVERY_S` seconds."""
        head = self._first_answer(lambda rpc: rpc.latest())
        since_s = time.monotonic() - self._compared_heads_at
        if len(self._all) > 1 and since_s > COMPARE_HEADS_EVERY_S:
            self._compared_heads_at = time.monotonic()
            if self._suspend_laggards(head):
                return self._first_answer(lambda rpc: rpc.latest())
        return head

    def require_chain(self, expected: int) -> None:
        """Use only endpoints that serve this chain. Raise RpcInconsistent if there is none."""
        self._chain_id = expected
        self._first_answer(lambda _: None)

    def witness(self) -> Rpc | None:
        """Return another healthy endpoint that can give a second opinion, or None."""
        return next((rpc for rpc in self._healthy() if rpc is not self._answering), None)

    def cross_check(self, number: int, block_hash: str) -> None:
        """Compare a block's hash with the hashes that the other endpoints have for its number.

        An endpoint that does not have the block yet has no vote. The majority is believed, and the
        other endpoints are suspended.

        Raises:
            RpcInconsistent: the answering endpoint is outvoted, or there is a tie, in which case no
                endpoint can be believed.
        """
        votes: dict[str, list[Rpc]] = defaultdict(list)
        votes[block_hash].append(self._answering)
        for rpc in self._healthy():
            if rpc is self._answering:
                continue
            try:
                [header] = self._checked(rpc).headers([number])
            except RpcError as error:
                self._suspend(rpc, str(error))
                continue
            if header is not None:
                votes[header.hash].append(rpc)
        if len(votes) == 1:
            return
        sides = sorted(votes.values(), key=len, reverse=True)
        if len(sides[0]) == len(sides[1]):
            hosts = " and ".join(", ".join(rpc.host for rpc in side) for side in sides)
            raise RpcInconsistent(f"{hosts} disagree on block {number}: none of them is believed")
        for side in sides[1:]:
            for rpc in side:
                self._suspend(rpc, f"most endpoints have a different block {number}")
        if self._answering not in sides[0]:
            raise RpcInconsistent(f"{self.host}: most endpoints have a different block {number}")

    def distrust(self, why: str) -> None:
        """Suspend the answering endpoint, whose answers the caller could not use.

        Does nothing if there is no other endpoint.
        """
        if len(self._all) > 1:
            self._suspend(self._answering, why)

    # ── Health of the endpoints ──────────────────────────────────────────────

    def _first_answer(self, ask: Callable[[Rpc], T]) -> T:
        """Return the answer of the first endpoint that gives one.

        A refusal (RpcRefused) is an answer too, and is raised.
        """
        failure: RpcError | None = None
        # If all endpoints are suspended, ask all of them: one may have recovered.
        for rpc in self._healthy() or list(self._all):
            try:
                answer = ask(self._checked(rpc))
            except (RpcUnavailable, _OtherChain) as error:
                if len(self._all) > 1:
                    self._suspend(rpc, str(error))
                failure = error
                continue
            self._answering = rpc
            if self._failures.pop(rpc, None):
                self._suspended_until.pop(rpc, None)
                logger.info("%s has recovered", rpc.host)
            return answer
        assert failure is not None
        raise failure

    def _checked(self, rpc: Rpc) -> Rpc:
        if self._chain_id is not None:
            try:
                rpc.require_chain(self._chain_id)
            except RpcInconsistent as error:
                raise _OtherChain(str(error)) from None
        return rpc

    def _healthy(self) -> list[Rpc]:
        now = time.monotonic()
        return [rpc for rpc in self._all if self._suspended_until.get(rpc, 0.0) <= now]

    def _suspend(self, rpc: Rpc, why: str) -> None:
        rest_s = min(FIRST_REST_S * 2 ** self._failures[rpc], MAX_REST_S)
        self._failures[rpc] += 1
        self._suspended_until[rpc] = time.monotonic() + rest_s
        logger.warning("%s is suspended for %.0f s: %s", rpc.host, rest_s, why)

    def _suspend_laggards(self, head: Header) -> bool:
        """Suspend endpoints that lag. Return whether the answering endpoint is among them."""
        heights = {self._answering: head.number}
        for rpc in self._healthy():
            if rpc is self._answering:
                continue
            try:
                heights[rpc] = int(self._checked(rpc).call("eth_blockNumber"), 16)
            except RpcError as error:
                self._suspend(rpc, str(error))
        best = max(heights.values())
        behind = {
            rpc: best - height for rpc, height in heights.items() if best > height + LAG_BLOCKS
        }
        for rpc, blocks in behind.items():
            self._suspend(rpc, f"it lags by {blocks} blocks")
        return self._answering in behind


class _OtherChain(RpcInconsistent):
    """The endpoint serves a different chain from the one that the contracts are on."""
