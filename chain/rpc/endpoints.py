"""Several endpoints of one chain, used as one: fail-over, and a second opinion on what they say.

The first one that is well answers. One that fails, lags or stands alone with its word is put
aside for a while and named in the log, by its host.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.conf import settings

from chain.rpc.client import Call, Header, Rpc, RpcError, RpcInconsistent, RpcUnavailable

FIRST_REST_S = 5.0
"""How long an endpoint that has failed is left alone; doubled each time it fails again."""
MAX_REST_S = 300.0
LAG_BLOCKS = 8
"""An endpoint so far behind another one lags."""
LOOK_AROUND_EVERY_S = 5.0

T = TypeVar("T")

logger = logging.getLogger(__name__)


def endpoints() -> "Endpoints":
    """The endpoints of `settings.RPC_URLS`."""
    return Endpoints(settings.RPC_URLS)


class Endpoints:
    """Answers as one `Rpc` does, as long as one of the endpoints answers. Not for two threads."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = [Rpc(url) for url in urls]
        self._aside: dict[Rpc, float] = {}  # until when (monotonic)
        self._failures: dict[Rpc, int] = defaultdict(int)
        self._chain_id: int | None = None
        self._looked_at = 0.0
        self._answering = self._all[0]

    @property
    def host(self) -> str:
        """The host of the endpoint that has answered last."""
        return self._answering.host

    def call(self, method: str, *params: Any) -> Any:
        """As `Rpc.call`, of the first endpoint that answers."""
        return self._first_answer(lambda rpc: rpc.call(method, *params))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """As `Rpc.batch`, all by one endpoint."""
        return self._first_answer(lambda rpc: rpc.batch(calls))

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """As `Rpc.headers`, all by one endpoint."""
        return self._first_answer(lambda rpc: rpc.headers(numbers))

    def latest(self) -> Header:
        """As `Rpc.latest`; who lags behind the others is noticed now and then."""
        head = self._first_answer(lambda rpc: rpc.latest())
        if len(self._all) > 1 and time.monotonic() - self._looked_at > LOOK_AROUND_EVERY_S:
            self._looked_at = time.monotonic()
            if self._notice_laggards(head):
                return self._first_answer(lambda rpc: rpc.latest())
        return head

    def require_chain(self, expected: int) -> None:
        """Use only endpoints that serve this chain; raise RpcInconsistent when there is none."""
        self._chain_id = expected
        self._first_answer(lambda _: None)

    def witness(self) -> Rpc | None:
        """Another endpoint that is well, to be asked for a second opinion."""
        return next((rpc for rpc in self._well() if rpc is not self._answering), None)

    def cross_check(self, number: int, block_hash: str) -> None:
        """Compare with what the other endpoints have under that number.

        Who has not the block yet has no say. The side with the most endpoints is believed and
        the others are put aside.

        Raises:
            RpcInconsistent: the answering endpoint is outvoted, or the sides are equal; nobody
                can be believed then.
        """
        voices: dict[str, list[Rpc]] = defaultdict(list)
        voices[block_hash].append(self._answering)
        for rpc in self._well():
            if rpc is self._answering:
                continue
            try:
                [header] = self._checked(rpc).headers([number])
            except RpcError as error:
                self._put_aside(rpc, str(error))
                continue
            if header is not None:
                voices[header.hash].append(rpc)
        if len(voices) == 1:
            return
        sides = sorted(voices.values(), key=len, reverse=True)
        if len(sides[0]) == len(sides[1]):
            hosts = " and ".join(", ".join(rpc.host for rpc in side) for side in sides)
            raise RpcInconsistent(f"{hosts} disagree on block {number}: none of them is believed")
        for side in sides[1:]:
            for rpc in side:
                self._put_aside(rpc, f"it stands alone with its block {number}")
        if self._answering not in sides[0]:
            raise RpcInconsistent(f"{self.host}: its block {number} is not the others'")

    def distrust(self, why: str) -> None:
        """Ask another endpoint for a while: what this one answers leads nowhere."""
        if len(self._all) > 1:
            self._put_aside(self._answering, why)

    # ── Who is well ──────────────────────────────────────────────────────────

    def _first_answer(self, ask: Callable[[Rpc], T]) -> T:
        """The answer of the first endpoint that gives one; a refusal is an answer."""
        failure: RpcError | None = None
        # When all are aside, all are asked: one may be back.
        for rpc in self._well() or list(self._all):
            try:
                answer = ask(self._checked(rpc))
            except (RpcUnavailable, _OtherChain) as error:
                if len(self._all) > 1:
                    self._put_aside(rpc, str(error))
                failure = error
                continue
            self._answering = rpc
            if self._failures.pop(rpc, None):
                self._aside.pop(rpc, None)
                logger.info("%s is well again", rpc.host)
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

    def _well(self) -> list[Rpc]:
        now = time.monotonic()
        return [rpc for rpc in self._all if self._aside.get(rpc, 0.0) <= now]

    def _put_aside(self, rpc: Rpc, why: str) -> None:
        rest_s = min(FIRST_REST_S * 2 ** self._failures[rpc], MAX_REST_S)
        self._failures[rpc] += 1
        self._aside[rpc] = time.monotonic() + rest_s
        logger.warning("%s is put aside for %.0f s: %s", rpc.host, rest_s, why)

    def _notice_laggards(self, head: Header) -> bool:
        """Put aside who is far behind; return whether it is the one that has answered."""
        heights = {self._answering: head.number}
        for rpc in self._well():
            if rpc is self._answering:
                continue
            try:
                heights[rpc] = int(self._checked(rpc).call("eth_blockNumber"), 16)
            except RpcError as error:
                self._put_aside(rpc, str(error))
        best = max(heights.values())
        behind = {
            rpc: best - height for rpc, height in heights.items() if best > height + LAG_BLOCKS
        }
        for rpc, blocks in behind.items():
            self._put_aside(rpc, f"it lags by {blocks} blocks")
        return self._answering in behind


class _OtherChain(RpcInconsistent):
    """An endpoint serves another chain than the contracts are on."""
