"""Bad answers of an RPC node are named, retried or refused. The cursor never passes a gap."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chain.following import fetch
from chain.following.fetch import SINGLE_BLOCKS
from chain.following.sync import Follower
from chain.models import Event
from chain.rpc import client
from chain.rpc.client import Rpc, RpcError, RpcInconsistent, RpcPartial, RpcRefused, RpcUnavailable
from sessions.models import OnChainTask
from tests.anvil import Chain
from tests.chain.faulty_node import FaultyNode, HttpStatus, faulty_node, honest
from tests.chain.following.test_sync import follow, forget, submit
from tests.chain.mirror_rows import mirror

pytestmark = pytest.mark.django_db


@pytest.fixture
def node(chain: Chain) -> Iterator[FaultyNode]:
    with faulty_node(chain.url) as node:
        yield node


@pytest.fixture
def follower(chain: Chain, node: FaultyNode) -> Follower:
    return Follower(Rpc(node.url), chain.deployment)


def only(method: str, change: Callable[[list[Any], Any], Any]) -> Callable[..., Any]:
    """Return a bend that changes the results of one method."""

    def bend(asked: str, params: list[Any], answer: Any) -> Any:
        if asked != method or "result" not in answer:
            return answer
        return {"result": change(params, answer["result"])}

    return bend


def persist(follower: Follower, attempts: int = 40) -> None:
    """Follow as the loop does, which repeats failed steps."""
    for _ in range(attempts):
        try:
            if not follower.step():
                return
        except RpcError:
            continue
    raise AssertionError("it never came to the head")


def test_an_error_status_is_named_and_nothing_is_stored(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    chain.open_session()

    def fail(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_getLogs":
            raise HttpStatus(503)
        return answer

    node.bend = fail
    with pytest.raises(RpcUnavailable, match=r"eth_getLogs at localhost: HTTP status 503"):
        follow(follower)
    assert not Event.objects.exists()
    node.bend = honest
    follow(follower)
    assert Event.objects.exists()


def test_a_node_that_does_not_answer_in_time_is_given_up(
    chain: Chain, node: FaultyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)

    def sleep(method: str, params: list[Any], answer: Any) -> Any:
        time.sleep(0.5)
        return answer

    node.bend = sleep
    with pytest.raises(RpcUnavailable, match=r"localhost: no usable answer \(ReadTimeout\)") as e:
        Follower(Rpc(node.url), chain.deployment).step()
    assert "SECRET" not in str(e.value)


def test_an_answer_that_is_no_json_rpc_is_refused(node: FaultyNode, follower: Follower) -> None:
    node.bend = lambda *_: {}
    with pytest.raises(RpcUnavailable, match="the answer is not JSON-RPC"):
        follower.step()


def test_a_wrong_chain_id_is_refused(node: FaultyNode, follower: Follower) -> None:
    node.bend = only("eth_chainId", lambda *_: "0x1")
    with pytest.raises(RpcInconsistent, match=r"localhost serves chain 1, .*on chain 31337"):
        follower.step()


def test_logs_of_another_contract_are_refused(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    chain.open_session()

    def foreign(params: list[Any], logs: Any) -> Any:
        return [log | {"address": "0x" + "ee" * 20} for log in logs]

    node.bend = only("eth_getLogs", foreign)
    with pytest.raises(RpcInconsistent, match="localhost: a log is from another contract, 0xeeee"):
        follow(follower)
    assert not Event.objects.exists()


def test_a_head_that_goes_backwards_is_no_fork(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    session_id = chain.open_session()
    submit(chain, session_id, "stays")
    follow(follower)
    stored = mirror()
    old = chain.rpc("eth_getBlockByNumber", hex(chain.w3.eth.block_number - 3), False)
    node.bend = lambda _, params, answer: {"result": old} if "latest" in params else answer
    assert not follower.step()
    assert mirror() == stored
    node.bend = honest
    submit(chain, session_id, "comes")
    follow(follower)
    assert OnChainTask.objects.count() == 2


def test_a_refused_range_is_made_smaller(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    session_id = chain.open_session()
    for number in range(40):
        submit(chain, session_id, f"task {number}")
    spans = []

    def refuse(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            spans.append(span)
            if span > 10:
                return {"error": {"code": -32005, "message": "query returned too much"}}
        return answer

    node.bend = refuse
    with pytest.raises(RpcRefused, match="query returned too much"):
        follower.step()
    persist(follower)
    assert OnChainTask.objects.count() == 40
    assert spans[0] > 10
    assert min(spans) <= 10


@pytest.mark.parametrize(
    "cut",
    [
        lambda logs: logs[:-1],
        lambda logs: logs[: len(logs) // 2],
        lambda logs: logs[1:],
        lambda _: [],
        lambda logs: [log for log in logs if log["blockNumber"] != logs[0]["blockNumber"]],
        lambda logs: logs[: len(logs) // 3] + logs[len(logs) // 2 :],
    ],
)
def test_logs_that_a_range_leaves_out_are_noticed(
    chain: Chain, node: FaultyNode, follower: Follower, cut: Callable[[Any], Any]
) -> None:
    session_id = chain.open_session()
    for number in range(2 * SINGLE_BLOCKS):
        submit(chain, session_id, f"task {number}")
    follow(follower)
    right = mirror()
    forget()

    def partial(params: list[Any], logs: Any) -> Any:
        # Providers do this: they cut large answers and send small ones whole.
        return cut(logs) if "fromBlock" in params[0] and len(logs) > 12 else logs

    node.bend = only("eth_getLogs", partial)
    again = Follower(Rpc(node.url), chain.deployment)
    with pytest.raises(RpcPartial, match="localhost has omitted logs of block"):
        again.step()
    assert not Event.objects.exists()
    persist(again)
    assert mirror() == right


def test_logs_that_are_not_indexed_yet_are_taken_from_the_receipts(
    chain: Chain, node: FaultyNode, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = chain.open_session()
    follow(follower)
    submit(chain, session_id, "fresh")
    node.bend = only("eth_getLogs", lambda *_: [])
    follow(follower)
    assert OnChainTask.objects.get().task_data == "fresh"
    assert "localhost has omitted 4 logs of block" in caplog.text


def test_receipts_that_do_not_fit_their_header_are_refused(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    session_id = chain.open_session()
    follow(follower)
    stored = Event.objects.count()
    submit(chain, session_id, "fresh")

    def bend(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_getLogs":
            return {"result": []}
        if method == "eth_getTransactionReceipt":
            return {"result": answer["result"] | {"logs": answer["result"]["logs"][:-1]}}
        return answer

    node.bend = bend
    with pytest.raises(RpcInconsistent, match=r"the receipts of block .* do not match its"):
        follower.step()
    assert Event.objects.count() == stored


def test_a_chain_without_blooms_is_followed(
    chain: Chain, node: FaultyNode, follower: Follower
) -> None:
    submit(chain, chain.open_session(), "task")
    node.bend = lambda method, _, answer: (
        {"result": answer["result"] | {"logsBloom": "0x" + "00" * 256}}
        if method == "eth_getBlockByNumber"
        else answer
    )
    follow(follower)
    assert OnChainTask.objects.count() == 1


def test_a_saturated_bloom_is_not_asked(chain: Chain, node: FaultyNode, follower: Follower) -> None:
    submit(chain, chain.open_session(), "task")
    node.bend = lambda method, _, answer: (
        {"result": answer["result"] | {"logsBloom": "0x" + "ff" * 256}}
        if method == "eth_getBlockByNumber"
        else answer
    )
    follow(follower)
    assert OnChainTask.objects.count() == 1
    assert "eth_getTransactionReceipt" not in node.asked


def test_a_batch_is_bounded_by_its_events(
    chain: Chain, node: FaultyNode, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = chain.open_session()
    follow(follower)  # how empty the blocks before are says nothing of those to come
    monkeypatch.setattr(fetch, "EVENTS_A_BATCH", 20)
    monkeypatch.setattr(fetch, "FIRST_RANGE", 4)
    for number in range(40):
        submit(chain, session_id, f"task {number}")
    sizes, before = [], 0
    small = Follower(Rpc(node.url), chain.deployment)
    while small.step():
        sizes.append(small.position.events - before)
        before = small.position.events
    assert OnChainTask.objects.count() == 40
    assert max(sizes[:-1]) <= 40
