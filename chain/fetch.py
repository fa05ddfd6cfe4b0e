"""Fetching of events, block by block at the head and in ranges behind it.

Whatever comes back belongs to one fork: what does not fit together is refused, and asked for again.
"""

from dataclasses import dataclass
from typing import Any

from chain.contracts import Deployment
from chain.logs import LogDecoder
from chain.projections import EventRecord
from chain.rpc import Header, Rpc, RpcInconsistent, RpcRefused

SINGLE_BLOCKS = 8
"""Up to so many blocks are asked for by their hashes, which no fork can mix."""
MAX_RANGE = 2000


@dataclass(frozen=True)
class Batch:
    """Consecutive blocks: the headers of those with events and of the last one, and the events."""

    headers: list[Header]
    events: list[EventRecord]


class Fetcher:
    """Fetches what comes next. Ranges adapt to what the node is willing to answer."""

    def __init__(self, rpc: Rpc, deployment: Deployment) -> None:
        self._rpc = rpc
        self._decoder = LogDecoder(deployment)
        self._range = MAX_RANGE

    def fetch(self, first: int, head: Header, parent_hash: str | None) -> Batch:
        """The blocks from `first` on, as far as one batch reaches.

        Args:
            parent_hash: of the first block, None where it does not matter.

        Raises:
            RpcInconsistent: the answers belong to different forks.
            RpcError: the node did not answer.
        """
        if head.number - first < SINGLE_BLOCKS:
            return self._blocks(first, head, parent_hash)
        return self._blocks_between(first, min(head.number, first + self._range - 1), parent_hash)

    def _blocks(self, first: int, head: Header, parent_hash: str | None) -> Batch:
        between = self._rpc.headers(range(first, head.number)) if first < head.number else []
        headers = [self._present(header) for header in between] + [head]
        for header in headers:
            _require_parent(header, parent_hash)
            parent_hash = header.hash
        answers = self._rpc.batch(
            [("eth_getLogs", [self._filter(blockHash=header.hash)]) for header in headers]
        )
        by_hash = {header.hash: header for header in headers}
        return Batch(headers, self._decode([log for logs in answers for log in logs], by_hash))

    def _blocks_between(self, first: int, last: int, parent_hash: str | None) -> Batch:
        before = self._headers([first, last])
        _require_parent(before[first], parent_hash)
        logs = self._logs_between(first, last)
        numbers = {int(log["blockNumber"], 16) for log in logs}
        # Asked for after the logs: when the last block is still the same, so is all before it.
        headers = self._headers(sorted(numbers | {last}))
        if headers[last].hash != before[last].hash:
            raise RpcInconsistent(f"{self._rpc.host}: the chain moved while it was read")
        by_hash = {header.hash: header for header in headers.values()}
        return Batch(list(headers.values()), self._decode(logs, by_hash))

    def _logs_between(self, first: int, last: int) -> list[dict[str, Any]]:
        try:
            logs: list[dict[str, Any]] = self._rpc.call(
                "eth_getLogs", self._filter(fromBlock=hex(first), toBlock=hex(last))
            )
        except RpcRefused:
            # Providers limit ranges by blocks, results or time, each in its own words.
            self._range = max((last - first + 1) // 2, 1)
            raise
        self._range = min(self._range * 2, MAX_RANGE)
        return logs

    def _decode(self, logs: list[dict[str, Any]], headers: dict[str, Header]) -> list[EventRecord]:
        events = []
        for log in logs:
            header = headers.get(log["blockHash"])
            if header is None or log.get("removed"):
                raise RpcInconsistent(f"{self._rpc.host}: a log is of a block on another fork")
            try:
                event = self._decoder.decode(log, header.timestamp)
            except KeyError:
                raise RpcInconsistent(
                    f"{self._rpc.host}: a log of another contract, {log['address']}"
                ) from None
            if event is not None:
                events.append(event)
        return sorted(events, key=lambda event: (event.block_number, event.log_index))

    def _headers(self, numbers: list[int]) -> dict[int, Header]:
        headers = [self._present(header) for header in self._rpc.headers(numbers)]
        return {header.number: header for header in headers}

    def _present(self, header: Header | None) -> Header:
        if header is None:
            raise RpcInconsistent(f"{self._rpc.host}: a block below the head is missing")
        return header

    def _filter(self, **where: str) -> dict[str, Any]:
        return {"address": self._decoder.addresses, **where}


def _require_parent(header: Header, parent_hash: str | None) -> None:
    if parent_hash is not None and header.parent_hash != parent_hash:
        raise RpcInconsistent(f"block {header.number} does not follow the stored one: a fork")
