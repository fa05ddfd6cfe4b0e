"""A thin JSON-RPC client: no formatting, no hidden requests, and errors without secrets.

A provider's URL may hold a key: messages name its host only.
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
"""Requests in one HTTP request; providers refuse larger batches."""

Call = tuple[str, Sequence[Any]]


class RpcError(ChainError):
    """Base: the node did not do what was asked."""


class RpcUnavailable(RpcError):
    """No usable answer came."""


class RpcInconsistent(RpcError):
    """The node's answers do not fit together: it lags, lies, or the chain has just moved."""


class RpcPartial(RpcInconsistent):
    """An answer was not refused, and leaves out what has to be in it."""


class RpcRefused(RpcError):
    """The node answered with an error; `data` is the revert data of a call, 0x hex or empty."""

    def __init__(self, method: str, host: str, code: int, message: str, data: str = "") -> None:
        super().__init__(f"{method} at {host}: {message} (code {code})")
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True)
class Header:
    """What of a block we look at; `base_fee_wei` is for a unit of gas, `logs_bloom` the filter
    of its logs (0 where a chain keeps none)."""

    number: int
    hash: str
    parent_hash: str
    timestamp: datetime
    base_fee_wei: int
    logs_bloom: int = 0


class Node(Protocol):
    """Who answers: one endpoint (`Rpc`), or several (`chain.rpc.endpoints.Endpoints`)."""

    @property
    def host(self) -> str:
        """Whose answers these are; a name for messages."""

    def call(self, method: str, *params: Any) -> Any:
        """The result of one request. Raises RpcError."""

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of many requests, in their order. Raises RpcError."""

    def require_chain(self, expected: int) -> None:
        """Raise RpcInconsistent unless this is the chain of that id."""

    def latest(self) -> Header:
        """The header of the head. Raises RpcError."""

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """The headers of some blocks, None for those that are not known. Raises RpcError."""

    def witness(self) -> "Rpc | None":
        """Another endpoint, to be asked for a second opinion."""

    def cross_check(self, number: int, block_hash: str) -> None:
        """Raise RpcInconsistent when other endpoints know another block of that number."""


class Rpc:
    """One endpoint. Each request has a time-out; whether to try again is up to the caller."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or "?"
        self._client = httpx.Client(timeout=TIMEOUT_S)
        self._chain_id: int | None = None

    @property
    def host(self) -> str:
        """The endpoint's host: all of its URL that is no secret."""
        return self._host

    def witness(self) -> None:
        """There is no other endpoint."""

    def cross_check(self, number: int, block_hash: str) -> None:
        """There is nobody to disagree."""

    def call(self, method: str, *params: Any) -> Any:
        """The result of one request.

        Raises:
            RpcUnavailable: no answer.
            RpcRefused: the node answered with an error.
        """
        return self._result(method, self._post(method, _request(0, method, params)))

    def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of many requests, in their order, in as few HTTP requests as possible.

        Raises as `call`; one refused request counts for all.
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
        """Raise RpcInconsistent unless this endpoint serves the chain of that id."""
        if self._chain_id is None:
            self._chain_id = int(self.call("eth_chainId"), 16)
        if self._chain_id != expected:
            given, self._chain_id = self._chain_id, None
            raise RpcInconsistent(
                f"{self.host} serves chain {given}, the contracts are on chain {expected};"
                " mend RPC_URL or DEPLOYMENT_FILE"
            )

    def latest(self) -> Header:
        """The header of the head."""
        header = header_of(self.call("eth_getBlockByNumber", "latest", False))
        if header is None:
            raise RpcInconsistent(f"{self.host}: there is no latest block; is the node syncing?")
        return header

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """The headers of some blocks, None for those that the node does not have."""
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
            raise RpcUnavailable(f"{method} at {self.host}: the answer is no JSON-RPC")
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
    """The part of a block that we look at."""
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
