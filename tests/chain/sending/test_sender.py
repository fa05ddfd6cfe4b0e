"""Each operation reaches a real chain exactly once, in spite of failures on the way."""

import threading
from pathlib import Path
from typing import Any

import pytest

from chain import operations
from chain.deployed.keys import load_or_create
from chain.following.sync import Follower
from chain.models import Fault, Operation, OperationStatus, Transaction
from chain.protocol.messages import Registration, SigningDomain, sign
from chain.rpc.client import Rpc
from chain.rpc.endpoints import Endpoints
from chain.sending import calls, journal, outbox, sender, transactions
from chain.sending.journal import MAX_ATTEMPTS
from chain.sending.sender import STUCK_BLOCKS, Sender, run
from sessions.models import OnChainStatus, OnChainTask, Session
from tests.anvil import ORACLE, ROUTER, Chain, account
from tests.chain.life import Life
from tests.chain.mirror_rows import mirror, rebuilt_mirror
from tests.chain.senders import deliver, make_sender, statuses

pytestmark = pytest.mark.django_db(transaction=True)

MINERS = [account(f"miner {number}") for number in range(3)]
ENDED = 5


def test_a_task_goes_from_the_outbox_to_its_settlement_and_into_the_mirror(chain: Chain) -> None:
    for miner in MINERS:
        chain.register_miner(miner)
    session_id = chain.open_session(redundancy=3)
    tasks = [Life(chain, session_id, number) for number in range(4)]
    at_work = make_sender(chain)
    for task in tasks:
        task.submit()
        task.assign(MINERS)
        for miner in MINERS:
            task.ack(miner)
            task.precommit(miner)
    deliver(chain, at_work)
    for task in tasks:
        for miner in MINERS:
            task.commit(miner)
        task.judge(MINERS)
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert [task.status() for task in tasks] == [ENDED] * 4
    # Operations of one kind share a transaction.
    assert Transaction.objects.count() == 6
    follower = Follower(Rpc(chain.url), chain.deployment)
    while follower.step():
        pass
    assert OnChainTask.objects.filter(status=OnChainStatus.ENDED).count() == 4
    session = Session.objects.get(pk=session_id)
    payment = chain.contract("SessionPayment").functions
    assert session.paid_wei == payment.totalOwed().call() > 0
    assert session.balance_wei == payment.sessionBalance(session_id).call()
    assert mirror() == rebuilt_mirror()


def test_gas_limits_leave_room_for_sixteen_miners(chain: Chain) -> None:
    miners = [account(f"miner {number}") for number in range(16)]
    for miner in miners:
        chain.register_miner(miner)
    tasks = [Life(chain, chain.open_session(redundancy=16))]
    at_work = make_sender(chain)
    for task in tasks:
        task.submit()
        task.assign(miners)
        for miner in miners:
            task.ack(miner)
            task.precommit(miner)
    deliver(chain, at_work)
    for task in tasks:
        for miner in miners:
            task.commit(miner)
        task.judge(miners)
    deliver(chain, at_work)
    deliver(chain, at_work)
    assert [task.status() for task in tasks] == [ENDED]
    for row in Transaction.objects.all():
        assert row.gas_used is not None
        assert row.gas_used < 0.7 * row.gas_limit, row.kind


def test_stuck_tasks_are_forced_on(chain: Chain) -> None:
    for miner in MINERS:
        chain.register_miner(miner)
    session_id = chain.open_session(redundancy=2)
    queued, assigned, late = (Life(chain, session_id, number) for number in range(3))
    at_work = make_sender(chain)
    for task in (queued, assigned, late):
        task.submit()
    assigned.assign(MINERS[:2])
    late.assign(MINERS[:2])
    deliver(chain, at_work)
    late.precommit(MINERS[0])
    deliver(chain, at_work)
    chain.rpc("evm_increaseTime", 20)
    outbox.enqueue(
        operations.replace_miner(session_id, assigned.task_id, MINERS[0].address, MINERS[2].address)
    )
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    chain.rpc("evm_increaseTime", 60)
    outbox.enqueue(operations.end_task(session_id, queued.task_id))
    outbox.enqueue(operations.end_task(session_id, assigned.task_id))
    outbox.enqueue(operations.end_precommit(session_id, late.task_id))
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert [task.status() for task in (queued, assigned, late)] == [ENDED, ENDED, 3]
    window_s = chain.contract("SessionQueue").functions.COMMIT_WINDOW().call()
    chain.rpc("evm_increaseTime", window_s + 10)
    outbox.enqueue(operations.end_commit(session_id, late.task_id))
    deliver(chain, at_work)
    assert late.status() == ENDED
    assert set(Operation.objects.values_list("error", flat=True)) == {""}


def test_a_bad_element_fails_alone_and_says_why(chain: Chain) -> None:
    session_id = chain.open_session()
    good = [Life(chain, session_id, number) for number in (0, 1)]
    outside_lane = Life(chain, session_id, 7_000_000)
    for task in (good[0], outside_lane, good[1]):
        task.submit()
    deliver(chain, make_sender(chain))
    [refused] = journal.untold_failures()
    assert refused.payload["task_id"] == outside_lane.task_id
    assert refused.error == f"OutsideLane(taskId={outside_lane.task_id}, first=1000000)"
    confirmed = Operation.objects.filter(status=OperationStatus.CONFIRMED)
    assert {operation.payload["task_id"] for operation in confirmed} == {
        task.task_id for task in good
    }
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize(
    "spoiled",
    [
        {"max_input_tokens": -1},
        {"task_data": None},
        {"llm_params": "many"},
        {"prompt_type": 2**256},
        {"kind": "of_a_later_release"},
    ],
)
def test_an_operation_of_which_no_call_can_be_made_fails_alone(
    chain: Chain, spoiled: dict[str, Any]
) -> None:
    session_id = chain.open_session()
    for number in range(3):
        Life(chain, session_id, number).submit()
    bad = Operation.objects.all()[1]
    kind = spoiled.pop("kind", bad.kind)
    Operation.objects.filter(pk=bad.pk).update(kind=kind, payload=bad.payload | spoiled)
    at_work = make_sender(chain)
    assert at_work.tick() == 0, "the others are not sent at once"
    deliver(chain, at_work)
    [failed] = journal.untold_failures()
    assert failed.pk == bad.pk
    assert failed.error.startswith("no call can be made of it: ")
    assert Fault.objects.get().item == str(failed)
    others = Operation.objects.exclude(pk=bad.pk).values_list("status", flat=True)
    assert list(others) == [OperationStatus.CONFIRMED] * 2


def test_no_operation_fails_by_a_mistake_of_the_program(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    Life(chain, chain.open_session()).submit()

    def no_such_function(*_: object) -> None:
        raise ValueError("the ABI does not have it")

    monkeypatch.setattr(calls, "_signature", no_such_function)
    with pytest.raises(ValueError, match="the ABI"):
        make_sender(chain).tick()
    assert set(statuses().values()) == {OperationStatus.PENDING}


def test_what_comes_too_early_is_tried_again(chain: Chain, no_pauses: None) -> None:
    chain.register_miner(MINERS[0])
    task = Life(chain, chain.open_session())
    at_work = make_sender(chain)
    task.assign(MINERS[:1])
    deliver(chain, at_work)
    operation = Operation.objects.get()
    assert operation.status != OperationStatus.FAILED
    assert operation.error.startswith("TaskNotFound(")
    task.submit()
    deliver(chain, at_work)
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert task.status() == 1


def test_what_never_comes_in_time_fails_in_the_end(chain: Chain, no_pauses: None) -> None:
    chain.register_miner(MINERS[0])
    Life(chain, chain.open_session()).assign(MINERS[:1])
    at_work = make_sender(chain)
    for _ in range(MAX_ATTEMPTS):
        deliver(chain, at_work)
    operation = Operation.objects.get()
    assert operation.status == OperationStatus.FAILED
    assert operation.attempts == MAX_ATTEMPTS


def test_what_is_done_already_counts_as_done(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    at_work = make_sender(chain)
    task.submit()
    deliver(chain, at_work)
    Operation.objects.all().delete()
    task.submit()
    deliver(chain, at_work)
    operation = Operation.objects.get()
    assert operation.status == OperationStatus.CONFIRMED
    assert operation.error == "AlreadyDone()"


def test_enqueueing_twice_does_it_once(chain: Chain) -> None:
    task = Life(chain, chain.open_session())
    for _ in range(2):
        task.submit()
    at_work = make_sender(chain)
    deliver(chain, at_work)
    task.submit()
    deliver(chain, at_work)
    assert Transaction.objects.count() == 1


def test_of_two_senders_that_believe_to_lead_one_takes_an_operation(chain: Chain) -> None:
    tasks = [Life(chain, chain.open_session(), number) for number in range(2)]
    tasks[0].submit()
    first, second = make_sender(chain), make_sender(chain)
    seen_by_both = list(Operation.objects.all())
    now = second._look()
    first.tick()
    assert not second._send(seen_by_both, [], now)
    assert Transaction.objects.count() == 1
    # The second sender's RPC node lags: it does not have the first sender's transaction.
    tasks[1].submit()
    chain.rpc("anvil_dropAllTransactions")
    assert second._send(list(Operation.objects.filter(status="pending")), [], now)
    assert list(Transaction.objects.order_by("pk").values_list("nonce", flat=True)) == [0, 1]
    chain.mine(STUCK_BLOCKS)
    for _ in range(2):
        deliver(chain, second)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}


def test_another_endpoint_takes_the_transactions_of_one_that_is_away(chain: Chain) -> None:
    node = Endpoints(["http://127.0.0.1:1/v3/SECRET", chain.url])
    at_work = Sender(node, chain.deployment, {"router": ROUTER, "oracle": ORACLE})
    task = Life(chain, chain.open_session())
    task.submit()
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}


def test_while_gas_is_too_dear_nothing_is_sent(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Life(chain, chain.open_session()).submit()
    at_work = make_sender(chain)
    with monkeypatch.context() as patch:
        patch.setattr(transactions, "MAX_FEE_WEI", 1)
        at_work.tick()
    assert "too expensive: waiting" in caplog.text
    assert not Transaction.objects.exists()
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}


def test_a_batch_that_reverts_is_sent_again_one_by_one(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, no_pauses: None
) -> None:
    session_id = chain.open_session()
    tasks = [Life(chain, session_id, number) for number in range(3)]
    for task in tasks:
        task.submit()
    at_work = make_sender(chain)
    with monkeypatch.context() as patch:
        patch.setattr(sender, "gas_limit", lambda _: 300_000)
        deliver(chain, at_work)
    assert Transaction.objects.exclude(succeeded=True).first().kind == "submit_task"  # type: ignore[union-attr]
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}
    assert [task.status() for task in tasks] == [0, 0, 0]
    assert Transaction.objects.count() == 4


def test_nodes_are_registered_and_given_a_state(chain: Chain) -> None:
    miner = account("a miner without gas")
    registration = Registration(miner.address, miner.address, 0)
    domain = SigningDomain(chain.deployment.chain_id, chain.deployment.addresses["NodePool"])
    signature = sign(registration, domain, bytes(miner.key))
    outbox.enqueue(operations.register_node(registration, signature))
    at_work = make_sender(chain)
    deliver(chain, at_work)
    outbox.enqueue(operations.set_node_state(miner.address, 3, "first"))
    deliver(chain, at_work)
    assert chain.contract("NodePool").functions.isEligible(miner.address).call()
    outbox.enqueue(operations.withdraw_node_payment(miner.address, "first"))
    deliver(chain, at_work)
    assert set(statuses().values()) == {OperationStatus.CONFIRMED}


def test_the_loop_sends_until_it_is_stopped(
    chain: Chain, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LOOK_EVERY_S", 0.2)
    settings.KEYSTORE_DIR = tmp_path
    settings.KEYSTORE_PASSWORD_FILE = tmp_path / "password"
    settings.KEYSTORE_PASSWORD_FILE.write_text("a password\n")
    for name in ("router", "oracle"):
        key = load_or_create(tmp_path / f"{name}.json", "a password")
        chain.rpc("anvil_setBalance", key.address, hex(10**19))
    Life(chain, chain.open_session()).submit()
    chain.rpc("evm_setAutomine", True)
    stop = threading.Event()

    def beat() -> None:
        if OperationStatus.FAILED in statuses().values():
            stop.set()

    run(stop, beat)
    chain.rpc("evm_setAutomine", False)
    # No session lists the new key, so the chain refuses the operation for this reason.
    assert Operation.objects.get().error.startswith("NotRouter(")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries are due at once."""
    monkeypatch.setattr(journal, "FIRST_PAUSE_S", 0)
