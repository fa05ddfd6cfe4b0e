"""A minimal JSON-RPC client for reading contracts of an EVM chain."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import httpx
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from mining.node.account.reverts import reason_of
from mining.node.errors import NodeError

TIMEOUT_S = 5.0


class ChainUnavailable(NodeError):
    """The RPC endpoint does not answer, or its answer is invalid. A later attempt may succeed.

    `code` goes into reports.
    """

    code = "chain_unavailable"
    temporary = True


class CallReverted(NodeError):
    """The contract refuses the call."""


class Rpc:
    """An RPC endpoint of a chain. Threads may share it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S)
        self._numbers = count(1)

    def request(self, method: str, *params: object) -> Any:
        """Send a JSON-RPC request and return its result.

        Raises:
            CallReverted: a contract refuses the call, or the account cannot pay for its gas.
            ChainUnavailable: the endpoint does not answer, or refuses the request.
        """
        body = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}
        try:
            answer = self._client.post("", json=body).raise_for_status().json()
            if "error" not in answer:
                return answer["result"]
            message = str(answer["error"].get("message", answer["error"]))
            reason = reason_of(str(answer["error"].get("data", "")))
        except (httpx.HTTPError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ChainUnavailable(f"RPC_URL: no valid answer to {method} ({error})") from error
        if reason or "revert" in message:
            raise CallReverted(reason or message)
        if "insufficient funds" in message.lower():
            raise CallReverted(
                "gas: this node's account has too little of the chain's own currency to pay for"
                " the transaction; send it some"
            )
        raise ChainUnavailable(f"RPC_URL: {method} is refused ({message})")

    def chain_id(self) -> int:
        """Return the chain's id."""
        return int(self.request("eth_chainId"), 16)

    def call(
        self, contract: str, signature: str, arguments: Sequence[object], returns: Sequence[str]
    ) -> tuple[Any, ...]:
        """Call a view at the latest block, as in `call(pool, "nonces(address)", [a], ["uint256"])`.

        Args:
            contract: the address of the contract.
            signature: the signature of the view.
            arguments: the arguments of the call.
            returns: the types of the returned values.

        Raises:
            CallReverted: the contract refuses the call, or has no such view.
            ChainUnavailable: the endpoint does not answer.
        """
        types = [kind for kind in signature.partition("(")[2][:-1].split(",") if kind]
        data = keccak(text=signature)[:4] + encode(types, list(arguments))
        raw = self.request("eth_call", {"to": contract, "data": "0x" + data.hex()}, "latest")
        try:
            return tuple(decode(list(returns), bytes.fromhex(raw[2:])))
        except (DecodingError, ValueError, TypeError) as error:
            raise CallReverted(f"{signature}: {contract} has no such function") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
