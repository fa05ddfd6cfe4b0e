"""Sends a node's own transactions. The node pays their gas."""

import time
from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mining.node.account.evm import CallReverted, ChainUnavailable, Rpc
from mining.node.account.wallet import Wallet

RECEIPT_S = 120.0
POLL_S = 0.5


def transact(
    wallet: Wallet, rpc: Rpc, contract: str, signature: str, arguments: Sequence[object]
) -> str:
    """Call a contract's function in a transaction, and return the transaction's hash once mined.

    Args:
        wallet: the key that signs the transaction and pays its gas.
        rpc: the chain.
        contract: the address of the contract.
        signature: the signature of the function, as in `stake(address,uint256)`.
        arguments: the arguments of the call.

    Raises:
        CallReverted: the contract refuses the call, before or after it is sent.
        ChainUnavailable: the chain does not answer, or has no receipt within RECEIPT_S. The
            transaction may still be mined.
    """
    contract = str(to_checksum_address(contract))
    types = [kind for kind in signature.partition("(")[2][:-1].split(",") if kind]
    data = "0x" + (keccak(text=signature)[:4] + encode(types, list(arguments))).hex()
    call = {"from": wallet.address, "to": contract, "data": data}
    gas = int(rpc.request("eth_estimateGas", call), 16)
    base = int(rpc.request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    tip = int(rpc.request("eth_maxPriorityFeePerGas"), 16)
    raw = wallet.sign_transaction(
        {
            "chainId": rpc.chain_id(),
            "nonce": int(rpc.request("eth_getTransactionCount", wallet.address, "pending"), 16),
            "to": contract,
            "data": data,
            "gas": gas * 6 // 5,
            "maxFeePerGas": 2 * base + tip,
            "maxPriorityFeePerGas": tip,
        }
    )
    sent = str(rpc.request("eth_sendRawTransaction", "0x" + raw.hex()))
    until = time.monotonic() + RECEIPT_S
    while time.monotonic() < until:
        receipt = rpc.request("eth_getTransactionReceipt", sent)
        if receipt is not None:
            if int(receipt["status"], 16) != 1:
                raise CallReverted(f"{signature}: transaction {sent} reverted")
            return sent
        time.sleep(POLL_S)
    raise ChainUnavailable(f"{signature}: transaction {sent} is not mined within {RECEIPT_S:.0f} s")
