"""Payments by signature (ERC-3009): simulate one, and find the transaction that made one."""

from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address

from chain.deployed.contracts import Deployment
from chain.following.logs import arguments, layouts
from chain.operations import OperationKind, settle_payment
from chain.protocol.messages import SigningDomain, TransferWithAuthorization
from chain.rpc.client import Node, RpcRefused
from chain.sending.calls import TRANSFER_GAS, calldata
from chain.sending.refusals import Refusal, refusal_of

TOKEN = "CortensorToken"  # noqa: S105 - the name of a contract


@dataclass(frozen=True)
class Trial:
    """The outcome of a simulated payment in block `block`. No refusal means that it succeeds."""

    block: int
    refusal: Refusal | None


def domain_of(deployment: Deployment) -> SigningDomain:
    """Return the EIP-712 domain of authorizations for $COR."""
    return SigningDomain(deployment.chain_id, deployment.addresses[TOKEN])


def try_payment(
    node: Node, deployment: Deployment, transfer: TransferWithAuthorization, signature: bytes
) -> Trial:
    """Simulate a payment with `eth_call`, which changes nothing on chain.

    The contract checks the signature, the validity period, the nonce and the payer's balance.

    Raises:
        RpcError: no endpoint gives a result.
    """
    node.require_chain(deployment.chain_id)
    block = int(node.call("eth_blockNumber"), 16)
    payload = settle_payment(transfer, signature).payload
    data = calldata(OperationKind.SETTLE_PAYMENT, [payload])
    call = {
        "to": deployment.addresses[TOKEN],
        "data": "0x" + data.hex(),
        "gas": hex(TRANSFER_GAS),
    }
    try:
        node.call("eth_call", call, "latest")
    except RpcRefused as error:
        if len(error.data) <= len("0x"):
            raise  # without revert data, the node refused the call itself, not the payment
        return Trial(block, refusal_of(bytes.fromhex(error.data.removeprefix("0x"))))
    return Trial(block, None)


def find_payment(
    node: Node, deployment: Deployment, transfer: TransferWithAuthorization, since_block: int
) -> str | None:
    """Return the hash of the transaction that made this payment, or None.

    Any account may have sent the transaction. A used nonce alone does not show that the payment
    was made, since the payer may have signed another transfer with the same nonce.

    Args:
        since_block: the first block to search.

    Raises:
        RpcError: no endpoint gives a result.
    """
    token = deployment.addresses[TOKEN]
    used = next(
        topic for topic, layout in layouts(TOKEN).items() if layout.name == "AuthorizationUsed"
    )
    payer = "0x" + transfer.payer.lower().removeprefix("0x").rjust(64, "0")
    logs = node.call(
        "eth_getLogs",
        {
            "address": token,
            "topics": [used, payer, "0x" + transfer.nonce.hex()],
            "fromBlock": hex(since_block),
            "toBlock": "latest",
        },
    )
    for log in logs:
        receipt = node.call("eth_getTransactionReceipt", log["transactionHash"])
        if receipt is not None and _has_transfer(receipt, token, transfer):
            return str(log["transactionHash"])
    return None


def _has_transfer(receipt: dict[str, Any], token: str, transfer: TransferWithAuthorization) -> bool:
    wanted = {
        "from": to_checksum_address(transfer.payer),
        "to": to_checksum_address(transfer.to),
        "value": transfer.value,
    }
    for log in receipt["logs"]:
        layout = layouts(TOKEN).get(log["topics"][0]) if log["topics"] else None
        if layout is None or layout.name != "Transfer" or log["address"].lower() != token.lower():
            continue
        if arguments(layout, log) == wanted:
            return True
    return False
