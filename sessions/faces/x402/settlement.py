"""The state machine of payments.

| from | when | to |
|---|---|---|
| pending | the transfer is mined, whoever sent it | settled |
| pending | the chain finally refuses the transfer | refused; the client gets no answer |
| settled | the task has ended, and a miner was paid | earned |
| settled | the task ended without a paid result, or failed | refunding |
| refunding | the transfer back is mined | refunded |

Each step is one transaction that locks the row, and is safe to repeat. `sweep` advances all
payments that are due. The `react` process calls it whenever the chain has news.
"""

import logging
from datetime import datetime, timedelta
from functools import partial

import redis
from django.db import transaction
from django.utils import timezone
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain import operations
from chain.deployed.contracts import deployment
from chain.deployed.keys import KeystoreError
from chain.errors import ChainError
from chain.isolation import Isolation
from chain.models import Operation, OperationStatus
from chain.protocol.messages import TransferWithAuthorization, sign
from chain.sending import outbox
from chain.sending.authorizations import domain_of, find_payment
from sessions.faces.x402 import till
from sessions.faces.x402.verification import chain_node
from sessions.models import Payment, PaymentStatus, TaskStatus
from sessions.stages import task_states
from sessions.streams import task_stream

REFUND_AGAIN_AFTER = timedelta(minutes=10)
"""Pause before a refused refund is retried, since each try costs gas even if the till is empty."""
FOR_GOOD = 2**47 - 1
"""The largest `valid_before` that the token accepts."""
KEPT_S = 3_600
USED = "ERC3009UsedAuthorization"

logger = logging.getLogger(__name__)


def sweep(now: datetime) -> None:
    """Advance every payment that can change its state now."""
    for payment in Payment.objects.due(now):
        # An error of one payment, expected or not, does not stop the others.
        _isolation.attempt(payment.pk, payment, partial(_try, payment, now), now)


_isolation = Isolation("payments")
"""Used by the one thread of the `react` process that settles payments."""


def _try(payment: Payment, now: datetime) -> None:
    try:
        advance(payment, now)
    except ChainError as error:  # an RPC endpoint or the till's keystore is unavailable
        logger.error("%s has to wait: %s", payment, error)


def advance(payment: Payment, now: datetime | None = None) -> Payment:
    """Advance a payment as far as possible now, and return its current row.

    Raises:
        RpcError: the chain must be asked who used the nonce, and does not answer.
        KeystoreError: a refund is necessary, and the till's keystore cannot be opened.
    """
    now = now or timezone.now()
    # Ask the chain before locking the row, because this may take seconds.
    elsewhere = _made_by_another(payment) if payment.status == PaymentStatus.PENDING else None
    with transaction.atomic():
        rows = Payment.objects.select_related(
            "task", "settlement__transaction", "refund__transaction"
        ).select_for_update(of=["self"])
        payment = rows.get(pk=payment.pk)
        while True:
            before = payment.status
            _step(payment, elsewhere, now)
            if payment.status == before:
                break
            logger.info("%s: %s, then %s", payment, before, payment.status)
    if payment.status == PaymentStatus.PENDING and _has_lost_its_nonce(payment.settlement):
        return advance(payment, now)  # the chain has refused it since the chain was asked
    return payment


def stream_key(payment: Payment) -> str:
    """Return the key of the stream that announces a payment's changes."""
    return f"payment:{payment.pk}"


def _step(payment: Payment, elsewhere: str | None, now: datetime) -> None:
    match PaymentStatus(payment.status):
        case PaymentStatus.PENDING:
            _settle(payment, elsewhere, now)
        case PaymentStatus.SETTLED:
            _earn_or_refund(payment, now)
        case PaymentStatus.REFUNDING:
            _complete_refund(payment, now)


def _settle(payment: Payment, elsewhere: str | None, now: datetime) -> None:
    match payment.settlement.status:
        case OperationStatus.CONFIRMED:
            payment.transaction = _hash_of(payment.settlement)
        case OperationStatus.FAILED if elsewhere:
            payment.transaction = elsewhere
        case OperationStatus.FAILED if elsewhere is None and _has_lost_its_nonce(
            payment.settlement
        ):
            return
        case OperationStatus.FAILED:
            payment.error = payment.settlement.error or "the chain refused the transfer"
            _save(payment, PaymentStatus.REFUSED)
            _call_off(payment)
            return
        case _:
            return
    payment.settled_at = now
    _save(payment, PaymentStatus.SETTLED)


def _call_off(payment: Payment) -> None:
    """Fail a task that no miner has yet. If miners have begun, they are paid nevertheless."""
    if payment.task.status == TaskStatus.QUEUED:
        why = f"the chain refused the payment: {payment.error}"
        task_states.mark_failed(payment.task, "payment_refused", why)


def _earn_or_refund(payment: Payment, now: datetime) -> None:
    task = payment.task
    if not TaskStatus(task.status).is_final:
        return
    if task.status == TaskStatus.ENDED and task.outcome_code == "settled":
        _save(payment, PaymentStatus.EARNED)
        return
    _pay_back(payment, now)
    _save(payment, PaymentStatus.REFUNDING)


def _complete_refund(payment: Payment, now: datetime) -> None:
    refund = payment.refund
    assert refund is not None
    if refund.status == OperationStatus.CONFIRMED:
        payment.refund_transaction = _hash_of(refund)
        _save(payment, PaymentStatus.REFUNDED)
    elif refund.status == OperationStatus.FAILED and (payment.refund_due_at or now) <= now:
        logger.error("%s: its refund was refused: %s", payment, refund.error)
        payment.error = refund.error
        _pay_back(payment, now)
        _save(payment, PaymentStatus.REFUNDING)


def transfer_of(payment: Payment) -> TransferWithAuthorization:
    """Return the transfer that the payer has signed."""
    return TransferWithAuthorization(
        payer=to_checksum_address(payment.payer),
        to=to_checksum_address(payment.pay_to),
        value=int(payment.amount_wei),
        valid_after=payment.valid_after,
        valid_before=payment.valid_before,
        nonce=bytes.fromhex(payment.nonce[2:]),
    )


def _refund_of(payment: Payment) -> TransferWithAuthorization:
    """Return the refund. Its nonce derives from the payment, so the token transfers it once."""
    return TransferWithAuthorization(
        payer=to_checksum_address(payment.pay_to),
        to=to_checksum_address(payment.payer),
        value=int(payment.amount_wei),
        valid_after=0,
        valid_before=FOR_GOOD,
        nonce=keccak(
            b"cortensor x402 refund"
            + bytes.fromhex(payment.payer[2:])
            + bytes.fromhex(payment.nonce[2:])
        ),
    )


def _pay_back(payment: Payment, now: datetime) -> None:
    holder, transfer = till.account(), _refund_of(payment)
    if holder.address != transfer.payer:
        raise KeystoreError(f"keystore: {payment} went to {transfer.payer}, which is not the till")
    signature = sign(transfer, domain_of(deployment()), bytes(holder.key))
    refund = operations.refund_payment(transfer, signature)
    outbox.enqueue(refund)
    payment.refund = Operation.objects.get(key=refund.key)
    payment.refund_due_at = now + REFUND_AGAIN_AFTER


def _hash_of(operation: Operation) -> str:
    """Return the hash of an operation's transaction."""
    return operation.transaction.hash if operation.transaction else ""


def _made_by_another(payment: Payment) -> str | None:
    """Return the hash of another account's transaction that made this transfer, or "" for none.

    Anyone who sees an authorization may submit it first. Then the router's own transaction fails,
    but the payment arrives. Return None, without asking the chain, if this was not the reason of
    the failure.
    """
    if not _has_lost_its_nonce(Operation.objects.get(pk=payment.settlement_id)):
        return None
    node, transfer = chain_node(), transfer_of(payment)
    return find_payment(node, deployment(), transfer, payment.verified_block) or ""


def _has_lost_its_nonce(settlement: Operation) -> bool:
    return settlement.status == OperationStatus.FAILED and USED in settlement.error


def _save(payment: Payment, status: PaymentStatus) -> None:
    payment.status = status
    payment.save()
    transaction.on_commit(lambda: _announce(payment), robust=True)


def _announce(payment: Payment) -> None:
    try:
        task_stream.write(
            task_stream.Addition(stream_key(payment), {"status": payment.status}, 10, KEPT_S)
        )
    except (redis.RedisError, OSError):  # waiting clients also check by themselves
        logger.warning("%s: its change was not announced", payment, exc_info=True)
