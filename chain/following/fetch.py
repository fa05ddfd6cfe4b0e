"""Fetching of events, block by block at the head and in ranges behind it.

Whatever comes back belongs to one fork, and is whole: what does not fit together is refused and
asked for again. Nodes leave logs out without an error: by limits of their own, or since they
have not indexed a block yet. So every block's header is read, and where its bloom filter promises
an event that the answer lacks, the block is asked for alone, and in the end its receipts are.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from chain.deployed.contracts import Deployment
from chain.following import blooms
from chain.following.logs import LogDecoder
from chain.mirror.records import Batch, EventRecord
from chain.rpc.client import (
    Header,
    Node,
    RpcError,
    RpcInconsistent,
    RpcPartial,
    RpcRefused,
    RpcUnavailable,
)

SINGLE_BLOCKS = 8
"""Up to so many blocks are asked for by their hashes, which no fork can mix. Ranges end so far
below the head: there a node may not have indexed its logs yet."""
FIRST_RANGE = 16
MAX_RANGE = 2000
EVENTS_A_BATCH = 5000
"""Ranges adapt to bring about so many, which bounds the memory that a batch takes."""

Log = dict[str, Any]

logger = logging.getLogger(__name__)


class Fetcher:
    """Fetches what comes next. Ranges adapt to what the node is willing to answer."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self._node = node
        self._decoder = LogDecoder(deployment)
        self._range = FIRST_RANGE

    def fetch(self, first: int, head: Header, parent_hash: str | None) -> Batch:
        """The blocks from `first` on, as far as one batch reaches.

        Args:
            parent_hash: of the first block, None where it does not matter.

        Raises:
            RpcInconsistent: the answers belong to different forks.
            RpcPartial: the answers leave something out; the next range is smaller.
            RpcError: the node did not answer.
        """
        if head.number - first < SINGLE_BLOCKS:
            headers = self._headers(first, head.number - 1, parent_hash)
            _require_parent(head, headers[-1].hash if headers else parent_hash)
            headers.append(head)
            logs = self._logs_of(headers)
        else:
            last = min(head.number - SINGLE_BLOCKS, first + self._range - 1)
            found = self._logs_between(first, last)
            # Asked for after the logs: each is the parent of the next, so all is of one fork.
            headers = self._headers(first, last, parent_hash)
            logs = self._by_block(found, headers)
            self._look_again(headers, logs)
        self._settle(headers, logs)
        events = [event for header in headers for event in self._decode(logs[header.hash], header)]
        self._adapt(len(headers), len(events))
        kept = [header for header in headers[:-1] if logs[header.hash]]
        return Batch(first, [*kept, headers[-1]], events)

    # ── Headers and logs ─────────────────────────────────────────────────────

    def _headers(self, first: int, last: int, parent_hash: str | None) -> list[Header]:
        headers = []
        for header in self._node.headers(range(first, last + 1)):
            if header is None:
                raise RpcInconsistent(f"{self._node.host}: a block below the head is missing")
            _require_parent(header, parent_hash)
            parent_hash = header.hash
            headers.append(header)
        return headers

    def _logs_between(self, first: int, last: int) -> list[Log]:
        try:
            logs: list[Log] = self._node.call(
                "eth_getLogs", self._filter(fromBlock=hex(first), toBlock=hex(last))
            )
        except (RpcRefused, RpcUnavailable):
            # Providers limit ranges by blocks, results or time, each in its own words.
            self._range = max((last - first + 1) // 2, 1)
            raise
        self._compare_with_witness(first, last, logs)
        return logs

    def _logs_of(self, headers: Sequence[Header]) -> dict[str, list[Log]]:
        answers = self._node.batch(
            [("eth_getLogs", [self._filter(blockHash=header.hash)]) for header in headers]
        )
        return self._by_block([log for logs in answers for log in logs], headers)

    def _by_block(self, logs: Iterable[Log], headers: Sequence[Header]) -> dict[str, list[Log]]:
        """The logs of each block by its hash, in their order, each once."""
        found: dict[str, dict[int, Log]] = {header.hash: {} for header in headers}
        for log in logs:
            block = found.get(log["blockHash"])
            if block is None or log.get("removed"):
                raise RpcInconsistent(f"{self._node.host}: a log is of a block on another fork")
            if not self._decoder.is_ours(log["address"]):
                raise RpcInconsistent(
                    f"{self._node.host}: a log of another contract, {log['address']}"
                )
            block[int(log["logIndex"], 16)] = log
        return {number: [of[index] for index in sorted(of)] for number, of in found.items()}

    def _filter(self, **where: str) -> dict[str, Any]:
        return {"address": self._decoder.addresses, **where}

    def _adapt(self, blocks: int, events: int) -> None:
        if blocks > SINGLE_BLOCKS or events > EVENTS_A_BATCH:
            fitting = blocks * EVENTS_A_BATCH // max(events, 1)
            self._range = max(1, min(fitting, 2 * blocks, MAX_RANGE))
        else:
            self._range = min(2 * self._range, MAX_RANGE)

    # ── Is it all? ───────────────────────────────────────────────────────────

    def _compare_with_witness(self, first: int, last: int, logs: list[Log]) -> None:
        """What another endpoint, where there is one, has of the same range."""
        witness = self._node.witness()
        if witness is None:
            return
        try:
            theirs = witness.call(
                "eth_getLogs", self._filter(fromBlock=hex(first), toBlock=hex(last))
            )
        except RpcError as error:
            logger.info("no second opinion on the logs of blocks %d to %d: %s", first, last, error)
            return
        if {_identity(log) for log in logs} != {_identity(log) for log in theirs}:
            self._narrow(last - first + 1)
            raise RpcPartial(
                f"{self._node.host} has {len(logs)} logs in blocks {first} to {last},"
                f" {witness.host} has {len(theirs)}: not the same"
            )

    def _look_again(self, headers: Sequence[Header], logs: dict[str, list[Log]]) -> None:
        """Ask alone for what a range may have left out, and for where it may have been cut."""
        with_logs = [header for header in headers if logs[header.hash]]
        again = [*with_logs[-1:], *(h for h in headers if self._is_doubtful(h, logs[h.hash]))]
        for number, found in self._logs_of(again).items() if again else ():
            if list(map(_identity, found)) != list(map(_identity, logs[number])):
                self._narrow(len(headers))
                raise RpcPartial(
                    f"{self._node.host} has left out logs of block {number} in the answer for"
                    f" blocks {headers[0].number} to {headers[-1].number}"
                )

    def _settle(self, headers: Sequence[Header], logs: dict[str, list[Log]]) -> None:
        """Read the receipts of blocks that are in doubt still; they cannot leave out a log."""
        for header in headers:
            if blooms.is_saturated(header.logs_bloom):
                continue
            if not self._is_doubtful(header, logs[header.hash]):
                continue
            whole = [
                log
                for log in self._logs_in_receipts(header)
                if self._decoder.is_ours(log["address"])
            ]
            if len(whole) != len(logs[header.hash]):
                logger.warning(
                    "%s has left out %d logs of block %d; they are taken from its receipts",
                    *(self._node.host, len(whole) - len(logs[header.hash]), header.number),
                )
            logs[header.hash] = whole

    def _is_doubtful(self, header: Header, logs: Iterable[Log]) -> bool:
        """Whether the header promises an event of ours that is not among these logs."""
        found = {(log["address"].lower(), log["topics"][0]) for log in logs if log["topics"]}
        return not self._decoder.promised(header.logs_bloom) <= found

    def _logs_in_receipts(self, header: Header) -> list[Log]:
        block = self._node.call("eth_getBlockByHash", header.hash, False)
        hashes = block["transactions"] if block else []
        receipts = self._node.batch([("eth_getTransactionReceipt", [h]) for h in hashes])
        logs = [log for receipt in receipts if receipt is not None for log in receipt["logs"]]
        if blooms.bloom_of(logs) != header.logs_bloom:
            raise RpcInconsistent(
                f"{self._node.host}: the receipts of block {header.number} are not those of its"
                " header"
            )
        return logs

    def _narrow(self, blocks: int) -> None:
        self._range = max(blocks // 2, 1)

    def _decode(self, logs: Sequence[Log], header: Header) -> list[EventRecord]:
        events = (self._decoder.decode(log, header.timestamp) for log in logs)
        return [event for event in events if event is not None]


def _identity(log: Log) -> tuple[str, int, str]:
    return log["blockHash"], int(log["logIndex"], 16), log["data"]


def _require_parent(header: Header, parent_hash: str | None) -> None:
    if parent_hash is not None and header.parent_hash != parent_hash:
        raise RpcInconsistent(f"block {header.number} does not follow the stored one: a fork")
