"""The mirror follows a real chain, also through forks."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain.following.fetch import SINGLE_BLOCKS
from chain.following.sync import Follower, run
from chain.mirror import blocks, projections
from chain.mirror.projections import Upsert
from chain.mirror.records import EventRecord
from chain.models import Block, Event
from chain.postgres.liveness import CHAIN
from chain.postgres.wakeup import Listener
from chain.rpc.client import Rpc, RpcError, RpcInconsistent
from sessions.models import OnChainTask, Session
from tests.anvil import CLIENT, Chain
from tests.chain.mirror_rows import mirror, rebuilt_mirror

pytestmark = pytest.mark.django_db


@pytest.fixture
def follower(chain: Chain) -> Follower:
    return Follower(Rpc(chain.url), chain.deployment)


def follow(follower: Follower) -> None:
    while follower.step():
        pass


def submit(chain: Chain, session_id: int, text: str) -> None:
    call = chain.contract("Session").functions.submit(
        session_id, 0, text, 1, "", [8], [60], f"ref {text}"
    )
    chain.transact(CLIENT, call)


def test_events_become_rows(chain: Chain, follower: Follower) -> None:
    session_id = chain.open_session(redundancy=2, deposit_wei=10**18)
    submit(chain, session_id, "hello")
    follow(follower)
    session = Session.objects.get(pk=session_id)
    assert session.owner == CLIENT.address.lower()
    assert session.deposited_wei == 10**18
    task = OnChainTask.objects.get(session_id=session_id)
    assert task.task_data == "hello"
    assert session.reserved_wei == task.reserved_wei > 0
    payment = chain.contract("SessionPayment")
    assert session.balance_wei == payment.functions.sessionBalance(session_id).call()
    assert mirror() == rebuilt_mirror()


def test_the_cursor_is_the_highest_block_and_nothing_is_stored_twice(
    chain: Chain, follower: Follower
) -> None:
    chain.open_session()
    follow(follower)
    stored = Event.objects.count()
    assert stored > 0
    assert Block.objects.order_by("-number").first().number == chain.w3.eth.block_number  # type: ignore[union-attr]
    assert not follower.step()
    follow(Follower(Rpc(chain.url), chain.deployment))
    assert Event.objects.count() == stored


def test_a_range_and_single_blocks_give_the_same(chain: Chain, follower: Follower) -> None:
    session_id = chain.open_session()
    for number in range(SINGLE_BLOCKS):
        follow(follower)
        submit(chain, session_id, f"task {number}")
    follow(follower)
    step_by_step = mirror(), events()
    forget()
    assert chain.w3.eth.block_number - chain.deployment.start_block > SINGLE_BLOCKS
    follow(follower)
    assert (mirror(), events()) == step_by_step


@pytest.mark.parametrize("depth", [1, 3, 12])
def test_a_fork_is_followed(chain: Chain, follower: Follower, depth: int) -> None:
    session_id = chain.open_session(deposit_wei=10**18)
    submit(chain, session_id, "stays")
    for number in range(depth):
        submit(chain, session_id, f"undone {number}")
        follow(follower)
    assert OnChainTask.objects.count() == 1 + depth
    chain.rpc("anvil_reorg", depth, [])
    follow(follower)
    assert [task.task_data for task in OnChainTask.objects.all()] == ["stays"]
    submit(chain, session_id, "after the fork")
    follow(follower)
    texts = set(OnChainTask.objects.values_list("task_data", flat=True))
    assert texts == {"stays", "after the fork"}
    payment = chain.contract("SessionPayment")
    balance = payment.functions.sessionBalance(session_id).call()
    assert Session.objects.get(pk=session_id).balance_wei == balance
    for block in Block.objects.all():
        assert chain.w3.eth.get_block(block.number)["hash"].to_0x_hex() == block.hash
    assert mirror() == rebuilt_mirror()
    followed = mirror(), events()
    forget()
    follow(Follower(Rpc(chain.url), chain.deployment))
    assert (mirror(), events()) == followed


def test_a_chain_that_starts_anew_empties_the_mirror(chain: Chain, follower: Follower) -> None:
    snapshot = chain.rpc("evm_snapshot")
    chain.open_session()
    submit(chain, 1, "undone")
    follow(follower)
    chain.rpc("evm_revert", snapshot)
    assert not follower.step()  # a shorter chain may be a node that lags
    assert Session.objects.count() == 1
    chain.rpc("anvil_mine", hex(2))
    chain.rpc("anvil_mine", hex(30))
    follow(follower)
    assert Session.objects.count() == 0
    assert OnChainTask.objects.count() == 0
    assert mirror() == rebuilt_mirror()


def test_what_clients_write_cannot_stop_the_mirror(chain: Chain, follower: Follower) -> None:
    session_id = chain.open_session()
    session = chain.contract("Session")
    types = [*("uint256", "uint256", "bytes", "uint256", "string")] + ["uint256[]"] * 2 + ["string"]
    selector = keccak(
        text="submit(uint256,uint256,string,uint256,string,uint256[],uint256[],string)"
    )[:4]
    nasty = [session_id, 0, b"\xff\xfe \x00 nul", 1, "\x00", [8, 2**16 - 1], [2**256 - 1], "\x00"]
    receipt = chain.send(CLIENT, session.address, selector + encode(types, nasty))
    assert receipt["status"] == 1
    follow(follower)
    task = OnChainTask.objects.get(session_id=session_id)
    assert task.task_data.endswith(" \ufffd nul")
    assert mirror() == rebuilt_mirror()


def test_a_projection_that_fails_stores_nothing(
    chain: Chain, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(follower)
    before = Block.objects.order_by("-number").first()
    chain.open_session()

    def fail(event: EventRecord) -> Sequence[Upsert]:
        raise RuntimeError("a bug")

    key = ("SessionPayment", "SessionDeposited")
    with monkeypatch.context() as patch:
        patch.setitem(projections._registry, key, [fail])
        with pytest.raises(RuntimeError, match="a bug"):
            follow(follower)
    assert Block.objects.order_by("-number").first() == before
    assert Session.objects.count() == 0
    follow(follower)
    assert Session.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_readers_are_woken_by_what_was_stored(chain: Chain, follower: Follower) -> None:
    with Listener([blocks.CHANNEL]) as listener:
        chain.open_session()
        follow(follower)
        assert listener.wait(5) == {blocks.CHANNEL}


def test_a_node_of_another_chain_is_refused(chain: Chain, settings: Any) -> None:
    other = Follower(Rpc(chain.url), replace(chain.deployment, chain_id=1))
    with pytest.raises(RpcInconsistent, match=r"serves chain 31337.*on chain 1"):
        other.step()
    assert not Block.objects.exists()


def test_a_node_that_is_away_is_named_without_its_path(chain: Chain) -> None:
    away = Follower(Rpc("http://127.0.0.1:1/v3/SECRET"), chain.deployment)
    with pytest.raises(RpcError) as caught:
        away.step()
    assert "127.0.0.1" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_the_loop_follows_until_it_is_stopped(chain: Chain) -> None:
    chain.open_session()
    stop, beats = threading.Event(), 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        if Session.objects.exists():
            stop.set()

    run(stop, beat)
    assert beats > 1


def test_the_loop_tells_when_the_mirror_is_at_the_chains_head(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.open_session()
    stop, marks = threading.Event(), list[tuple[str, bool]]()

    def tell(name: str, at: float) -> None:
        marks.append((name, Session.objects.exists()))
        stop.set()

    monkeypatch.setattr("chain.following.sync.tell", tell)
    run(stop, lambda: None)
    assert marks[0] == (CHAIN, True)


def test_a_rebuild_mends_a_mirror_that_was_tampered_with(chain: Chain, follower: Follower) -> None:
    session_id = chain.open_session()
    follow(follower)
    right = mirror()
    Session.objects.filter(pk=session_id).update(deposited_wei=1, owner="0x0")
    assert mirror() != right
    blocks.rebuild()
    assert mirror() == right


def events() -> list[tuple[Any, ...]]:
    return list(Event.objects.values_list("block_hash", "log_index", "name", "args"))


def forget() -> None:
    blocks.forget()
