"""A paid task is accepted once, with its payment and its transfer, or not at all."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from chain.models import Operation
from chain.operations import OperationKind
from sessions.access.errors import LimitReached
from sessions.errors import NoMiners
from sessions.faces.x402.errors import PaymentRefused, PaymentUncheckable, Reason, TillEmpty
from sessions.faces.x402.offer import Offer
from sessions.faces.x402.payments import reference_of, take
from sessions.models import ModelPrice, Payment, PaymentStatus, Session, Task
from tests.anvil import account
from tests.sessions.faces.x402.conftest import PRICE_WEI, Sign
from tests.sessions.factories import make_request, make_session
from tests.sessions.ports import no_miners_online, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)


def nonce(number: int) -> dict[str, Any]:
    return {"nonce": number.to_bytes(32, "big")}


def assert_nothing_was_taken() -> None:
    assert not Task.objects.exists()
    assert not Payment.objects.exists()
    assert not Operation.objects.exists()


def test_task_payment_and_transfer_come_together(
    session: Session, offer: Offer, signed: Sign
) -> None:
    payment = signed()
    taken = take(make_request(), session, offer, payment)
    task = Task.objects.get()
    assert taken.task == task
    assert (taken.status, taken.amount_wei) == (PaymentStatus.PENDING, PRICE_WEI)
    assert task.reserve_wei == PRICE_WEI
    assert task.client_reference == reference_of(payment)
    kinds = set(Operation.objects.values_list("kind", flat=True))
    assert kinds == {OperationKind.SUBMIT_TASK, OperationKind.SETTLE_PAYMENT}


@pytest.fixture
def one_signature(signed: Sign) -> Sign:
    """The same payment at every call."""
    kept = signed()
    return lambda **_: kept


def test_the_same_payment_and_request_are_the_same_task(
    session: Session, offer: Offer, one_signature: Sign
) -> None:
    first = take(make_request(), session, offer, one_signature())
    again = take(make_request(client_reference="mine"), session, offer, one_signature())
    assert again == first
    assert Task.objects.count() == 1


def test_a_payment_that_comes_many_times_at_once_makes_one_task(
    session: Session, offer: Offer, one_signature: Sign
) -> None:
    payment, taken, errors = one_signature(), [], []

    def ask() -> None:
        try:
            taken.append(take(make_request(), session, offer, payment).pk)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(taken)) == 1
    assert Task.objects.count() == 1
    assert Operation.objects.filter(kind=OperationKind.SETTLE_PAYMENT).count() == 1


def test_a_payment_does_not_pay_for_another_request(
    session: Session, offer: Offer, one_signature: Sign
) -> None:
    take(make_request(), session, offer, one_signature())
    with pytest.raises(PaymentRefused) as caught:
        take(make_request("other words"), session, offer, one_signature())
    assert caught.value.reason == Reason.OTHER_REQUEST
    assert Task.objects.count() == 1


def test_a_payment_does_not_pay_in_another_session(
    session: Session, offer: Offer, one_signature: Sign
) -> None:
    take(make_request(), session, offer, one_signature())
    other = make_session(owner=session.owner)
    with pytest.raises(PaymentRefused) as caught:
        take(make_request(), other, offer, one_signature())
    assert caught.value.reason == Reason.OTHER_REQUEST


def test_who_knows_the_nonce_only_gets_no_answer(
    session: Session, offer: Offer, one_signature: Sign
) -> None:
    take(make_request(), session, offer, one_signature())
    copied = replace(one_signature(), signature=b"\x01" * 65)
    with pytest.raises(PaymentRefused) as caught:
        take(make_request(), session, offer, copied)
    assert caught.value.reason == Reason.NONCE_USED


def test_a_task_that_is_not_taken_leaves_the_payment_untouched(
    session: Session, offer: Offer, signed: Sign
) -> None:
    replace_ports(miners_online=no_miners_online)
    with pytest.raises(NoMiners):
        take(make_request(), session, offer, signed())
    assert_nothing_was_taken()


def test_a_session_without_money_is_the_operators_fault(
    session: Session, offer: Offer, signed: Sign
) -> None:
    Session.objects.update(deposited_wei=PRICE_WEI - 1)
    with pytest.raises(TillEmpty):
        take(make_request(), session, offer, signed())
    assert_nothing_was_taken()


def test_a_price_that_has_risen_since_it_was_asked_is_asked_again(
    session: Session, offer: Offer, signed: Sign
) -> None:
    ModelPrice.objects.update(output_price_wei=4)
    with pytest.raises(PaymentRefused) as caught:
        take(make_request(), session, offer, signed())
    assert caught.value.reason == Reason.AMOUNT
    assert_nothing_was_taken()


def test_a_bad_signature_takes_nothing(session: Session, offer: Offer, signed: Sign) -> None:
    with pytest.raises(PaymentRefused):
        take(make_request(), session, offer, signed(signer=account("thief")))
    assert_nothing_was_taken()


def test_while_the_chain_is_away_nothing_is_taken(
    session: Session, offer: Offer, signed: Sign, settings: Settings
) -> None:
    settings.RPC_URLS = ["http://127.0.0.1:1"]
    with pytest.raises(PaymentUncheckable):
        take(make_request(), session, offer, signed())
    assert_nothing_was_taken()


def test_requests_of_one_payer_are_limited_once_its_signature_is_known(
    session: Session, offer: Offer, one_signature: Sign, settings: Settings
) -> None:
    settings.LIMITS = settings.LIMITS | {"account_requests_per_minute": 1}
    payment = one_signature()
    for _ in range(3):
        with pytest.raises(PaymentRefused):
            take(make_request(), session, offer, replace(payment, signature=b"\x01" * 65))
    take(make_request(), session, offer, payment)
    with pytest.raises(LimitReached):
        take(make_request(), session, offer, payment)


# ── what the router risks ────────────────────────────────────────────────────


def test_a_payer_whose_money_nobody_has_seen_has_one_payment_under_way(
    session: Session, offer: Offer, signed: Sign
) -> None:
    first = take(make_request(), session, offer, signed(**nonce(1)))
    with pytest.raises(LimitReached):
        take(make_request(), session, offer, signed(**nonce(2)))
    Payment.objects.update(status=PaymentStatus.SETTLED, settled_at=timezone.now())
    second = take(make_request(), session, offer, signed(**nonce(2)))
    third = take(make_request(), session, offer, signed(**nonce(3)))
    assert len({first.task_id, second.task_id, third.task_id}) == 3


def test_a_known_payer_has_only_so_many_under_way(
    session: Session, offer: Offer, signed: Sign, settings: Settings
) -> None:
    settings.LIMITS = settings.LIMITS | {"payer_pending_payments": 2}
    take(make_request(), session, offer, signed(**nonce(1)))
    Payment.objects.update(status=PaymentStatus.SETTLED, settled_at=timezone.now())
    for number in (2, 3):
        take(make_request(), session, offer, signed(**nonce(number)))
    with pytest.raises(LimitReached, match="2 payments"):
        take(make_request(), session, offer, signed(**nonce(4)))


def test_payments_that_the_chain_refused_count_for_an_hour_against_what_is_risked(
    session: Session, offer: Offer, signed: Sign, settings: Settings
) -> None:
    settings.X402_MAX_AT_RISK_WEI = 2 * PRICE_WEI
    take(make_request(), session, offer, signed(**nonce(1)))
    Payment.objects.update(status=PaymentStatus.REFUSED)
    take(make_request(), session, offer, signed(**nonce(2)))
    Payment.objects.update(status=PaymentStatus.REFUSED)
    with pytest.raises(LimitReached, match="all that this router risks"):
        take(make_request(), session, offer, signed(**nonce(3)))
    assert Task.objects.count() == 2
    Payment.objects.update(created_at=timezone.now() - timedelta(hours=2))
    assert take(make_request(), session, offer, signed(**nonce(3))).pk
