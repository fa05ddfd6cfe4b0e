"""The operations of network tasks: one function for each kind, as in `chain.operations`."""

from eth_utils.address import to_checksum_address

from chain.operations import Op, OperationKind, hex_text, operation
from chain.protocol.network_messages import (
    NetworkCommit,
    NetworkCreate,
    NetworkPrecommit,
    NetworkPrepare,
    NetworkVerdict,
    Ping,
)


def relay_ping(message: Ping, signature: bytes) -> Op:
    """Relay a node's ping."""
    payload = {"node": to_checksum_address(message.node), "time": message.time}
    payload["signature"] = hex_text(signature)
    return operation(OperationKind.RELAY_PING, payload, "node", "time")


def prune_node(node: str, pinged_at: int) -> Op:
    """Remove a node from the roll.

    Args:
        pinged_at: the time of the node's last ping, in seconds since 1970.
    """
    payload = {"node": to_checksum_address(node), "pinged_at": pinged_at}
    return operation(OperationKind.PRUNE_NODE, payload, "node", "pinged_at")


def request_network_task(request_id: int) -> Op:
    """Request the next network task. Its request will have this number."""
    return operation(OperationKind.REQUEST_NETWORK_TASK, {"request_id": request_id}, "request_id")


def next_network_creator(request_id: int, asked: int, draw_block: int) -> Op:
    """Draw the creators of a request, or pass the turn to its next creator.

    Args:
        asked: how many creators have let their turn pass.
        draw_block: the block whose hash seeds the draw, or 0 once the creators are drawn.
    """
    payload = {"request_id": request_id, "asked": asked, "draw_block": draw_block}
    return operation(OperationKind.NEXT_NETWORK_CREATOR, payload, *payload)


def create_network_task(message: NetworkCreate, signature: bytes) -> Op:
    """Relay a creator's virtual block."""
    payload = {
        "request_id": message.request_id,
        "seed": message.seed,
        "domain": message.domain,
        "subdomain": message.subdomain,
        "signature": hex_text(signature),
    }
    return operation(OperationKind.CREATE_NETWORK_TASK, payload, "request_id", "seed")


def prepare_network_task(message: NetworkPrepare, preparer: str, signature: bytes) -> Op:
    """Relay a preparer's prompts."""
    payload = {
        "id": message.id,
        "seed": message.seed,
        "preparer": to_checksum_address(preparer),
        "challenges": list(message.challenges),
        "signature": hex_text(signature),
    }
    return operation(OperationKind.PREPARE_NETWORK_TASK, payload, "id", "seed", "preparer")


def start_network_task(session_id: int, seed: int) -> Op:
    """Draw the completers of a prepared network task."""
    payload = {"id": session_id, "seed": seed}
    return operation(OperationKind.START_NETWORK_TASK, payload, "id", "seed")


def network_precommit(message: NetworkPrecommit, miner: str, signature: bytes) -> Op:
    """Relay a completer's precommit."""
    payload = {
        "id": message.id,
        "seed": message.seed,
        "miner": to_checksum_address(miner),
        "hash": hex_text(message.hash),
        "signature": hex_text(signature),
    }
    return operation(OperationKind.NETWORK_PRECOMMIT, payload, "id", "seed", "miner")


def network_commit(message: NetworkCommit, miner: str, signature: bytes) -> Op:
    """Relay a completer's reveal."""
    payload = {
        "id": message.id,
        "seed": message.seed,
        "miner": to_checksum_address(miner),
        "completion": message.completion,
        "salt": message.salt,
        "signature": hex_text(signature),
    }
    return operation(OperationKind.NETWORK_COMMIT, payload, "id", "seed", "miner")


def judge_network_task(message: NetworkVerdict, signature: bytes) -> Op:
    """Relay a validator's verdict on a network task."""
    payload = {
        "id": message.id,
        "seed": message.seed,
        "accuracies_bps": list(message.accuracies_bps),
        "signature": hex_text(signature),
    }
    return operation(OperationKind.JUDGE_NETWORK_TASK, payload, "id", "seed")


def force_network_task(session_id: int, seed: int, stage: str) -> Op:
    """Force a network task on to its next stage after the deadline of the current one.

    Args:
        stage: the current stage. It distinguishes the operation from those of other stages.
    """
    payload = {"id": session_id, "seed": seed, "stage": stage}
    return operation(OperationKind.FORCE_NETWORK_TASK, payload, "id", "seed", "stage")


def claim_network_reward(node: str, epoch: int) -> Op:
    """Pay a node its reward for an epoch that is over."""
    payload = {"node": to_checksum_address(node), "epoch": epoch}
    return operation(OperationKind.CLAIM_NETWORK_REWARD, payload, "node", "epoch")
