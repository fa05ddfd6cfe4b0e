"""Transactions after their sender was killed, after a fork, and with fees that are too low."""

from typing import Any

import pytest

from chain.models import Operation, OperationStatus, Transaction, TransactionStatus
from chain.rpc.client import Rpc, RpcRefused
from chain.sending import journal, transactions
from chain.sending.journal import FINAL_DEPTH
from chain.sending.sender import STUCK_BLOCKS
from tests.anvil import ORACLE, ROUTER, Chain
from tests.chain.life import Life
from tests.chain.senders import deliver, make_sender, statuses

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """Stands for SIGKILL, as it looks to the database and the chain."""


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (journal, "record_signed"),
        (Rpc, "call"),
        (journal, "record_sent"),
        (journal, "record_mined"),
    ],
)
@pytest.mark.parametrize("done_before_it_dies", [False, True])
def test_a_killed_sender_loses_nothing_and_does_nothing_twice(
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
    where: Any,
    what: str,
    done_before_it_dies: bool,
) -> None:
    session_id = chain.open_session()
    tasks = [Life(chain, session_id, number) for number in range(2)]
    for task in tasks:
        task.submit()
    real = getattr(where, what)

    def dies(*args: Any, **kwargs: Any) -> Any:
        if what == "call" and "eth_sendRawTransaction" not in args:
            return real(*args, **kwargs)
        if done_before_it_dies:
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, what, dies)
        victim = make_sender(chain)
        with pytest.raises(Killed):
            deliver(chain, victim)
    successor = make_sender(chain)
    deliver(chain, successor)
    deliver(chain, successor)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert set(Operation.objects.values_list("error", flat=True)) == {""}
    assert [task.status() for task in tasks] == [0, 0]
    assert Transaction.objects.count() == 1
    assert chain.w3.eth.get_transaction_count(ROUTER.address) == 1


def test_a_transaction_that_a_fork_has_undone_is_sent_again(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    at_work = make_sender(chain)
    task.submit()
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    chain.rpc("anvil_reorg", 1, [])
    chain.rpc("anvil_dropAllTransactions")
    assert chain.w3.eth.get_transaction_count(ROUTER.address) == 0
    at_work.tick()
    assert set(statuses().values()) == {OperationStatus.SENT}
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert task.status() == 0
    assert Transaction.objects.count() == 1


def test_a_transaction_deep_enough_is_final(chain: Chain) -> None:
    Life(chain, chain.open_session()).submit()
    at_work = make_sender(chain)
    deliver(chain, at_work)
    chain.mine(FINAL_DEPTH)
    at_work.tick()
    assert Transaction.objects.get().status == TransactionStatus.FINAL


def test_a_stuck_transaction_is_replaced_at_a_higher_price(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    task.submit()
    at_work = make_sender(chain)
    at_work.tick()
    first = Transaction.objects.get()
    dear = 20 * int(first.max_fee_wei)
    for _ in range(STUCK_BLOCKS):
        chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(dear))
        chain.mine()
    at_work.tick()
    second = Transaction.objects.get()
    assert second.hash != first.hash
    assert second.earlier_hashes == [first.hash]
    assert second.nonce == first.nonce
    assert second.max_fee_wei > dear
    assert second.priority_fee_wei * 100 >= first.priority_fee_wei * 110
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}


def test_the_replaced_one_may_be_mined_after_all(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    task.submit()
    at_work = make_sender(chain)
    at_work.tick()
    row = Transaction.objects.get()
    signed = at_work._sign(row, transactions.Fees(2 * int(row.max_fee_wei), 10**9))
    journal.record_replacement(row, signed, transactions.Fees(2 * int(row.max_fee_wei), 10**9))
    chain.mine()  # mines only the first one, since the second was not broadcast
    at_work.tick()
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert Transaction.objects.get().status == TransactionStatus.MINED


def test_a_nonce_that_was_used_elsewhere_is_given_up(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    task.submit()
    at_work = make_sender(chain)
    at_work.tick()
    chain.rpc("anvil_dropAllTransactions")
    chain.send(ROUTER, ORACLE.address, "0x")
    chain.mine(STUCK_BLOCKS)
    at_work.tick()
    assert Transaction.objects.get().status == TransactionStatus.DROPPED
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert task.status() == 0


def test_a_forgotten_transaction_is_broadcast_again(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    task.submit()
    at_work = make_sender(chain)
    at_work.tick()
    chain.rpc("anvil_dropAllTransactions")
    chain.mine(STUCK_BLOCKS)
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert task.status() == 0


def test_an_account_without_gas_money_loses_nothing(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    balance = chain.w3.eth.get_balance(ROUTER.address)
    chain.rpc("anvil_setBalance", ROUTER.address, "0x0")
    task.submit()
    at_work = make_sender(chain)
    with pytest.raises(RpcRefused, match=r"(?i)insufficient funds"):
        at_work.tick()
    chain.rpc("anvil_setBalance", ROUTER.address, hex(balance))
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
