"""Reads the state of the contract Cognitive. All values are of the same block."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector

from chain.deployed.contracts import Deployment, abi
from chain.rpc.client import Call, Node
from mining.network.decisions import Completer, Request, Session, Situation, State

_NO_HASH = bytes(32)


@dataclass(frozen=True)
class Revealed:
    """A session's answers, in the order of its completers.

    The entry of a completer that has not revealed is None.
    """

    nodes: list[str]
    completions: list[str | None]


def read_situation(rpc: Node, deployment: Deployment) -> Situation:
    """Read the latest request and its session, at the head. Raises RpcError."""
    reader = _Reader(rpc, deployment)
    (number,) = reader.read(("requestCounter", []))
    if number == 0:
        return Situation(reader.block, reader.time, None, None)
    (request,) = reader.read(("getRequest", [number]))
    session_number = request["sessionId"]
    return Situation(
        block=reader.block,
        time=reader.time,
        request=Request(
            number=number,
            asked=request["asked"],
            closed=request["closed"],
            deadline=request["deadline"],
            draw_block=request["drawBlock"],
            seed=request["seed"],
            session=session_number,
            creators=[address.lower() for address in request["creators"]],
        ),
        session=None if session_number == 0 else reader.session(session_number),
    )


def read_session(rpc: Node, deployment: Deployment, number: int) -> tuple[Session, Revealed]:
    """Read a session and what its completers have revealed, at the head. Raises RpcError."""
    reader = _Reader(rpc, deployment)
    return reader.session(number), reader.revealed(number)


def read_epoch_seconds(rpc: Node, deployment: Deployment) -> int:
    """Read how many seconds an epoch of NetworkRewards lasts. Raises RpcError."""
    selector, _, _ = _function("NetworkRewards", "epochSeconds")
    call = {"to": deployment.addresses["NetworkRewards"], "data": "0x" + selector.hex()}
    return int(rpc.call("eth_call", call, "latest"), 16)


class _Reader:
    """Calls the views of Cognitive at one block."""

    def __init__(self, rpc: Node, deployment: Deployment) -> None:
        self._rpc = rpc
        self._address = deployment.addresses["Cognitive"]
        head = rpc.latest()
        self.block, self.time = head.number, int(head.timestamp.timestamp())

    def read(self, *calls: tuple[str, list[Any]]) -> list[Any]:
        """Call views, and return the value of each. Structs become dictionaries."""
        results = self._rpc.batch([self._call(name, arguments) for name, arguments in calls])
        return [
            _decoded(name, bytes.fromhex(result[2:]))
            for (name, _), result in zip(calls, results, strict=True)
        ]

    def session(self, number: int) -> Session:
        shown, deadline, prompt = self.read(
            ("get", [number]), ("getSessionDeadline", [number]), ("getPrompt", [number])
        )
        state = State(shown["state"])
        completers = [
            Completer(
                node=miner.lower(),
                precommitted=shown["completionHashes"][place] != _NO_HASH,
                committed=shown["submitterIds"][place] != _NO_HASH,
            )
            for place, miner in enumerate(shown["miners"])
        ]
        return Session(
            number=number,
            seed=shown["seed"],
            state=state,
            deadline=deadline,
            domain=shown["domain"],
            subdomain=shown["subdomain"],
            preparers=[address.lower() for address in shown["preparers"]],
            turn=shown["preparerIndex"],
            prompt=prompt,
            completers=completers,
        )

    def revealed(self, number: int) -> Revealed:
        (shown,) = self.read(("get", [number]))
        return Revealed(
            nodes=[miner.lower() for miner in shown["miners"]],
            completions=[
                text if submitter != _NO_HASH else None
                for text, submitter in zip(shown["completions"], shown["submitterIds"], strict=True)
            ],
        )

    def _call(self, name: str, arguments: list[Any]) -> Call:
        selector, inputs, _ = _function("Cognitive", name)
        data = "0x" + (selector + encode(inputs, arguments)).hex()
        return "eth_call", [{"to": self._address, "data": data}, hex(self.block)]


def _decoded(name: str, data: bytes) -> Any:
    _, _, output = _function("Cognitive", name)
    (value,) = decode([collapse_if_tuple(output)], data)
    if "components" not in output:
        return value
    names = [component["name"] for component in output["components"]]
    return dict(zip(names, value, strict=True))


@cache
def _function(contract: str, name: str) -> tuple[bytes, list[str], Any]:
    [element] = [
        element
        for element in abi(contract)
        if element["type"] == "function" and element["name"] == name
    ]
    inputs = [collapse_if_tuple(part) for part in element["inputs"]]
    [output] = element["outputs"]
    return function_abi_to_4byte_selector(element), inputs, output
