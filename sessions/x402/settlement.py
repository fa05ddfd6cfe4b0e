"""What becomes of a payment: settled or refused by the chain, then earned or paid back.

| from | when | to |
|---|---|---|
| pending | its transfer is mined, whoever has sent it | settled |
| pending | the chain refuses it for good | refused; the task ends without its answer |
| settled | the task has ended, and a miner was paid | earned |
| settled | the task has come to nothing | refunding |
| refunding | the transfer back is mined | refunded |

Each step is one transaction that locks the row, and safe to repeat. Signals bring them on at once,
and the oracle's `sweep` what a crash has left.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

import redis
from django.db import transaction
from django.dispatch import receiver
from django.utils import timezone
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain import operations, outbox
from chain.authorizations import domain_of, find_payment
from chain.contracts import deployment
from chain.keys import KeystoreError
from chain.messages import TransferWithAuthorization, sign
from chain.models import Operation, OperationStatus
from chain.operations import Op, OperationKind
from chain.rpc import RpcError
from chain.signals import operation_confirmed, operation_failed
from sessions import streams, task_states
from sessions.models import Payment, PaymentStatus, Task, TaskStatus
from sessions.x402 import till
from sessions.x402.verification import chain_node

REFUND_AGAIN_AFTER = timedelta(minutes=10)
"""A refund that the chain refuses (the till is empty, say) costs gas each time it is tried."""
FOR_GOOD = 2**47 - 1
"""The last second that the token counts as one."""
KEPT_S = 3_600

logger = logging.getLogger(__name__)


@receiver([operation_confirmed, operation_failed], dispatch_uid="sessions.payment_operation")
def operation_over(operation: Operation, **_: Any) -> None:
    """Bring on the payment whose transfer, or transfer back, the chain has made or refused."""
    if operation.kind == OperationKind.SETTLE_PAYMENT:
        payer, nonce = operation.payload["payer"], operation.payload["nonce"]
        found = Payment.objects.filter(payer=payer.lower(), nonce=nonce)
    elif operation.kind == OperationKind.REFUND_PAYMENT:
        to = operation.payload["to"].lower()
        found = Payment.objects.filter(payer=to, status=PaymentStatus.REFUNDING)
    else:
        return
    for payment in found:
        advance(payment)


def sweep(now: datetime) -> None:
    """Bring on every payment with which something has still to happen."""
    for payment in Payment.objects.open():
        try:
            advance(payment, now)
        except (RpcError, KeystoreError):  # one must not keep the others, or the oracle, waiting
            logger.exception("%s has to wait", payment)


def advance(payment: Payment, now: datetime | None = None) -> Payment:
    """Take a payment as far as it can go now, and return it as it is then.

    Raises:
        RpcError: the chain has to be asked who used the nonce, and cannot be.
        KeystoreError: the till cannot be opened, and something is to be paid back.
    """
    now = now or timezone.now()
    # Asked before the row is locked: it may take seconds.
    elsewhere = _made_by_another(payment) if payment.status == PaymentStatus.PENDING else ""
    with transaction.atomic():
        payment = Payment.objects.select_for_update(of=["self"]).get(pk=payment.pk)
        while True:
            before = payment.status
            _step(payment, elsewhere, now)
            if payment.status == before:
                return payment
            logger.info("%s: %s, then %s", payment, before, payment.status)


def stream_key(payment: Payment) -> str:
    """The stream of word that a payment has gone on."""
    return f"payment:{payment.pk}"


def _step(payment: Payment, elsewhere: str, now: datetime) -> None:
    match PaymentStatus(payment.status):
        case PaymentStatus.PENDING:
            _settle(payment, elsewhere, now)
        case PaymentStatus.SETTLED:
            _earn_or_refund(payment, now)
        case PaymentStatus.REFUNDING:
            _complete_refund(payment, now)


def _settle(payment: Payment, elsewhere: str, now: datetime) -> None:
    operation = _operation(operations.settle_payment(transfer_of(payment), _signature(payment)))
    if operation is None:
        return
    mined = operation.transaction
    if operation.status == OperationStatus.CONFIRMED and mined is not None:
        payment.transaction = mined.hash
    elif operation.status == OperationStatus.FAILED and elsewhere:
        payment.transaction = elsewhere
    elif operation.status == OperationStatus.FAILED:
        payment.error = operation.error or "the chain refused the transfer"
        _save(payment, PaymentStatus.REFUSED)
        task_states.mark_failed(
            payment.task, "payment_refused", f"the chain refused the payment: {payment.error}"
        )
        return
    else:
        return
    payment.settled_at = now
    _save(payment, PaymentStatus.SETTLED)


def _earn_or_refund(payment: Payment, now: datetime) -> None:
    task = Task.objects.get(pk=payment.task_id)
    if not TaskStatus(task.status).is_final:
        return
    if task.status == TaskStatus.ENDED and task.outcome_code == "settled":
        _save(payment, PaymentStatus.EARNED)
        return
    outbox.enqueue(_refund(payment))
    payment.refund_due_at = now + REFUND_AGAIN_AFTER
    _save(payment, PaymentStatus.REFUNDING)


def _complete_refund(payment: Payment, now: datetime) -> None:
    refund = _refund(payment)
    operation = _operation(refund)
    if operation is None:
        return
    if operation.status == OperationStatus.CONFIRMED:
        mined = operation.transaction
        payment.refund_transaction = mined.hash if mined else ""
        _save(payment, PaymentStatus.REFUNDED)
    elif operation.status == OperationStatus.FAILED and (payment.refund_due_at or now) <= now:
        logger.error("%s: its refund was refused: %s", payment, operation.error)
        outbox.enqueue(refund)
        payment.error = operation.error
        payment.refund_due_at = now + REFUND_AGAIN_AFTER
        _save(payment, PaymentStatus.REFUNDING)


def transfer_of(payment: Payment) -> TransferWithAuthorization:
    """What the payer has signed."""
    return TransferWithAuthorization(
        payer=to_checksum_address(payment.payer),
        to=to_checksum_address(payment.pay_to),
        value=int(payment.amount_wei),
        valid_after=payment.valid_after,
        valid_before=payment.valid_before,
        nonce=bytes.fromhex(payment.nonce[2:]),
    )


def _refund(payment: Payment) -> Op:
    """The transfer back. The token makes it once: its nonce follows from the payment's."""
    holder = till.account()
    transfer = TransferWithAuthorization(
        payer=holder.address,
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
    signature = sign(transfer, domain_of(deployment()), bytes(holder.key))
    return operations.refund_payment(transfer, signature)


def _signature(payment: Payment) -> bytes:
    return bytes.fromhex(payment.signature[2:])


def _operation(op: Op) -> Operation | None:
    return Operation.objects.select_related("transaction").filter(key=op.key).first()


def _made_by_another(payment: Payment) -> str:
    """The transaction of somebody else that has made this very transfer; "" for none.

    Who sees an authorization may send it first. Our own is refused then, and yet we were paid.
    """
    transfer = transfer_of(payment)
    operation = _operation(operations.settle_payment(transfer, _signature(payment)))
    if operation is None or operation.status != OperationStatus.FAILED:
        return ""
    if "ERC3009UsedAuthorization" not in operation.error:
        return ""
    found = find_payment(chain_node(), deployment(), transfer, payment.verified_block)
    return found or ""


def _save(payment: Payment, status: PaymentStatus) -> None:
    payment.status = status
    payment.save()
    transaction.on_commit(lambda: _tell(payment), robust=True)


def _tell(payment: Payment) -> None:
    try:
        streams.write(stream_key(payment), {"status": payment.status}, 10, KEPT_S)
    except (redis.RedisError, OSError):  # who waits looks by itself now and then
        logger.warning("%s: nobody was told", payment, exc_info=True)
