"""A payment is valid if the chain would execute it, which is checked first."""

import time
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings

from chain.rpc.client import RpcError
from sessions.faces.x402.errors import PaymentRefused, Reason
from sessions.faces.x402.offer import Offer
from sessions.faces.x402.verification import require_good
from tests.anvil import CLIENT, DEPLOYER, Chain, account
from tests.sessions.faces.x402.conftest import PURSE_WEI, Sign


def refusal(payment: Any, offer: Offer) -> PaymentRefused:
    with pytest.raises(PaymentRefused) as caught:
        require_good(payment, offer, timezone.now())
    return caught.value


def test_a_good_payment_is_good_and_is_not_made_by_being_looked_at(
    chain: Chain, signed: Sign, offer: Offer, payer: LocalAccount
) -> None:
    block = require_good(signed(), offer, timezone.now())
    assert block == chain.w3.eth.block_number
    token = chain.contract("CortensorToken").functions
    assert token.balanceOf(payer.address).call() == PURSE_WEI
    assert not token.authorizationState(payer.address, bytes([7]) * 32).call()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": 29}, Reason.AMOUNT),
        ({"value": 31}, Reason.AMOUNT),
        ({"to": CLIENT.address}, Reason.RECIPIENT),
        ({"valid_after": int(time.time()) + 3_600}, Reason.NOT_YET_VALID),
        ({"valid_before": int(time.time()) - 1}, Reason.EXPIRED),
        ({"valid_before": int(time.time()) + 5}, Reason.EXPIRED),
        ({"signer": account("thief")}, Reason.SIGNATURE),
        ({"payer": CLIENT.address}, Reason.SIGNATURE),
    ],
)
def test_what_was_not_asked_for_is_refused(
    signed: Sign, offer: Offer, changes: dict[str, Any], reason: Reason
) -> None:
    assert refusal(signed(**changes), offer).reason == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scheme": "upto"}, Reason.SCHEME),
        ({"network": "eip155:1"}, Reason.NETWORK),
        ({"asset": "0x" + "11" * 20}, Reason.ASSET),
        ({"signature": b"\x01" * 65}, Reason.SIGNATURE),
        ({"signature": b"\x01" * 64}, Reason.SIGNATURE),
    ],
)
def test_other_terms_and_bytes_that_are_no_signature_are_refused(
    signed: Sign, offer: Offer, changes: dict[str, Any], reason: Reason
) -> None:
    assert refusal(replace(signed(), **changes), offer).reason == reason


def test_a_signature_over_other_terms_names_its_signer(signed: Sign, offer: Offer) -> None:
    thief = account("thief")
    assert thief.address in refusal(signed(signer=thief), offer).detail


def test_a_payment_that_the_purse_does_not_cover_is_refused(signed: Sign, offer: Offer) -> None:
    dear = replace(offer, amount_wei=PURSE_WEI + 1)
    assert refusal(signed(value=PURSE_WEI + 1), dear).reason == Reason.BALANCE


def test_a_nonce_that_was_used_on_chain_is_refused(
    chain: Chain, signed: Sign, offer: Offer
) -> None:
    payment = signed()
    transfer = payment.transfer
    use = chain.contract("CortensorToken").get_function_by_signature(
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
    )(
        transfer.payer,
        transfer.to,
        transfer.value,
        transfer.valid_after,
        transfer.valid_before,
        transfer.nonce,
        payment.signature,
    )
    chain.transact(DEPLOYER, use)
    assert refusal(payment, offer).reason == Reason.NONCE_USED


def test_while_the_chain_is_away_nothing_is_believed(
    signed: Sign, offer: Offer, settings: Settings
) -> None:
    settings.RPC_URLS = ["http://127.0.0.1:1"]
    with pytest.raises(RpcError):
        require_good(signed(), offer, timezone.now())
