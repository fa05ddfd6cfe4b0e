"""The contract call for each kind of operation: function, account, arguments and gas limit.

The module is pure. Gas limits are upper bounds, not estimates. A batch must not run out of gas
because other transactions changed the state before it, and unused gas costs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_utils.abi import (
    abi_to_signature,
    collapse_if_tuple,
    function_abi_to_4byte_selector,
)

from chain.deployed.contracts import abi
from chain.operations import OperationKind
from chain.protocol.digests import addressed_digest
from chain.protocol.messages import short_signature

Payload = dict[str, Any]

PAYLOAD_ERRORS = (
    *(EncodingError, ValueError, TypeError, LookupError, AttributeError, OverflowError),
)
"""What an attempt to make a call of a payload may raise."""
GAS_A_TEXT_BYTE = 850
"""Gas for one byte of a text that is stored on chain: storage (22,100 a word), calldata and log."""


@dataclass(frozen=True)
class Relay:
    """The call that sends operations of one kind.

    `function` is a name, or a full signature if the contract has several functions of that name.
    `arguments` converts payloads to the call's arguments. `gas` returns an upper bound for one
    payload. `account` is the name of the keystore that signs. If `is_batch` is false, a call
    contains exactly one operation.
    """

    contract: str
    function: str
    account: str
    arguments: Callable[[Sequence[Payload]], list[Any]]
    gas: Callable[[Payload], int]
    is_batch: bool = True


def calldata(kind: OperationKind, payloads: Sequence[Payload]) -> bytes:
    """Return the calldata that sends these operations."""
    relay = RELAYS[kind]
    selector, types = _signature(relay.contract, relay.function)
    return selector + encode(types, relay.arguments(payloads))


def error_of(kind: str, payload: Payload) -> Exception | None:
    """Why no call can be made of an operation, however often it is tried; None if one can."""
    try:
        relay = RELAYS[OperationKind(kind)]
    except ValueError as error:
        return error
    # An ABI without the function would be a mistake of the program, and no operation's fault.
    _signature(relay.contract, relay.function)
    try:
        relay.gas(payload)
        calldata(OperationKind(kind), [payload])
    except PAYLOAD_ERRORS as error:
        return error
    return None


def _submission(payload: Payload) -> tuple[Any, ...]:
    return tuple(
        payload[name]
        for name in (
            "session_id",
            "task_id",
            "task_data",
            "prompt_type",
            "prompt_template",
            "llm_params",
            "request_params",
            "client_reference",
            "max_input_tokens",
        )
    )


def _assignment(payload: Payload) -> tuple[Any, ...]:
    return tuple(payload[name] for name in ("session_id", "task_id", "miners", "model_identifier"))


def _replacement(payload: Payload) -> tuple[Any, ...]:
    return tuple(payload[name] for name in ("session_id", "task_id", "late", "replacement"))


def _task(payload: Payload) -> tuple[Any, ...]:
    return payload["session_id"], payload["task_id"]


def _ack(payload: Payload) -> tuple[Any, ...]:
    return (*_task(payload), payload["miner"], *_signature_of(payload))


def _precommit(payload: Payload) -> tuple[Any, ...]:
    hashed = _bytes(payload["hash"])
    return (*_task(payload), payload["miner"], hashed, *_signature_of(payload))


def _verdict(payload: Payload) -> tuple[Any, ...]:
    names = ("input_tokens", "miners", "accuracies_bps", "output_tokens")
    verdict = (*_task(payload), *(payload[name] for name in names))
    return (verdict, *_signature_of(payload))


def _signature_of(payload: Payload) -> tuple[bytes, bytes]:
    return short_signature(_bytes(payload["signature"]))


def _commits(payloads: Sequence[Payload]) -> list[Any]:
    """Return the arguments of `relayCommits`: a list of items and a list of plain texts.

    A result that is revealed by its address is an item with the address's digest. A plain text is
    an item with digest zero, and the text follows in the second list.
    """
    items, texts = [], []
    for payload in payloads:
        content = addressed_digest(payload["data"])
        items.append((*_task(payload), payload["miner"], content or bytes(32)))
        if content is None:
            texts.append(payload["data"])
    return [items, texts]


def _registration(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    registration = tuple(payload[name] for name in ("node", "operator", "nonce"))
    return [registration, _bytes(payload["signature"])]


def _node_state(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["node"], payload["state"]]


def _draw(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [*_task(payload), payload["late"]]


def _node(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["node"]]


def _transfer(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    terms = [payload[name] for name in ("payer", "to", "value", "valid_after", "valid_before")]
    return [*terms, _bytes(payload["nonce"]), _bytes(payload["signature"])]


def _no_arguments(_: Sequence[Payload]) -> list[Any]:
    return []


def _pings(payloads: Sequence[Payload]) -> list[Any]:
    return [[(p["node"], p["time"]) for p in payloads], _signatures(payloads)]


def _nodes(payloads: Sequence[Payload]) -> list[Any]:
    return [[payload["node"] for payload in payloads]]


def _network_creation(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["domain"], payload["subdomain"], _bytes(payload["signature"])]


def _network_preparation(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    signature = _bytes(payload["signature"])
    return [payload["id"], payload["challenges"], signature, payload["seed"]]


def _network_session(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["id"]]


def _network_precommits(payloads: Sequence[Payload]) -> list[Any]:
    items = [(p["id"], p["seed"], _bytes(p["hash"])) for p in payloads]
    return [items, _signatures(payloads)]


def _network_commits(payloads: Sequence[Payload]) -> list[Any]:
    items = [(p["id"], p["seed"], p["completion"], p["salt"]) for p in payloads]
    return [items, _signatures(payloads)]


def _network_verdict(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["id"], payload["accuracies_bps"], _bytes(payload["signature"])]


def _forced_network_session(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["id"], True]


def _claim(payloads: Sequence[Payload]) -> list[Any]:
    [payload] = payloads
    return [payload["node"], [payload["epoch"]]]


def _signatures(payloads: Sequence[Payload]) -> list[bytes]:
    return [_bytes(payload["signature"]) for payload in payloads]


def _listed(element: Callable[[Payload], tuple[Any, ...]]) -> Callable[..., list[Any]]:
    return lambda payloads: [[element(payload) for payload in payloads]]


def _flat(gas: int) -> Callable[[Payload], int]:
    return lambda _: gas


def _submission_gas(payload: Payload) -> int:
    texts = payload["task_data"] + payload["prompt_template"] + payload["client_reference"]
    words = len(payload["llm_params"]) + len(payload["request_params"])
    return 350_000 + GAS_A_TEXT_BYTE * len(texts.encode()) + 2_000 * words


def _assignment_gas(payload: Payload) -> int:
    return 100_000 + 85_000 * len(payload["miners"])


def _commit_gas(payload: Payload) -> int:
    return 150_000 + GAS_A_TEXT_BYTE * len(payload["data"].encode())


def _verdict_gas(payload: Payload) -> int:
    return 150_000 + 60_000 * len(payload["miners"])


def _preparation_gas(payload: Payload) -> int:
    return 400_000 + GAS_A_TEXT_BYTE * sum(len(text.encode()) for text in payload["challenges"])


def _completion_gas(payload: Payload) -> int:
    return 250_000 + GAS_A_TEXT_BYTE * len(payload["completion"].encode())


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


@cache
def _signature(contract: str, function: str) -> tuple[bytes, list[str]]:
    [element] = [
        element
        for element in abi(contract)
        if element["type"] == "function"
        and function in (element["name"], abi_to_signature(element))
    ]
    types = [collapse_if_tuple(part) for part in element["inputs"]]
    return function_abi_to_4byte_selector(element), types


_FORCED_GAS = 800_000
"""Ending a task can fail up to 16 miners and settle the task."""
_DRAW_GAS = 1_500_000
"""A draw examines up to 64 nodes, or up to 128 places of the roll of network-task nodes."""
TRANSFER_GAS = 250_000
"""For one payment. A contract wallet runs its own code to check the signature."""
TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
_OUTCOMES_GAS = 1_500_000
"""Ending a network task writes the records and points of up to ten nodes."""

RELAYS: dict[OperationKind, Relay] = {
    OperationKind.REGISTER_NODE: Relay(
        "NodePool", "registerFor", "router", _registration, _flat(300_000), is_batch=False
    ),
    OperationKind.SET_NODE_STATE: Relay(
        "NodePool", "setNodeState", "oracle", _node_state, _flat(150_000), is_batch=False
    ),
    OperationKind.SUBMIT_TASK: Relay(
        "Session", "relaySubmissions", "router", _listed(_submission), _submission_gas
    ),
    OperationKind.ASSIGN_TASK: Relay(
        "SessionQueue", "assignTasks", "router", _listed(_assignment), _assignment_gas
    ),
    OperationKind.REPLACE_MINER: Relay(
        "SessionQueue", "replaceMiners", "oracle", _listed(_replacement), _flat(200_000)
    ),
    OperationKind.REPLACE_MINER_BY_DRAW: Relay(
        "SessionQueue", "replaceMinerByDraw", "router", _draw, _flat(_DRAW_GAS), is_batch=False
    ),
    OperationKind.RELAY_ACK: Relay(
        "SessionQueue", "relayAcks", "router", _listed(_ack), _flat(90_000)
    ),
    OperationKind.RELAY_PRECOMMIT: Relay(
        "SessionQueue", "relayPrecommits", "router", _listed(_precommit), _flat(150_000)
    ),
    OperationKind.END_PRECOMMIT: Relay(
        "SessionQueue", "endPrecommits", "oracle", _listed(_task), _flat(_FORCED_GAS)
    ),
    OperationKind.RELAY_COMMIT: Relay(
        "SessionQueue", "relayCommits", "router", _commits, _commit_gas
    ),
    OperationKind.END_COMMIT: Relay(
        "SessionQueue", "endCommits", "router", _listed(_task), _flat(_FORCED_GAS)
    ),
    OperationKind.RELAY_VERDICT: Relay(
        "SessionQueue", "relayVerdicts", "router", _listed(_verdict), _verdict_gas
    ),
    OperationKind.END_TASK: Relay(
        "SessionQueue", "endTasks", "oracle", _listed(_task), _flat(_FORCED_GAS)
    ),
    OperationKind.WITHDRAW_NODE_PAYMENT: Relay(
        "SessionPayment", "withdrawNodePaymentFor", "router", _node, _flat(200_000), is_batch=False
    ),
    **dict.fromkeys(
        (OperationKind.SETTLE_PAYMENT, OperationKind.REFUND_PAYMENT),
        Relay("CortensorToken", TRANSFER, "router", _transfer, _flat(TRANSFER_GAS), is_batch=False),
    ),
    OperationKind.RELAY_PING: Relay("Cognitive", "relayPings", "router", _pings, _flat(250_000)),
    OperationKind.PRUNE_NODE: Relay("Cognitive", "prune", "router", _nodes, _flat(60_000)),
    OperationKind.REQUEST_NETWORK_TASK: Relay(
        "Cognitive", "request", "router", _no_arguments, _flat(_DRAW_GAS), is_batch=False
    ),
    OperationKind.NEXT_NETWORK_CREATOR: Relay(
        "Cognitive", "requestNextCreator", "router", _no_arguments, _flat(_DRAW_GAS), is_batch=False
    ),
    OperationKind.CREATE_NETWORK_TASK: Relay(
        "Cognitive", "relayCreate", "router", _network_creation, _flat(_DRAW_GAS), is_batch=False
    ),
    OperationKind.PREPARE_NETWORK_TASK: Relay(
        "Cognitive", "prepare", "router", _network_preparation, _preparation_gas, is_batch=False
    ),
    OperationKind.START_NETWORK_TASK: Relay(
        "Cognitive", "start", "router", _network_session, _flat(_DRAW_GAS), is_batch=False
    ),
    OperationKind.NETWORK_PRECOMMIT: Relay(
        "Cognitive", "relayPrecommits", "router", _network_precommits, _flat(250_000)
    ),
    OperationKind.NETWORK_COMMIT: Relay(
        "Cognitive", "relayCommits", "router", _network_commits, _completion_gas
    ),
    OperationKind.JUDGE_NETWORK_TASK: Relay(
        "Cognitive", "judge", "router", _network_verdict, _flat(_OUTCOMES_GAS), is_batch=False
    ),
    OperationKind.FORCE_NETWORK_TASK: Relay(
        "Cognitive", "end", "router", _forced_network_session, _flat(_OUTCOMES_GAS), is_batch=False
    ),
    OperationKind.CLAIM_NETWORK_REWARD: Relay(
        "NetworkRewards", "claimFor", "router", _claim, _flat(200_000), is_batch=False
    ),
}
