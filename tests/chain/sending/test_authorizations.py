"""The chain's state of a payment by signature, before and after the transfer."""

import time
from dataclasses import replace
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from chain.protocol.messages import TransferWithAuthorization, sign
from chain.rpc.client import Rpc, RpcInconsistent, RpcRefused
from chain.sending.authorizations import domain_of, find_payment, try_payment
from chain.sending.calls import TRANSFER
from tests.anvil import CLIENT, DEPLOYER, ORACLE, Chain

AMOUNT_WEI = 10


@pytest.fixture
def transfer(chain: Chain) -> TransferWithAuthorization:
    """Return a payment of DEPLOYER, which has all $COR."""
    return TransferWithAuthorization(
        payer=DEPLOYER.address,
        to=CLIENT.address,
        value=AMOUNT_WEI,
        valid_after=0,
        valid_before=int(time.time()) + 3_600,
        nonce=bytes([5]) * 32,
    )


def signature_of(
    chain: Chain, transfer: TransferWithAuthorization, signer: LocalAccount = DEPLOYER
) -> bytes:
    return sign(transfer, domain_of(chain.deployment), bytes(signer.key))


def refusal(chain: Chain, transfer: TransferWithAuthorization, signature: bytes) -> str:
    found = try_payment(Rpc(chain.url), chain.deployment, transfer, signature).refusal
    return "" if found is None else found.name


def make(chain: Chain, transfer: TransferWithAuthorization) -> str:
    """Let another account send the payment. Return the transaction's hash."""
    call = chain.contract("CortensorToken").get_function_by_signature(TRANSFER)(
        transfer.payer,
        transfer.to,
        transfer.value,
        transfer.valid_after,
        transfer.valid_before,
        transfer.nonce,
        signature_of(chain, transfer),
    )
    chain.rpc("anvil_setBalance", ORACLE.address, hex(10**18))
    return chain.transact(ORACLE, call)["transactionHash"].to_0x_hex()


def test_a_payment_is_tried_as_the_contract_would_make_it(
    chain: Chain, transfer: TransferWithAuthorization
) -> None:
    assert refusal(chain, transfer, signature_of(chain, transfer)) == ""
    forged = signature_of(chain, transfer, CLIENT)
    assert refusal(chain, transfer, forged) == "ERC3009InvalidSignature"
    late = replace(transfer, valid_before=1)
    assert refusal(chain, late, signature_of(chain, late)) == "ERC3009InvalidAuthorizationTime"
    dear = replace(transfer, value=2**200)
    assert refusal(chain, dear, signature_of(chain, dear)) == "ERC20InsufficientBalance"
    make(chain, transfer)
    used = refusal(chain, transfer, signature_of(chain, transfer))
    assert used == "ERC3009UsedAuthorization"


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("631626ba7e60e01b60005260206000f3", ""),  # it says yes to everything
        ("60006000fd", "ERC3009InvalidSignature"),  # no to everything
        ("5b600056", "ERC3009InvalidSignature"),  # it burns all the gas it gets
    ],
)
def test_a_wallet_that_is_a_contract_decides_itself(
    chain: Chain, transfer: TransferWithAuthorization, code: str, refused: str
) -> None:
    wallet = "0x" + "5a" * 20
    chain.rpc("anvil_setCode", wallet, "0x" + code)
    token = chain.contract("CortensorToken").functions
    chain.transact(DEPLOYER, token.transfer(to_checksum_address(wallet), AMOUNT_WEI))
    assert refusal(chain, replace(transfer, payer=wallet), b"\x01") == refused


def test_a_payment_is_found_whoever_has_sent_it(
    chain: Chain, transfer: TransferWithAuthorization
) -> None:
    node, since = Rpc(chain.url), chain.w3.eth.block_number
    assert find_payment(node, chain.deployment, transfer, since) is None
    made = make(chain, transfer)
    assert find_payment(node, chain.deployment, transfer, since) == made


@pytest.mark.parametrize("changes", [{"to": ORACLE.address}, {"value": AMOUNT_WEI - 1}])
def test_another_payment_under_the_same_nonce_is_not_this_one(
    chain: Chain, transfer: TransferWithAuthorization, changes: dict[str, Any]
) -> None:
    since = chain.w3.eth.block_number
    make(chain, replace(transfer, **changes))
    assert find_payment(Rpc(chain.url), chain.deployment, transfer, since) is None


def test_a_node_that_cannot_say_is_not_taken_for_a_refusal(
    chain: Chain, transfer: TransferWithAuthorization, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Rpc(chain.url)
    asked = node.call

    def call(method: str, *params: Any) -> Any:
        if method == "eth_call":
            raise RpcRefused(method, "node", -32005, "too many requests")
        return asked(method, *params)

    monkeypatch.setattr(node, "call", call)
    with pytest.raises(RpcRefused):
        try_payment(node, chain.deployment, transfer, signature_of(chain, transfer))


def test_another_chain_is_not_asked(chain: Chain, transfer: TransferWithAuthorization) -> None:
    elsewhere = replace(chain.deployment, chain_id=1)
    with pytest.raises(RpcInconsistent):
        try_payment(Rpc(chain.url), elsewhere, transfer, bytes(65))
