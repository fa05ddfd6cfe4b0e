"""A payment on a real chain is earned, refused, or refunded once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from pytest_django.fixtures import Settings

from chain.models import Operation, OperationStatus
from chain.operations import OperationKind
from chain.rpc.client import Rpc
from chain.sending.sender import Sender
from sessions.faces.x402 import settlement
from sessions.faces.x402.offer import Offer
from sessions.faces.x402.payments import take
from sessions.faces.x402.settlement import REFUND_AGAIN_AFTER, advance, sweep
from sessions.faces.x402.wire import SignedPayment
from sessions.models import Payment, PaymentStatus, Session, Task, TaskStatus
from sessions.stages import task_states
from tests.anvil import DEPLOYER, ROUTER, Chain
from tests.sessions.faces.x402.conftest import PRICE_WEI, PURSE_WEI, Sign
from tests.sessions.factories import make_request

pytestmark = pytest.mark.django_db(transaction=True)

MINER = "0x" + "b2" * 20
TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"


@pytest.fixture
def payment(session: Session, offer: Offer, signed: Sign) -> Payment:
    """A payment that was taken; its transfer waits in the outbox."""
    return take(make_request(), session, offer, signed())


@pytest.fixture
def go_on(chain: Chain) -> Any:
    """Send what waits and take the receipts, a block for each call."""
    sender = Sender(Rpc(chain.url), chain.deployment, {"router": ROUTER, "oracle": ROUTER})

    def step(blocks: int = 1) -> None:
        for _ in range(blocks):
            Operation.objects.update(due_at=timezone.now())
            sender.tick()
            chain.mine()
            sender.tick()
            sweep(timezone.now())

    return step


def balance_of(chain: Chain, account: LocalAccount) -> int:
    return int(chain.contract("CortensorToken").functions.balanceOf(account.address).call())


def end(task: Task, code: str = "settled") -> None:
    for status in ("assigned", "precommitted", "committed"):
        getattr(task_states, f"mark_{status}")(task, [MINER])
    task_states.mark_validated(task, [])
    task_states.mark_ended(task, code)


def test_a_transfer_that_is_mined_settles_at_once_and_is_earned_with_the_answer(
    chain: Chain, payment: Payment, till: LocalAccount, payer: LocalAccount, go_on: Any
) -> None:
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SETTLED
    assert payment.settled_at is not None
    receipt = chain.w3.eth.get_transaction_receipt(payment.transaction)  # type: ignore[arg-type]
    assert receipt["status"] == 1
    assert balance_of(chain, till) == PRICE_WEI
    assert balance_of(chain, payer) == PURSE_WEI - PRICE_WEI
    end(payment.task)
    sweep(timezone.now())
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.EARNED
    assert not Operation.objects.filter(kind=OperationKind.REFUND_PAYMENT).exists()


def test_a_task_that_comes_to_nothing_is_paid_back_once(
    chain: Chain, payment: Payment, till: LocalAccount, payer: LocalAccount, go_on: Any
) -> None:
    go_on()
    task_states.mark_failed(payment.task, "no_miner_available", "nobody was free")
    for _ in range(3):
        sweep(timezone.now())
        go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDED
    assert payment.refund_transaction
    assert balance_of(chain, payer) == PURSE_WEI
    assert balance_of(chain, till) == 0


def test_a_task_that_is_over_before_its_transfer_is_mined_is_paid_back_after_it(
    chain: Chain, payment: Payment, till: LocalAccount, payer: LocalAccount, go_on: Any
) -> None:
    task_states.mark_failed(payment.task, "no_miner_available", "nobody was free")
    sweep(timezone.now())
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.PENDING
    go_on(2)
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDED
    assert balance_of(chain, payer) == PURSE_WEI
    assert balance_of(chain, till) == 0


def test_a_task_that_the_chain_refunded_is_paid_back(
    chain: Chain, payment: Payment, payer: LocalAccount, go_on: Any
) -> None:
    go_on()
    end(payment.task, "refunded")
    sweep(timezone.now())
    go_on()
    assert balance_of(chain, payer) == PURSE_WEI


def test_a_refund_that_is_forgotten_and_made_again_moves_nothing_twice(
    chain: Chain, payment: Payment, till: LocalAccount, payer: LocalAccount, go_on: Any
) -> None:
    token = chain.contract("CortensorToken").functions
    chain.transact(DEPLOYER, token.transfer(till.address, 10 * PRICE_WEI))
    go_on()
    task_states.mark_failed(payment.task, "gone", "gone")
    sweep(timezone.now())
    go_on()
    # As after a database was put back to what it was before.
    Payment.objects.update(status=PaymentStatus.SETTLED, refund=None)
    Operation.objects.filter(kind=OperationKind.REFUND_PAYMENT).delete()
    sweep(timezone.now())
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDED
    assert balance_of(chain, payer) == PURSE_WEI
    assert balance_of(chain, till) == 10 * PRICE_WEI


def test_a_refund_that_the_till_does_not_cover_is_tried_again_later(
    chain: Chain,
    payment: Payment,
    till: LocalAccount,
    payer: LocalAccount,
    go_on: Any,
    settings: Settings,
) -> None:
    go_on()
    chain.rpc("anvil_setBalance", till.address, hex(10**18))
    token = chain.contract("CortensorToken").functions
    chain.transact(till, token.transfer(DEPLOYER.address, PRICE_WEI))
    task_states.mark_failed(payment.task, "gone", "gone")
    now = timezone.now()
    for _ in range(3):
        sweep(now)
        go_on()
    [refund] = Operation.objects.filter(kind=OperationKind.REFUND_PAYMENT)
    assert refund.status == OperationStatus.FAILED
    assert refund.attempts == 1
    chain.transact(DEPLOYER, token.transfer(till.address, PRICE_WEI))
    sweep(now + REFUND_AGAIN_AFTER + timedelta(seconds=1))
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDED
    assert balance_of(chain, payer) == PURSE_WEI


def test_a_task_that_miners_have_goes_on_when_the_payment_is_refused(
    chain: Chain, payment: Payment, payer: LocalAccount, go_on: Any
) -> None:
    task_states.mark_assigned(payment.task, [MINER])
    cancel(chain, payer, payment)
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUSED
    assert Task.objects.get().status == TaskStatus.ASSIGNED


def test_a_transfer_that_the_chain_refuses_ends_a_task_that_waits_and_is_final(
    chain: Chain, payment: Payment, payer: LocalAccount, go_on: Any
) -> None:
    cancel(chain, payer, payment)
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUSED
    assert "ERC3009UsedAuthorization" in payment.error
    task = Task.objects.get()
    assert (task.status, task.outcome_code) == (TaskStatus.FAILED, "payment_refused")
    sweep(timezone.now())
    assert Payment.objects.get().status == PaymentStatus.REFUSED
    assert not Operation.objects.filter(kind=OperationKind.REFUND_PAYMENT).exists()


def test_a_purse_that_is_emptied_meanwhile_has_paid_nothing(
    chain: Chain, payment: Payment, payer: LocalAccount, go_on: Any
) -> None:
    chain.rpc("anvil_setBalance", payer.address, hex(10**18))
    token = chain.contract("CortensorToken").functions
    chain.transact(payer, token.transfer(DEPLOYER.address, PURSE_WEI))
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUSED
    assert "ERC20InsufficientBalance" in payment.error


def test_a_stranger_who_sends_the_transfer_first_has_paid_for_the_gas(
    chain: Chain, payment: Payment, signed: Sign, till: LocalAccount, go_on: Any
) -> None:
    made = send(chain, as_signed(payment))
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SETTLED
    assert payment.transaction == made
    assert balance_of(chain, till) == PRICE_WEI


def test_a_refusal_that_comes_while_the_chain_is_asked_is_looked_into(
    chain: Chain, payment: Payment, monkeypatch: pytest.MonkeyPatch, go_on: Any
) -> None:
    made = send(chain, as_signed(payment))
    asked = settlement._made_by_another
    answers = [lambda _: None, asked]  # at first the transfer was not refused yet
    with monkeypatch.context() as signal:
        signal.setattr(settlement, "advance", lambda *_: None)
        go_on()
    monkeypatch.setattr(settlement, "_made_by_another", lambda row: answers.pop(0)(row))
    assert advance(payment).transaction == made


def test_a_payer_who_uses_the_nonce_for_something_else_has_not_paid(
    chain: Chain, payment: Payment, signed: Sign, till: LocalAccount, go_on: Any
) -> None:
    send(chain, signed(to=DEPLOYER.address))
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUSED
    assert balance_of(chain, till) == 0


def test_a_payer_who_uses_the_nonce_for_less_has_not_paid(
    chain: Chain, payment: Payment, signed: Sign, go_on: Any
) -> None:
    send(chain, signed(value=PRICE_WEI - 1))
    go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUSED


def test_a_payment_that_cannot_go_on_does_not_keep_others_waiting(
    payment: Payment, go_on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(settlement, "advance", fail)
        go_on()
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.PENDING
    sweep(timezone.now() + timedelta(seconds=2))  # it rests for a moment
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SETTLED


def test_without_the_tills_key_refunds_wait_and_nothing_else_does(
    payment: Payment, go_on: Any, settings: Settings, tmp_path: Any
) -> None:
    go_on()
    task_states.mark_failed(payment.task, "gone", "gone")
    kept, settings.KEYSTORE_DIR = settings.KEYSTORE_DIR, tmp_path / "elsewhere"
    sweep(timezone.now())
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.SETTLED
    settings.KEYSTORE_DIR = kept
    sweep(timezone.now())
    payment.refresh_from_db()
    assert payment.status == PaymentStatus.REFUNDING


# ── words of this test ───────────────────────────────────────────────────────


def as_signed(payment: Payment) -> SignedPayment:
    signature = bytes.fromhex(payment.signature[2:])
    return SignedPayment(2, "exact", "", "", settlement.transfer_of(payment), signature)


def send(chain: Chain, payment: SignedPayment) -> str:
    """Have a stranger send a payment's transfer."""
    transfer = payment.transfer
    token = chain.contract("CortensorToken")
    call = token.get_function_by_signature(TRANSFER)(
        transfer.payer,
        transfer.to,
        transfer.value,
        transfer.valid_after,
        transfer.valid_before,
        transfer.nonce,
        payment.signature,
    )
    return chain.transact(DEPLOYER, call)["transactionHash"].to_0x_hex()


def cancel(chain: Chain, payer: LocalAccount, payment: Payment) -> None:
    """Have the payer take an authorization back."""
    token = chain.contract("CortensorToken")
    nonce = bytes.fromhex(payment.nonce[2:])
    message = encode_typed_data(
        domain_data={
            "name": "Cortensor",
            "version": "1",
            "chainId": chain.deployment.chain_id,
            "verifyingContract": token.address,
        },
        message_types={
            "CancelAuthorization": [
                {"name": "authorizer", "type": "address"},
                {"name": "nonce", "type": "bytes32"},
            ]
        },
        message_data={"authorizer": payer.address, "nonce": nonce},
    )
    signature = bytes(payer.sign_message(message).signature)
    call = token.get_function_by_signature("cancelAuthorization(address,bytes32,bytes)")(
        payer.address, nonce, signature
    )
    chain.transact(DEPLOYER, call)
