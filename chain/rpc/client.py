"""A thin JSON-RPC client that neither formats values nor makes hidden requests.

A provider's URL may contain a secret key, so error messages contain only its host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from chain.errors import ChainError

TIMEOUT_S = 10.0
MAX_BATCH = 50
"""The most JSON-RPC calls in one HTTP request. Providers refuse larger batches."""

Call = tuple[str, Sequence[Any]]


class RpcError(ChainError):
    """Base class: the node did not answer the request as it should."""


class RpcUnavailable(RpcError):
    """The node gave no usable answer."""


class RpcInconsistent(RpcError):
    """The node's answers contradict each other: it lags, it lies, or the chain has just moved."""


class RpcPartial(RpcInconsistent):
    """The node answered without an error, but part of the answer is missing."""


class RpcRefused(RpcError):
    """The node answered with an error. `data` is the revert data of a call: 0x hex, or empty."""

    def __init__(self, method: str, host: str, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{method} at {host}: {message} (code {code})")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True)
class Header:
    """The parts of a block header that this project uses.

    `base_fee_wei` is the base fee for one unit of gas. `logs_bloom` is the bloom filter of the
    block's logs, 0 on chains that have none.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: datetime
    base_fee_wei: int
    logs_bloom: int = 0


class Node(Protocol):
    """The interface of one endpoint (`Rpc`) or several (`chain.rpc.endpoints.Endpoints`)."""

    @property
    def host(self) -> str:
        """The host that answers, for use in messages."""

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call. Raises RpcError."""

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of many calls, in their order. Raises RpcError."""

    def require_chain(self, expected: int) -> None:
        """Raise RpcInconsistent unless the node serves the chain with this id."""

    def latest(self) -> Header:
        """Return the header of the chain's head. Raises RpcError."""

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the headers of these blocks, None for unknown ones. Raises RpcError."""

    def witness(self) -> "Rpc | None":
        """Return another endpoint that can give a second opinion, or None."""

    def cross_check(self, number: int, block_hash: str) -> None:
        """Raise RpcInconsistent if other endpoints have a different block with this number."""


class Rpc:
    """One endpoint. Each request has a timeout. Retries are left to the caller."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or "?"
        self._client = httpx.Client(timeout=TIMEOUT_S)
        self._chain_id: int | None = None

    @property
    def host(self) -> str:
        """The endpoint's host: the only part of its URL that is never secret."""
        return self._host

    def witness(self) -> None:
        """Return None: there is no other endpoint."""

    def cross_check(self, number: int, block_hash: str) -> None:
        """Do nothing: there is no other endpoint to compare with."""

    def call(self, method: str, *params: Any) -> Any:
        """Return the result of one call.

        Raises:
            RpcUnavailable: the node gave no usable answer.
            RpcRefused: the node answered with an error.
        """
        return self._result(method, self._post(method, _request(0, method, params)))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Return the results of many calls, in their order, with as few HTTP requests as possible.

        Raises the errors of `call`. One refused call makes the whole batch raise.
        """
        results: list[Any] = []
        for start in range(0, len(calls), MAX_BATCH):
            part = calls[start : start + MAX_BATCH]
            answers = self._post(
                part[0][0], [_request(i, method, params) for i, (method, params) in enumerate(part)]
            )
            if not isinstance(answers, list):
                answers = [answers]
            by_id = {answer.get("id"): answer for answer in answers}
            results += [self._result(method, by_id.get(i)) for i, (method, _) in enumerate(part)]
        return results

    def require_chain(self, expected: int) -> None:
        """Raise RpcInconsistent unless this endpoint serves the chain with this id."""
        if self._chain_id is None:
            self._chain_id = int(self.call("eth_chainId"), 16)
        if self._chain_id != expected:
            given, self._chain_id = self._chain_id, None
            raise RpcInconsistent(
                f"{self.host} serves chain {given}, but the contracts are on chain {expected};"
                " correct RPC_URL or DEPLOYMENT_FILE"
            )

    def latest(self) -> Header:
        """Return the header of the chain's head."""
        header = header_of(self.call("eth_getBlockByNumber", "latest", False))
        if header is None:
            raise RpcInconsistent(f"{self.host}: there is no latest block; is the node syncing?")
        return header

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the headers of these blocks, None for those that the node does not have."""
        raw = self.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        return [header_of(block) for block in raw]

    def _post(self, method: str, body: Any) -> Any:
        try:
            response = self._client.post(self._url, json=body)
            response.raise_for_status()
            return response.json()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise RpcUnavailable(f"{method} at {self.host}: HTTP status {status}") from None
        except (httpx.HTTPError, ValueError) as error:
            name = type(error).__name__
            raise RpcUnavailable(f"{method} at {self.host}: no usable answer ({name})") from None

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
            raise RpcUnavailable(f"{method} at {self.host}: the answer is not JSON-RPC")
        error = answer.get("error")
        if error:
            data = error.get("data")
            raise RpcRefused(
                method,
                self.host,
                int(error.get("code", 0)),
                str(error.get("message", ""))[:500],
                data if isinstance(data, str) else "",
            )
        return answer["result"]


def header_of(block: Mapping[str, Any] | None) -> Header | None:
    """Return the header of a block in JSON-RPC's format, or None if there is no block."""
    if block is None:
        return None
    return Header(
        number=int(block["number"], 16),
        hash=block["hash"],
        parent_hash=block["parentHash"],
        timestamp=datetime.fromtimestamp(int(block["timestamp"], 16), UTC),
        base_fee_wei=int(block.get("baseFeePerGas") or "0x0", 16),
        logs_bloom=int(block.get("logsBloom") or "0x0", 16),
    )


def _request(number: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
