"""Fetches events: block by block at the head of the chain, and in ranges below it.

A fetched batch is complete and belongs to one fork. Answers that contradict each other are refused
and requested again. Nodes sometimes omit logs without reporting an error, because of limits of
their own or because they have not indexed a block yet. The fetcher therefore reads the header of
every block. If the header's bloom filter indicates an event that the answer lacks, it requests the
logs of that block alone, and if they still lack the event, the block's receipts.
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
"""The distance from the head within which logs are requested block by block, by block hash.

Answers by block hash cannot mix forks. Ranges end this far below the head, since a node may not
have indexed the logs of the latest blocks yet.
"""
FIRST_RANGE = 16
MAX_RANGE = 2000
EVENTS_A_BATCH = 5000
"""The number of events per batch that ranges adapt to. It bounds the memory of a batch."""

Log = dict[str, Any]

logger = logging.getLogger(__name__)


class Fetcher:
    """Fetches the next batch of blocks. Adapts its ranges to what the node answers."""

    def __init__(self, node: Node, deployment: Deployment) -> None:
        self._node = node
        self._decoder = LogDecoder(deployment)
        self._range = FIRST_RANGE

    def fetch(self, first: int, head: Header, parent_hash: str | None) -> Batch:
        """Return the next batch, which starts with block `first`.

        Args:
            head: the chain's head, the last block that the batch may contain.
            parent_hash: the required parent hash of the first block; None to accept any.

        Raises:
            RpcInconsistent: the answers belong to different forks.
            RpcPartial: the answers are incomplete; the next range is smaller.
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
            # The headers are requested after the logs. They form a chain, and each log's block
            # hash must be among them, so logs and headers belong to one fork.
            headers = self._headers(first, last, parent_hash)
            logs = self._by_block(found, headers)
            self._verify_doubtful_blocks(headers, logs)
        self._complete_from_receipts(headers, logs)
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
            # Providers limit ranges by blocks, results or time, and their errors all differ.
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
        """Return the logs of each block by the block's hash, in their order, without duplicates."""
        found: dict[str, dict[int, Log]] = {header.hash: {} for header in headers}
        for log in logs:
            block = found.get(log["blockHash"])
            if block is None or log.get("removed"):
                raise RpcInconsistent(f"{self._node.host}: a log is from a block on another fork")
            if not self._decoder.is_ours(log["address"]):
                raise RpcInconsistent(
                    f"{self._node.host}: a log is from another contract, {log['address']}"
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

    # ── Completeness ─────────────────────────────────────────────────────────

    def _compare_with_witness(self, first: int, last: int, logs: list[Log]) -> None:
        """Compare the logs of a range with those of another endpoint, if there is one.

        Raises:
            RpcPartial: the two endpoints have different logs.
        """
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
                f"{self._node.host} has {len(logs)} logs in blocks {first} to {last}, and"
                f" {witness.host} has {len(theirs)}: they differ"
            )

    def _verify_doubtful_blocks(
        self, headers: Sequence[Header], logs: dict[str, list[Log]]
    ) -> None:
        """Request the logs of doubtful blocks again, one block at a time.

        A block is doubtful if its bloom filter indicates an event that the range's answer lacks.
        The last block with logs is doubtful too, since a node may cut an answer within a block.

        Raises:
            RpcPartial: the range's answer lacked some logs.
        """
        with_logs = [header for header in headers if logs[header.hash]]
        again = [*with_logs[-1:], *(h for h in headers if self._is_doubtful(h, logs[h.hash]))]
        for number, found in self._logs_of(again).items() if again else ():
            if list(map(_identity, found)) != list(map(_identity, logs[number])):
                self._narrow(len(headers))
                raise RpcPartial(
                    f"{self._node.host} has omitted logs of block {number} in the answer for"
                    f" blocks {headers[0].number} to {headers[-1].number}"
                )

    def _complete_from_receipts(
        self, headers: Sequence[Header], logs: dict[str, list[Log]]
    ) -> None:
        """Take the logs of blocks that are still doubtful from their receipts.

        Receipts must match the header's bloom filter exactly, so they cannot omit a log.
        """
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
                    "%s has omitted %d logs of block %d; they are taken from its receipts",
                    self._node.host,
                    len(whole) - len(logs[header.hash]),
                    header.number,
                )
            logs[header.hash] = whole

    def _is_doubtful(self, header: Header, logs: Iterable[Log]) -> bool:
        """Return whether the header's filter indicates an event of ours that these logs lack."""
        found = {(log["address"].lower(), log["topics"][0]) for log in logs if log["topics"]}
        return not self._decoder.promised(header.logs_bloom) <= found

    def _logs_in_receipts(self, header: Header) -> list[Log]:
        block = self._node.call("eth_getBlockByHash", header.hash, False)
        hashes = block["transactions"] if block else []
        receipts = self._node.batch([("eth_getTransactionReceipt", [h]) for h in hashes])
        logs = [log for receipt in receipts if receipt is not None for log in receipt["logs"]]
        if blooms.bloom_of(logs) != header.logs_bloom:
            raise RpcInconsistent(
                f"{self._node.host}: the receipts of block {header.number} do not match its header"
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
        raise RpcInconsistent(f"block {header.number} does not follow the block before it: a fork")
