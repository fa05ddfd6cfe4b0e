"""Verification of a payment, before anything is done for it."""

import threading
import time
from datetime import datetime

from django.conf import settings

from chain.deployed.contracts import deployment
from chain.protocol.messages import InvalidSignature, recover
from chain.rpc.endpoints import Endpoints
from chain.sending.authorizations import domain_of, try_payment
from chain.sending.refusals import Refusal
from sessions.access import rates
from sessions.faces.x402.errors import PaymentRefused, Reason
from sessions.faces.x402.offer import SCHEME, Offer
from sessions.faces.x402.wire import SignedPayment

SHORTEST_VALIDITY_S = 15
"""The validity that an authorization must have left, so that its transfer can be mined in time."""
_REASONS = {
    "ERC3009InvalidSignature": Reason.SIGNATURE,
    "ERC3009InvalidAuthorizationTime": Reason.EXPIRED,
    "ERC3009UsedAuthorization": Reason.NONCE_USED,
    "ERC20InsufficientBalance": Reason.BALANCE,
}
_thread = threading.local()


def require_terms(payment: SignedPayment, offer: Offer, now: datetime) -> None:
    """Check that a payment matches the offer and is valid now. Pure.

    Raises:
        PaymentRefused: it is not.
    """
    transfer = payment.transfer
    networks = {1: offer.network_in_version_1, 2: offer.network}
    if payment.scheme != SCHEME:
        raise PaymentRefused(Reason.SCHEME, f"the scheme is {SCHEME!r}, not {payment.scheme!r}")
    if payment.network != networks[payment.version]:
        raise PaymentRefused(
            Reason.NETWORK,
            f"the network is {networks[payment.version]!r}, not {payment.network!r}",
        )
    if payment.asset and payment.asset.lower() != offer.asset.lower():
        raise PaymentRefused(Reason.ASSET, f"the asset is {offer.asset}, not {payment.asset}")
    if transfer.to != offer.pay_to:
        raise PaymentRefused(Reason.RECIPIENT, f"pay to {offer.pay_to}, not to {transfer.to}")
    if transfer.value != offer.amount_wei:
        raise PaymentRefused(
            Reason.AMOUNT,
            f"this call costs {offer.amount_wei} wei of COR, and {transfer.value} were authorized",
        )
    if transfer.valid_after >= now.timestamp():
        raise PaymentRefused(Reason.NOT_YET_VALID, "the authorization does not count yet")
    if transfer.valid_before < now.timestamp() + SHORTEST_VALIDITY_S:
        raise PaymentRefused(
            Reason.EXPIRED,
            f"the authorization counts for less than {SHORTEST_VALIDITY_S} s more",
        )


def require_good(payment: SignedPayment, offer: Offer, now: datetime) -> int:
    """Check that the chain would make this payment now. Return the number of the block checked.

    Raises:
        PaymentRefused: the chain would refuse it.
        LimitReached: too many invalid signatures come from the client's address.
        RpcError: the chain does not answer.
    """
    require_terms(payment, offer, now)
    trial = try_payment(chain_node(), deployment(), payment.transfer, payment.signature)
    if trial.refusal is None:
        return trial.block
    refused = _refused(trial.refusal, payment)
    if refused.reason == Reason.SIGNATURE:
        rates.count_failure()
    raise refused


def chain_node() -> Endpoints:
    """Return this thread's chain endpoints, because threads cannot share them."""
    kept: tuple[list[str], Endpoints] | None = getattr(_thread, "node", None)
    if kept is None or kept[0] != settings.RPC_URLS:
        kept = _thread.node = (list(settings.RPC_URLS), Endpoints(settings.RPC_URLS))
    return kept[1]


def _refused(refusal: Refusal, payment: SignedPayment) -> PaymentRefused:
    reason = _REASONS.get(refusal.name, Reason.SIMULATION)
    if refusal.name.startswith("ECDSA"):
        reason = Reason.SIGNATURE
    if reason == Reason.EXPIRED and payment.transfer.valid_after >= time.time():
        reason = Reason.NOT_YET_VALID
    detail = f"the chain would refuse the transfer: {refusal}"
    if reason == Reason.SIGNATURE:
        detail += f"; {_signer(payment)}"
    return PaymentRefused(reason, detail)


def _signer(payment: SignedPayment) -> str:
    """Say which account made a wrong signature, to help people find their mistake."""
    try:
        signer = recover(payment.transfer, domain_of(deployment()), payment.signature)
    except InvalidSignature:
        return "no key made this signature"
    return f"over these terms it is {signer}'s, not {payment.transfer.payer}'s"
