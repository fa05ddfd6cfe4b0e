"""What can be sent to the chain of network tasks: `chain.operations` for idle times."""

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
    """Relay that a node is there."""
    payload = {"node": to_checksum_address(message.node), "time": message.time}
    payload["signature"] = hex_text(signature)
    return operation(OperationKind.RELAY_PING, payload, "node", "time")


def prune_node(node: str, pinged_at: int) -> Op:
    """Take a node off the roll that has not pinged since `pinged_at`, in seconds since 1970."""
    payload = {"node": to_checksum_address(node), "pinged_at": pinged_at}
    return operation(OperationKind.PRUNE_NODE, payload, "node", "pinged_at")


def request_network_task(request_id: int) -> Op:
    """Ask for the next network task, which will have this number."""
    return operation(OperationKind.REQUEST_NETWORK_TASK, {"request_id": request_id}, "request_id")


def next_network_creator(request_id: int, asked: int, draw_block: int) -> Op:
    """Draw the creators of a request, or pass the turn of the one after `asked` others."""
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
    """Have the completers of a prepared network task drawn."""
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
    """Force a network task on after the deadline of its stage; `stage` tells this from others."""
    payload = {"id": session_id, "seed": seed, "stage": stage}
    return operation(OperationKind.FORCE_NETWORK_TASK, payload, "id", "seed", "stage")


def claim_network_reward(node: str, epoch: int) -> Op:
    """Have a node paid what it earned in an epoch that is over."""
    payload = {"node": to_checksum_address(node), "epoch": epoch}
    return operation(OperationKind.CLAIM_NETWORK_REWARD, payload, "node", "epoch")
