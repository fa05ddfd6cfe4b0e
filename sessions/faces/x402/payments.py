"""Acceptance of paid tasks. One transaction writes the task, its payment and the transfer."""

import logging
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Sum
from django.utils import timezone
from eth_utils.crypto import keccak

from chain import operations
from chain.models import Operation
from chain.rpc.client import RpcError
from chain.sending import outbox
from sessions.access import rates
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.errors import IdempotencyKeyTaken, InsufficientBalance, cor
from sessions.faces.x402 import verification
from sessions.faces.x402.errors import PaymentRefused, PaymentUncheckable, Reason, TillEmpty
from sessions.faces.x402.offer import Offer
from sessions.faces.x402.wire import SignedPayment
from sessions.intake import acceptance
from sessions.intake.request import CompletionRequest
from sessions.models import Payment, PaymentStatus, Session, Task

RISK_WINDOW = timedelta(hours=1)
UNKNOWN_PAYER_PENDING = 1
"""How many pending transfers a payer may have before one of its transfers has succeeded."""
TRY_AGAIN_S = 3

logger = logging.getLogger(__name__)


def take(
    request: CompletionRequest,
    session: Session,
    offer: Offer,
    payment: SignedPayment,
    *,
    stream: bool = False,
    request_id: str = "",
) -> Payment:
    """Accept a task and its payment, in one transaction.

    A repeated request with the same payment returns the same task. Nothing is counted against a
    payer before its signature is verified.

    Args:
        stream: whether the answer is streamed, which takes one of the payer's stream slots.

    Raises:
        PaymentRefused: the payment is not valid, or was made for another request.
        LimitReached: too many payments wait for the chain.
        IntakeError: the task is refused, and the payment is not used.
    """
    payer = payment.transfer.payer.lower()
    reference = reference_of(payment)
    request = replace(request, client_reference=reference, idempotency_key=reference)
    earlier = find(payment)
    if earlier is not None:
        _require_same(earlier, payment, session)
        verified_block = earlier.verified_block
    else:
        verified_block = _verify(payment, offer)
    rates.admit_request(Caller(payer))
    if stream:
        rates.admit_stream(Caller(payer))

    def pay(task: Task) -> None:
        if task.reserve_wei != payment.transfer.value:
            raise PaymentRefused(Reason.AMOUNT, "the model's price has just changed")
        _require_bounded_risk(session, payer, payment.transfer.value)
        _record(task, payment, verified_block)

    try:
        task = acceptance.accept(
            request,
            session=session,
            api_key=None,
            request_id=request_id,
            account=payer,
            also=pay,
        )
    except (IdempotencyKeyTaken, IntegrityError) as error:
        if isinstance(error, IntegrityError) and find(payment) is None:
            raise
        raise _of_another_request() from error
    except InsufficientBalance as error:
        logger.error("session %s pays the network for x402: %s", session.session_id, error.detail)
        raise TillEmpty(
            "the session that pays the network for this call has too little left; nothing was"
            " taken from you",
            remedy="try again later, or tell the router's operator",
        ) from error
    return Payment.objects.select_related("task").get(task=task)


def find(payment: SignedPayment) -> Payment | None:
    """Return the row of a payment that was accepted before, or None."""
    nonce = "0x" + payment.transfer.nonce.hex()
    return (
        Payment.objects.select_related("task")
        .filter(payer=payment.transfer.payer.lower(), nonce=nonce)
        .first()
    )


def reference_of(payment: SignedPayment) -> str:
    """Return the task's label and idempotency key, which identify the payment on chain."""
    transfer = payment.transfer
    named = bytes.fromhex(transfer.payer[2:]) + transfer.nonce
    return f"x402:{keccak(named)[:16].hex()}"


def _verify(payment: SignedPayment, offer: Offer) -> int:
    try:
        return verification.require_good(payment, offer, timezone.now())
    except RpcError as error:
        logger.warning("a payment cannot be verified: %s", error)
        raise PaymentUncheckable(
            "the chain does not say whether the payment is good; nothing was taken from you",
            remedy="send the request again",
        ) from error


def _require_same(earlier: Payment, payment: SignedPayment, session: Session) -> None:
    # Nonces are public on chain, so a client without the signature may not be the payer.
    if earlier.signature != "0x" + payment.signature.hex():
        raise PaymentRefused(Reason.NONCE_USED, "the nonce was used for another authorization")
    if earlier.task.session_id != session.session_id:
        raise _of_another_request()


def _of_another_request() -> PaymentRefused:
    return PaymentRefused(
        Reason.OTHER_REQUEST, "the payment was made for another request; sign a new one"
    )


def _require_bounded_risk(session: Session, payer: str, amount_wei: int) -> None:
    """Limit the loss from transfers that were valid when verified and fail later.

    The session's row is locked, so that concurrent payments cannot exceed the limit together.
    """
    of_payer = Payment.objects.filter(payer=payer)
    is_known = of_payer.filter(settled_at__isnull=False).exists()
    most = int(settings.LIMITS["payer_pending_payments"]) if is_known else UNKNOWN_PAYER_PENDING
    if most and of_payer.filter(status=PaymentStatus.PENDING).count() >= most:
        raise LimitReached(
            f"{most} payments of {payer} wait for the chain, and it may have no more at once",
            wait_s=TRY_AGAIN_S,
            remedy="send the request again once the last one is answered",
        )
    most_open = int(settings.LIMITS["payer_open_tasks"])
    if most_open and Task.objects.open().filter(payment__payer=payer).count() >= most_open:
        raise LimitReached(
            f"{most_open} tasks of {payer} are open, and it may have no more at once",
            wait_s=TRY_AGAIN_S,
            remedy="wait until one has ended",
        )
    at_risk = Payment.objects.filter(
        status__in=[PaymentStatus.PENDING, PaymentStatus.REFUSED],
        created_at__gt=timezone.now() - RISK_WINDOW,
        task__session_id=session.session_id,
    ).aggregate(wei=Sum("amount_wei"))["wei"]
    most_wei = int(settings.X402_MAX_AT_RISK_WEI)
    if int(at_risk or 0) + amount_wei > most_wei:
        raise LimitReached(
            f"payments of {cor(most_wei)} COR wait for the chain or were refused by it within the"
            " hour, which is all that this router risks",
            wait_s=TRY_AGAIN_S,
            remedy="try again later; nothing was taken from you",
        )


def _record(task: Task, payment: SignedPayment, verified_block: int) -> None:
    transfer = payment.transfer
    settlement = operations.settle_payment(transfer, payment.signature)
    outbox.enqueue(settlement)
    Payment.objects.create(
        settlement=Operation.objects.get(key=settlement.key),
        payer=transfer.payer,
        nonce="0x" + transfer.nonce.hex(),
        amount_wei=transfer.value,
        pay_to=transfer.to,
        valid_after=transfer.valid_after,
        valid_before=transfer.valid_before,
        signature="0x" + payment.signature.hex(),
        task=task,
        verified_block=verified_block,
    )
