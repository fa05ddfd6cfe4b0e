"""Clients written for the interface of 2025 work unchanged."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil import CLIENT, DEPLOYER, MODEL, ROUTER, Chain, account

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "ethers_calls.mjs"
PUBLISHED = ROOT / "contracts" / "reference"
LLM_PARAMS = [32, 0, 100, 0, 0, 0]


@pytest.fixture
def mining(chain: Chain) -> Iterator[Chain]:
    """A chain that mines each transaction at once, since clients wait for theirs."""
    chain.rpc("evm_setAutomine", True)
    yield chain
    chain.rpc("evm_setAutomine", False)


def ethers(
    chain: Chain, contract: str, abi: str, *calls: tuple[str, *tuple[Any, ...]]
) -> list[Any]:
    asked = {
        "rpcUrl": chain.url,
        "key": CLIENT.key.hex(),
        "address": chain.contract(contract).address,
        "abi": str(PUBLISHED / f"{abi}.abi.txt"),
        "calls": [[name, arguments] for name, *arguments in calls],
    }
    run = subprocess.run(
        ["node", str(SCRIPT), json.dumps(asked)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    answers: list[Any] = json.loads(run.stdout)
    return answers


def test_a_client_of_2025_opens_a_session_submits_and_sees_who_works(mining: Chain) -> None:
    miners = [account(f"miner {number}") for number in range(2)]
    for miner in miners:
        mining.register_miner(miner)
    older = "Session2025"
    [created] = ethers(
        mining, "Session", older, ("create", "old", "{}", CLIENT.address, 1, 3, 2, 0, 0, False)
    )
    session_id = created["SessionCreated"]["sessionId"]
    payment = mining.contract("SessionPayment").functions
    token = mining.contract("CortensorToken").functions
    mining.transact(DEPLOYER, token.transfer(CLIENT.address, 10**18))
    mining.transact(CLIENT, token.approve(payment.address, 10**18))
    mining.transact(CLIENT, payment.depositToSession(session_id, 10**18))
    [submitted] = ethers(
        mining, "Session", older, ("submit", session_id, 0, "What?", 1, "", LLM_PARAMS, "bot")
    )
    task_id = submitted["TaskSubmitted"]["taskId"]
    queue = mining.contract("SessionQueue").functions
    addresses = [miner.address for miner in miners]
    mining.transact(ROUTER, queue.assignTask(session_id, task_id, addresses, MODEL))
    nodes, sessions, session, owner = ethers(
        mining,
        "Session",
        older,
        ("getEphemeralNodes", session_id),
        ("getSessionsByAddress", CLIENT.address),
        ("getSession", session_id),
        ("owner",),
    )
    assert sorted(nodes) == sorted(addresses)
    assert [(seen["id"], seen["name"], seen["redundant"]) for seen in sessions] == [
        (session_id, "old", 2)
    ]
    assert session["owner"] == CLIENT.address
    assert sorted(session["ephemeralNodes"]) == sorted(addresses)
    assert owner == DEPLOYER.address


def test_the_documented_example_opens_a_session_of_the_default_model(mining: Chain) -> None:
    """The example of the network's documentation uses model 0."""
    [created] = ethers(
        mining,
        "Session",
        "Session",
        ("create", "My Session", "Metadata", CLIENT.address, 1, 3, 1, 0, 0, False, 0, 0, 300, 5),
    )
    session_id = created["SessionCreated"]["sessionId"]
    [sessions] = ethers(mining, "Session", "Session", ("getSessionsByAddress", CLIENT.address))
    assert [seen["modelIdentifier"] for seen in sessions if seen["id"] == session_id] == [MODEL]


@pytest.mark.parametrize("contract", ["Session", "SessionQueue", "Cognitive"])
def test_every_contract_says_its_version_and_its_owner(chain: Chain, contract: str) -> None:
    answers = ethers(chain, contract, contract, ("version",), ("subversion",), ("owner",))
    assert answers == [2, 0, DEPLOYER.address]
