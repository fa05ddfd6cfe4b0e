"""The operations that can be sent to the chain: one function for each kind.

Other packages call `outbox.enqueue(operations.submit_task(…))`, and `chain.sending.sender` does
the rest. An operation's key identifies it: operations that are enqueued under the same key again
are not sent twice. In payloads, addresses are checksummed, bytes are 0x hex, and integers are JSON
integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from eth_utils.address import to_checksum_address

from chain.protocol.addresses import checksummed
from chain.protocol.messages import (
    Ack,
    Commit,
    Precommit,
    Registration,
    TransferWithAuthorization,
    Verdict,
)


class OperationKind(models.TextChoices):
    """The kinds of operations, in the order in which they depend on each other.

    The sender sends pending operations in this order.
    """

    REGISTER_NODE = "register_node"
    SET_NODE_STATE = "set_node_state"
    SUBMIT_TASK = "submit_task"
    ASSIGN_TASK = "assign_task"
    REPLACE_MINER = "replace_miner"
    REPLACE_MINER_BY_DRAW = "replace_miner_by_draw"
    RELAY_ACK = "relay_ack"
    RELAY_PRECOMMIT = "relay_precommit"
    END_PRECOMMIT = "end_precommit"
    RELAY_COMMIT = "relay_commit"
    END_COMMIT = "end_commit"
    RELAY_VERDICT = "relay_verdict"
    END_TASK = "end_task"
    WITHDRAW_NODE_PAYMENT = "withdraw_node_payment"
    SETTLE_PAYMENT = "settle_payment"
    REFUND_PAYMENT = "refund_payment"
    # Network tasks come last, since they run only while the network is idle.
    RELAY_PING = "relay_ping"
    PRUNE_NODE = "prune_node"
    REQUEST_NETWORK_TASK = "request_network_task"
    NEXT_NETWORK_CREATOR = "next_network_creator"
    CREATE_NETWORK_TASK = "create_network_task"
    PREPARE_NETWORK_TASK = "prepare_network_task"
    START_NETWORK_TASK = "start_network_task"
    NETWORK_PRECOMMIT = "network_precommit"
    NETWORK_COMMIT = "network_commit"
    JUDGE_NETWORK_TASK = "judge_network_task"
    FORCE_NETWORK_TASK = "force_network_task"
    CLAIM_NETWORK_REWARD = "claim_network_reward"


@dataclass(frozen=True)
class Op:
    """An operation that can be enqueued."""

    kind: OperationKind
    key: str
    payload: dict[str, Any]


def register_node(registration: Registration, signature: bytes) -> Op:
    """Register a node with the node's own signature."""
    payload = {
        "node": to_checksum_address(registration.node),
        "operator": to_checksum_address(registration.operator),
        "nonce": registration.nonce,
        "signature": hex_text(signature),
    }
    return operation(OperationKind.REGISTER_NODE, payload, "node", "nonce")


def set_node_state(node: str, state: int, change: str) -> Op:
    """Set a node's state.

    Args:
        state: the contract's number of the state.
        change: distinguishes this change from an earlier one to the same state.
    """
    payload = {"node": to_checksum_address(node), "state": state, "change": change}
    return operation(OperationKind.SET_NODE_STATE, payload, "node", "state", "change")


def submit_task(
    *,
    session_id: int,
    task_id: int,
    task_data: str,
    prompt_type: int,
    prompt_template: str,
    llm_params: Sequence[int],
    request_params: Sequence[int],
    client_reference: str,
    max_input_tokens: int,
) -> Op:
    """Submit a task to the chain, with a number from this router's lane."""
    payload = {
        "session_id": session_id,
        "task_id": task_id,
        "task_data": task_data,
        "prompt_type": prompt_type,
        "prompt_template": prompt_template,
        "llm_params": list(llm_params),
        "request_params": list(request_params),
        "client_reference": client_reference,
        "max_input_tokens": max_input_tokens,
    }
    return operation(OperationKind.SUBMIT_TASK, payload, "session_id", "task_id")


def assign_task(session_id: int, task_id: int, miners: Sequence[str], model_identifier: int) -> Op:
    """Assign miners to a queued task. The model must be the session's model."""
    payload = {
        "session_id": session_id,
        "task_id": task_id,
        "miners": [checksummed(miner) for miner in miners],
        "model_identifier": int(model_identifier),
    }
    return operation(OperationKind.ASSIGN_TASK, payload, "session_id", "task_id")


def replace_miner(session_id: int, task_id: int, late: str, replacement: str) -> Op:
    """Replace a late miner of a task. A miner loses its place in a task at most once."""
    payload = {
        "session_id": session_id,
        "task_id": task_id,
        "late": to_checksum_address(late),
        "replacement": to_checksum_address(replacement),
    }
    return operation(OperationKind.REPLACE_MINER, payload, "session_id", "task_id", "late")


def replace_miner_by_draw(session_id: int, task_id: int, late: str) -> Op:
    """Replace a late miner by a draw on chain, once the oracle's time to choose has passed."""
    payload = {"session_id": session_id, "task_id": task_id, "late": to_checksum_address(late)}
    return operation(OperationKind.REPLACE_MINER_BY_DRAW, payload, "session_id", "task_id", "late")


def relay_ack(message: Ack, signature: bytes) -> Op:
    """Relay a miner's ack."""
    return _relayed(OperationKind.RELAY_ACK, message, signature)


def relay_precommit(message: Precommit, signature: bytes) -> Op:
    """Relay a miner's precommit."""
    return _relayed(OperationKind.RELAY_PRECOMMIT, message, signature, hash=hex_text(message.hash))


def relay_commit(message: Commit, signature: bytes) -> Op:
    """Relay a miner's reveal.

    The signature is kept in the payload but not sent to the chain: see
    `chain.protocol.messages.Commit`.
    """
    return _relayed(OperationKind.RELAY_COMMIT, message, signature, data=message.data)


def relay_verdict(message: Verdict, signature: bytes) -> Op:
    """Relay a validator's verdict on a task. A task has one verdict."""
    payload = {
        "session_id": message.session_id,
        "task_id": message.task_id,
        "task_digest": hex_text(message.task_digest),
        "input_tokens": message.input_tokens,
        "miners": [to_checksum_address(miner) for miner in message.miners],
        "accuracies_bps": list(message.accuracies_bps),
        "output_tokens": list(message.output_tokens),
        "signature": hex_text(signature),
    }
    return operation(OperationKind.RELAY_VERDICT, payload, "session_id", "task_id")


def end_precommit(session_id: int, task_id: int) -> Op:
    """End a task's precommit phase after its deadline."""
    return _forced(OperationKind.END_PRECOMMIT, session_id, task_id)


def end_commit(session_id: int, task_id: int) -> Op:
    """End a task's commit phase after its deadline."""
    return _forced(OperationKind.END_COMMIT, session_id, task_id)


def end_task(session_id: int, task_id: int) -> Op:
    """End a stuck task after the deadline of its stage. The unspent escrow is refunded."""
    return _forced(OperationKind.END_TASK, session_id, task_id)


def withdraw_node_payment(node: str, change: str) -> Op:
    """Pay out everything that a node is owed.

    Args:
        change: distinguishes this withdrawal from an earlier one.
    """
    payload = {"node": to_checksum_address(node), "change": change}
    return operation(OperationKind.WITHDRAW_NODE_PAYMENT, payload, "node", "change")


def settle_payment(transfer: TransferWithAuthorization, signature: bytes) -> Op:
    """Collect a payment that a payer has authorized."""
    return _transfer(OperationKind.SETTLE_PAYMENT, transfer, signature)


def refund_payment(transfer: TransferWithAuthorization, signature: bytes) -> Op:
    """Refund a payment, authorized by the account that received it."""
    return _transfer(OperationKind.REFUND_PAYMENT, transfer, signature)


def _transfer(kind: OperationKind, transfer: TransferWithAuthorization, signature: bytes) -> Op:
    payload = {
        "payer": to_checksum_address(transfer.payer),
        "to": to_checksum_address(transfer.to),
        "value": transfer.value,
        "valid_after": transfer.valid_after,
        "valid_before": transfer.valid_before,
        "nonce": hex_text(transfer.nonce),
        "signature": hex_text(signature),
    }
    return operation(kind, payload, "payer", "nonce")


def _relayed(
    kind: OperationKind,
    message: Ack | Precommit | Commit,
    signature: bytes,
    **values: Any,
) -> Op:
    payload = {
        "session_id": message.session_id,
        "task_id": message.task_id,
        "task_digest": hex_text(message.task_digest),
        "miner": to_checksum_address(message.miner),
        "signature": hex_text(signature),
        **values,
    }
    return operation(kind, payload, "session_id", "task_id", "miner")


def _forced(kind: OperationKind, session_id: int, task_id: int) -> Op:
    return operation(kind, {"session_id": session_id, "task_id": task_id}, "session_id", "task_id")


def operation(kind: OperationKind, payload: dict[str, Any], *identity: str) -> Op:
    """Return an operation whose key consists of its kind and these members of its payload."""
    key = ":".join([kind.value, *(str(payload[name]).lower() for name in identity)])
    return Op(kind, key, payload)


def hex_text(value: bytes) -> str:
    """Return bytes as 0x hex, the form that payloads have."""
    return "0x" + value.hex()
