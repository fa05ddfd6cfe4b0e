"""Several RPC endpoints: they replace each other, and none is believed against the others."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chain.following.fetch import SINGLE_BLOCKS
from chain.following.sync import Follower, run
from chain.models import Block
from chain.rpc import endpoints as module
from chain.rpc.client import Rpc, RpcError, RpcInconsistent, RpcPartial
from chain.rpc.endpoints import Endpoints
from sessions.models import OnChainTask
from tests.anvil import Chain
from tests.chain.faulty_node import FaultyNode, HttpStatus, faulty_node, honest
from tests.chain.following.test_sync import follow, submit
from tests.chain.mirror_rows import mirror

pytestmark = pytest.mark.django_db

FAKE = "0x" + "fa" * 32


@pytest.fixture
def nodes(chain: Chain) -> Iterator[list[FaultyNode]]:
    with faulty_node(chain.url) as a, faulty_node(chain.url) as b, faulty_node(chain.url) as c:
        yield [a, b, c]


def follower_of(chain: Chain, nodes: list[FaultyNode]) -> Follower:
    return Follower(Endpoints([node.url for node in nodes]), chain.deployment)


def fails(method: str, params: list[Any], answer: Any) -> Any:
    raise HttpStatus(502)


def lies(method: str, params: list[Any], answer: Any) -> Any:
    """Give every block a false hash, as well as a false parent hash that matches."""
    if method != "eth_getBlockByNumber" or not answer.get("result"):
        return answer
    block = answer["result"]
    return {"result": block | {name: other(block[name]) for name in ("hash", "parentHash")}}


def other(block_hash: str) -> str:
    """Return a false hash, which is always the same for a true hash."""
    return ("0xfb" if block_hash.startswith("0xfa") else "0xfa") + block_hash[4:]


def test_another_endpoint_takes_over_and_the_first_comes_back(
    chain: Chain,
    nodes: list[FaultyNode],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, _ = nodes
    follower = follower_of(chain, [first, second])
    first.bend = fails
    session_id = chain.open_session()
    follow(follower)
    asked = len(first.asked)
    submit(chain, session_id, "served by the second")
    follow(follower)
    assert OnChainTask.objects.count() == 1
    assert len(first.asked) == asked  # it is left alone for a while
    assert "localhost is suspended for 5 s: eth_chainId at localhost: HTTP status 502" in (
        caplog.text
    )
    assert "SECRET" not in caplog.text
    first.bend = honest
    monkeypatch.setattr(module.time, "monotonic", lambda: 10.0**9)
    follow(follower)
    assert len(first.asked) > asked


def test_when_all_are_away_the_failure_is_named(chain: Chain, nodes: list[FaultyNode]) -> None:
    follower = follower_of(chain, nodes)
    for node in nodes:
        node.bend = fails
    with pytest.raises(RpcError, match="localhost: HTTP status 502"):
        follower.step()
    nodes[1].bend = honest
    follow(follower)  # although all of them are suspended
    assert Block.objects.exists()


def test_an_endpoint_of_another_chain_is_never_asked_for_more(
    chain: Chain, nodes: list[FaultyNode], caplog: pytest.LogCaptureFixture
) -> None:
    nodes[0].bend = lambda method, _, answer: (
        {"result": "0x1"} if method == "eth_chainId" else answer
    )
    chain.open_session()
    follow(follower_of(chain, nodes))
    assert set(nodes[0].asked) == {"eth_chainId"}
    assert "localhost serves chain 1" in caplog.text


@pytest.mark.parametrize("liar", [0, 2])
def test_one_of_three_that_lies_is_outvoted(
    chain: Chain, nodes: list[FaultyNode], liar: int, caplog: pytest.LogCaptureFixture
) -> None:
    submit(chain, chain.open_session(), "true")
    nodes[liar].bend = lies
    follower = follower_of(chain, nodes)
    for _ in range(3):
        try:
            follow(follower)
        except RpcInconsistent:
            continue
    assert OnChainTask.objects.count() == 1
    assert not Block.objects.filter(hash__startswith="0xfa").exists()
    assert "most endpoints have a different block" in caplog.text


def test_of_two_that_disagree_none_is_believed(chain: Chain, nodes: list[FaultyNode]) -> None:
    session_id = chain.open_session()
    follower = follower_of(chain, nodes[:2])
    follow(follower)
    stored = mirror()
    submit(chain, session_id, "disputed")
    nodes[1].bend = lies
    with pytest.raises(RpcInconsistent, match="localhost and localhost disagree on block"):
        follow(follower)
    assert mirror() == stored
    nodes[1].bend = honest
    follow(follower)
    assert OnChainTask.objects.count() == 1


def test_one_endpoint_alone_does_not_undo_what_another_still_has(
    chain: Chain, nodes: list[FaultyNode]
) -> None:
    submit(chain, chain.open_session(), "stays")
    follower = follower_of(chain, nodes[:2])
    follow(follower)
    stored = mirror()
    nodes[0].bend = lies
    with pytest.raises(RpcInconsistent, match="disagree"):
        follow(follower)
    assert mirror() == stored


def test_logs_that_a_witness_has_and_the_other_leaves_out_are_noticed(
    chain: Chain, nodes: list[FaultyNode]
) -> None:
    session_id = chain.open_session()
    for number in range(2 * SINGLE_BLOCKS):
        submit(chain, session_id, f"task {number}")

    def partial(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_getLogs" or "fromBlock" not in params[0]:
            return answer
        logs = answer["result"]
        return {"result": logs[: len(logs) // 2] + logs[len(logs) // 2 + 1 :]}

    nodes[0].bend = partial
    follower = follower_of(chain, nodes[:2])
    with pytest.raises(RpcPartial, match=r"has \d+ logs in blocks .* they differ"):
        follow(follower)


@pytest.mark.parametrize("laggard", [0, 1])
def test_an_endpoint_that_lags_is_named_and_suspended(
    chain: Chain,
    nodes: list[FaultyNode],
    laggard: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "COMPARE_HEADS_EVERY_S", 0)
    session_id = chain.open_session()
    follower = follower_of(chain, nodes[:2])
    follow(follower)
    number = chain.w3.eth.block_number
    old = chain.rpc("eth_getBlockByNumber", hex(number), False)

    def lag(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_blockNumber":
            return {"result": hex(number)}
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return {"result": old}
        if method == "eth_getBlockByNumber" and int(params[0], 16) > number:
            return {"result": None}
        return answer

    nodes[laggard].bend = lag
    for text in range(10):
        submit(chain, session_id, f"task {text}")
    follow(follower)
    assert OnChainTask.objects.count() == 10
    assert "localhost is suspended for 5 s: it lags by 10 blocks" in caplog.text


def test_the_loop_turns_from_an_endpoint_that_leads_nowhere(
    chain: Chain, nodes: list[FaultyNode], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    submit(chain, chain.open_session(), "served by the second")

    def refuse(method: str, params: list[Any], answer: Any) -> Any:
        error = {"code": -32601, "message": "no logs on your plan"}
        return {"error": error} if method == "eth_getLogs" else answer

    nodes[0].bend = refuse
    settings.RPC_URLS = [node.url for node in nodes[:2]]
    settings.RPC_WS_URL = chain.url
    stop = threading.Event()

    def beat() -> None:
        if OnChainTask.objects.exists():
            stop.set()

    run(stop, beat)
    assert "localhost is suspended for 5 s: eth_getLogs at localhost: no logs" in caplog.text


def test_one_endpoint_has_no_witness(chain: Chain) -> None:
    assert Rpc(chain.url).witness() is None
    assert Endpoints([chain.url]).witness() is None
