"""A node's own transactions on a real chain, which no router can send for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mining.node.account.claims import claim_all
from mining.node.account.evm import CallReverted, Rpc
from mining.node.account.transactions import transact
from mining.node.account.wallet import Wallet
from mining.node.disk.stash import Result, Stash
from tests.anvil import CLIENT, MODEL, ORACLE, ROUTER, Chain


@pytest.fixture
def rpc(chain: Chain, db: Any) -> Iterator[Rpc]:
    chain.rpc("evm_setAutomine", True)
    rpc = Rpc(chain.url)
    yield rpc
    rpc.close()
    chain.rpc("evm_setAutomine", False)


@pytest.fixture
def wallet(chain: Chain, tmp_path: Path) -> Wallet:
    wallet = Wallet.create_or_open(tmp_path)
    chain.rpc("anvil_setBalance", wallet.address, hex(10**18))
    return wallet


def test_a_node_registers_itself_once(chain: Chain, rpc: Rpc, wallet: Wallet) -> None:
    pool = chain.contract("NodePool")
    transact(wallet, rpc, pool.address, "register()", [])
    assert pool.functions.getNode(wallet.address).call()[2] == 1
    with pytest.raises(CallReverted):
        transact(wallet, rpc, pool.address, "register()", [])


def test_what_a_router_withholds_is_taken_to_the_contract(
    chain: Chain, rpc: Rpc, wallet: Wallet, tmp_path: Path
) -> None:
    pool, queue = chain.contract("NodePool"), chain.contract("SessionQueue")
    transact(wallet, rpc, pool.address, "register()", [])
    chain.transact(ORACLE, pool.functions.setNodeState(wallet.address, 3))
    session_id = chain.open_session()
    submit = chain.contract("Session").functions.submit
    chain.transact(CLIENT, submit(session_id, 0, "hi", 1, "", [16, 0, 100, 0, 0, 0], [60], ""))
    chain.transact(ROUTER, queue.functions.assignTask(session_id, 0, [wallet.address], MODEL))
    data = '{"result":"hello","salt":"0x01"}'
    digest = queue.functions.taskDigestOf(session_id, 0).call()
    Stash(tmp_path / "stash").put(
        Result(
            assignment_id="00000000-0000-0000-0000-000000000007",
            session_id=session_id,
            task_id=0,
            task_digest=digest.hex(),
            chain_id=chain.deployment.chain_id,
            queue_address=queue.address,
            content=data,
            data=data,
        )
    )
    said = list(claim_all(wallet, rpc, tmp_path / "stash"))
    assert [line.split(" ")[2] for line in said] == ["precommit", "commit"]
    assert not any("is refused" in line for line in said)
    miners, results = queue.functions.getTaskResults(session_id, 0).call()
    assert list(zip(miners, results, strict=True)) == [(wallet.address, data)]
    again = list(claim_all(wallet, rpc, tmp_path / "stash"))
    assert all("is refused" in line for line in again)
