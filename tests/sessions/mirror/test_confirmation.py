"""Money waits for the chain's finality, and unconfirmed amounts are shown as such."""

from typing import Any

import pytest
from django.utils import timezone

from chain.models import Block, Event
from sessions.errors import InsufficientBalance
from sessions.faces.rest import representations
from sessions.intake import acceptance
from sessions.models import OnChainTask, Session, Task
from tests.sessions.factories import make_request, make_session
from tests.sessions.from_chain.test_direct_tasks import on_chain
from tests.sessions.news import news

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def three_deep(settings: Any) -> None:
    settings.CONFIRMATIONS = "3"


def block(number: int) -> Block:
    """A stored block."""
    hashes = {"hash": f"0x{number:064x}", "parent_hash": f"0x{number - 1:064x}"}
    return Block.objects.create(number=number, timestamp=timezone.now(), **hashes)


def event(number: int, contract: str, name: str, **args: Any) -> None:
    """An event in that block."""
    Event.objects.create(
        block=block(number),
        block_hash=f"0x{number:064x}",
        log_index=0,
        tx_hash="0x00",
        contract=contract,
        name=name,
        args=args,
        timestamp=timezone.now(),
    )


def deposit(session: Session, amount: int, number: int) -> None:
    Session.objects.filter(pk=session.pk).update(deposited_wei=amount)
    numbers = {"sessionId": session.session_id, "amount": amount}
    event(number, "SessionPayment", "SessionDeposited", **numbers)


def test_no_task_is_taken_for_a_deposit_that_a_fork_may_take_back() -> None:
    session = make_session(deposited_wei=0)
    deposit(session, 10**18, number=10)
    block(12)
    with pytest.raises(InsufficientBalance, match="1 COR more wait for their deposit"):
        acceptance.accept(make_request(), session=session, api_key=None)
    block(13)
    assert acceptance.accept(make_request(), session=session, api_key=None).reserve_wei > 0


def test_a_deposit_is_shown_and_called_unconfirmed() -> None:
    session = make_session(deposited_wei=0)
    deposit(session, 10**18, number=10)
    session.refresh_from_db()
    shown = representations.session(session)
    assert (shown["balance_wei"], shown["unconfirmed_wei"]) == (str(10**18), str(10**18))
    assert not shown["confirmed"]
    block(13)
    shown = representations.session(session)
    assert (shown["unconfirmed_wei"], shown["confirmed"]) == ("0", True)


def test_a_direct_task_is_served_once_its_submission_is_confirmed() -> None:
    row = on_chain(make_session())
    numbers = {"sessionId": row.session_id, "taskId": row.task_id}
    event(10, "Session", "TaskSubmitted", **numbers)
    news()
    assert not Task.objects.exists()
    block(13)
    news()
    task = Task.objects.get()
    assert representations.task_with_miners(task)["on_chain"]["confirmed"]
    event(14, "SessionQueue", "TaskAssigned", **numbers)
    assert not representations.task_with_miners(task)["on_chain"]["confirmed"]


def test_a_fork_that_gives_a_number_to_another_task_replaces_it(settings: Any) -> None:
    settings.CONFIRMATIONS = "0"
    row = on_chain(make_session(), task_data="before the fork")
    news()
    row.delete()
    news()
    assert Task.objects.get().task_data == "before the fork"  # which may bring it back
    on_chain(Session.objects.get(), digest="0x" + "56" * 32, task_data="after the fork")
    news()
    task = Task.objects.get()
    assert (task.task_data, task.task_digest) == ("after the fork", "0x" + "56" * 32)
    assert OnChainTask.objects.count() == 1
