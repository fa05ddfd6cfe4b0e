"""Payments by signature (ERC-3009): would one count now, and who has made it already?"""

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

TOKEN = "CortensorToken"  # noqa: S105, it is a contract's name


@dataclass(frozen=True)
class Trial:
    """What a payment would come to in the block `block`; no refusal: it would be made."""

    block: int
    refusal: Refusal | None


def domain_of(deployment: Deployment) -> SigningDomain:
    """Where authorizations of $COR are signed for."""
    return SigningDomain(deployment.chain_id, deployment.addresses[TOKEN])


def try_payment(
    node: Node, deployment: Deployment, transfer: TransferWithAuthorization, signature: bytes
) -> Trial:
    """Make a payment in a call, which changes nothing: signature, time, nonce and balance count.

    Raises:
        RpcError: no endpoint could say.
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
            raise  # the node has no opinion on the payment, but on the question
        return Trial(block, refusal_of(bytes.fromhex(error.data.removeprefix("0x"))))
    return Trial(block, None)


def find_payment(
    node: Node, deployment: Deployment, transfer: TransferWithAuthorization, since_block: int
) -> str | None:
    """The transaction that has made this very payment, whoever sent it; None if none has.

    That its nonce is used does not say so: the payer may have signed something else with it.

    Raises:
        RpcError: no endpoint could say.
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
