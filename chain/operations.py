"""What can be sent to the chain: one function for each kind of operation.

`outbox.enqueue(operations.submit_task(…))` is all that other packages do; `chain.sending.sender`
does the rest. The key makes an operation one: what is enqueued again under the same key is not
done twice. In payloads addresses are checksummed, bytes are 0x hex, and integers are JSON integers.
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
    """In the order in which they depend on each other; the sender keeps it."""

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
    # Network tasks come last: they are for idle times.
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
    """An operation to be enqueued."""

    kind: OperationKind
    key: str
    payload: dict[str, Any]


def register_node(registration: Registration, signature: bytes) -> Op:
    """Register a node by its own signature."""
    payload = {
        "node": to_checksum_address(registration.node),
        "operator": to_checksum_address(registration.operator),
        "nonce": registration.nonce,
        "signature": hex_text(signature),
    }
    return operation(OperationKind.REGISTER_NODE, payload, "node", "nonce")


def set_node_state(node: str, state: int, change: str) -> Op:
    """Set a node's state, by the contract's numbers.

    `change` tells this change from an earlier one to the same state.
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
    """Put a task on chain under a number of this router's lane."""
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
    """Put miners on a queued task; the model is the session's."""
    payload = {
        "session_id": session_id,
        "task_id": task_id,
        "miners": [checksummed(miner) for miner in miners],
        "model_identifier": int(model_identifier),
    }
    return operation(OperationKind.ASSIGN_TASK, payload, "session_id", "task_id")


def replace_miner(session_id: int, task_id: int, late: str, replacement: str) -> Op:
    """Give a late miner's place to another; a miner loses its place once."""
    payload = {
        "session_id": session_id,
        "task_id": task_id,
        "late": to_checksum_address(late),
        "replacement": to_checksum_address(replacement),
    }
    return operation(OperationKind.REPLACE_MINER, payload, "session_id", "task_id", "late")


def replace_miner_by_draw(session_id: int, task_id: int, late: str) -> Op:
    """Give a late miner's place to the next of the chain's draw, once no oracle may choose."""
    payload = {"session_id": session_id, "task_id": task_id, "late": to_checksum_address(late)}
    return operation(OperationKind.REPLACE_MINER_BY_DRAW, payload, "session_id", "task_id", "late")


def relay_ack(message: Ack, signature: bytes) -> Op:
    """Relay a miner's ack."""
    return _relayed(OperationKind.RELAY_ACK, message, signature)


def relay_precommit(message: Precommit, signature: bytes) -> Op:
    """Relay a miner's precommit."""
    return _relayed(OperationKind.RELAY_PRECOMMIT, message, signature, hash=hex_text(message.hash))


def relay_commit(message: Commit, signature: bytes) -> Op:
    """Relay a miner's reveal. The signature stays here: see chain.protocol.messages.Commit."""
    return _relayed(OperationKind.RELAY_COMMIT, message, signature, data=message.data)


def relay_verdict(message: Verdict, signature: bytes) -> Op:
    """Relay a validator's verdict on a task; there is one."""
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
    """End a stuck task after the deadline of its stage; what it has not paid is refunded."""
    return _forced(OperationKind.END_TASK, session_id, task_id)


def withdraw_node_payment(node: str, change: str) -> Op:
    """Push to a node all that it is owed; `change` tells this withdrawal from an earlier one."""
    payload = {"node": to_checksum_address(node), "change": change}
    return operation(OperationKind.WITHDRAW_NODE_PAYMENT, payload, "node", "change")


def settle_payment(transfer: TransferWithAuthorization, signature: bytes) -> Op:
    """Take what a payer has signed away."""
    return _transfer(OperationKind.SETTLE_PAYMENT, transfer, signature)


def refund_payment(transfer: TransferWithAuthorization, signature: bytes) -> Op:
    """Give a payment back, by the signature of the account that holds it."""
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
    """An operation that is the only one with these members of its payload."""
    key = ":".join([kind.value, *(str(payload[name]).lower() for name in identity)])
    return Op(kind, key, payload)


def hex_text(value: bytes) -> str:
    """Bytes as payloads have them."""
    return "0x" + value.hex()
