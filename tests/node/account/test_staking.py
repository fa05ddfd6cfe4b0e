"""A node's stake, from its owner's command line to a real chain and back."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from mining.node.account.reverts import in_cor, reason_of
from mining.node.account.staking import AmountInvalid, amount_from
from mining.node.account.wallet import address_in
from mining.node.cli.parser import main
from mining.node.config import SHIPPED_MODEL
from tests.anvil import DEPLOYER, ORACLE, Chain

COR = 10**18
WEEK_S = 7 * 24 * 3600


@pytest.fixture
def owner(chain: Chain, db: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A node with gas money and 100 $COR, and its settings in a file; its address."""
    for name in ("RPC_URL", "POOL_ADDRESS", "QUEUE_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CORTENSOR_NODE_HOME", str(tmp_path))
    pool, queue = chain.contract("NodePool"), chain.contract("SessionQueue")
    (tmp_path / "node.toml").write_text(
        f'rpc_url = "{chain.url}"\npool_address = "{pool.address}"\n'
        f'queue_address = "{queue.address}"\n'
    )
    chain.rpc("evm_setAutomine", True)
    assert main(["init"]) == 0
    address = address_in(tmp_path)
    chain.rpc("anvil_setBalance", address, hex(COR))
    token = chain.contract("CortensorToken")
    chain.transact(DEPLOYER, token.functions.transfer(address, 100 * COR))
    yield address
    chain.rpc("evm_setAutomine", False)


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def refusal(*command: str) -> str:
        capsys.readouterr()
        assert main(list(command)) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        return said

    return refusal


@pytest.fixture
def standing(capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    def standing() -> dict[str, Any]:
        capsys.readouterr()
        main(["status"])
        told: dict[str, Any] = json.loads(capsys.readouterr().out)["chain"]
        return told

    return standing


def test_a_node_stakes_unbonds_and_has_its_stake_back_after_the_delay(
    chain: Chain,
    owner: str,
    refusal: Callable[..., str],
    standing: Callable[[], dict[str, Any]],
) -> None:
    assert main(["register"]) == 0
    assert main(["stake", "12.5"]) == 0
    assert main(["stake", "0.000000000000000001"]) == 0
    told = standing()
    assert (told["state"], told["operator"]) == ("registered", owner.lower())
    assert told["staked_wei"] == str(12 * COR + COR // 2 + 1)
    assert told["balance_wei"] == str(87 * COR + COR // 2 - 1)

    assert main(["unbond", "2.5"]) == 0
    told = standing()
    assert (told["staked_wei"], told["unbonding_wei"]) == (str(10 * COR + 1), str(5 * COR // 2))
    assert "the stake can be withdrawn from" in refusal("withdraw", "--stake")
    chain.rpc("evm_increaseTime", WEEK_S + 1)
    chain.mine()
    assert main(["withdraw", "--stake"]) == 0
    told = standing()
    assert (told["staked_wei"], told["unbonding_wei"]) == (str(10 * COR + 1), "0")
    assert told["balance_wei"] == str(90 * COR - 1)
    assert "give an amount above 0" in refusal("withdraw", "--stake")


def test_a_stake_that_cannot_be_is_refused_with_the_reason(
    chain: Chain, owner: str, refusal: Callable[..., str]
) -> None:
    assert "run `register` first" in refusal("stake", "1")
    assert main(["register"]) == 0
    assert "NodePool knows" in refusal("register")
    assert "has 100 $COR, less than 100.5 $COR" in refusal("stake", "100.5")
    assert main(["stake", "1"]) == 0
    assert "1 $COR are staked, less than 2 $COR" in refusal("unbond", "2")
    assert "nothing is owed" in refusal("withdraw")
    chain.rpc("anvil_setBalance", owner, "0x0")
    assert "too little of the chain's own currency" in refusal("unbond", "1")


def test_a_node_of_another_operator_can_be_staked_for_but_not_unbonded(
    chain: Chain, owner: str, refusal: Callable[..., str]
) -> None:
    other = Account.create()
    chain.register_miner(other)
    assert main(["stake", "3", "--node", other.address]) == 0
    pool = chain.contract("NodePool")
    assert pool.functions.stakeOf(other.address).call()[0] == 3 * COR
    assert "does not operate" in refusal("unbond", "3", "--node", other.address)


def test_status_tells_what_counts_for_work(
    chain: Chain, owner: str, standing: Callable[[], dict[str, Any]]
) -> None:
    assert standing()["state"] == "unknown"
    assert main(["register"]) == 0
    pool = chain.contract("NodePool")
    chain.transact(ORACLE, pool.functions.setNodeState(owner, 3))
    chain.transact(DEPLOYER, pool.functions.setMinimumStake(5 * COR))
    told = standing()
    assert (told["state"], told["reputation"], told["models"]) == ("ephemeral", 0, [])
    assert (told["minimum_stake_wei"], told["owed_wei"]) == (str(5 * COR), "0")


def test_the_chain_is_told_which_models_a_node_serves(
    chain: Chain, owner: str, standing: Callable[[], dict[str, Any]], refusal: Callable[..., str]
) -> None:
    for number, name in ((1, "mini"), (7, "micro")):
        source = str(SHIPPED_MODEL.with_name(f"cortensor-{name}.gguf"))
        assert main(["models", "add", str(number), source]) == 0
    assert "does not operate" in refusal("models", "announce")
    assert main(["register"]) == 0
    assert main(["models", "announce"]) == 0
    assert standing()["models"] == [1, 7]
    pool = chain.contract("NodePool")
    assert pool.functions.serves(owner, 7).call()
    assert not pool.functions.serves(owner, 2).call()


def test_a_chain_that_is_away_does_not_hide_the_rest(
    owner: str, tmp_path: Path, standing: Callable[[], dict[str, Any]]
) -> None:
    told = (tmp_path / "node.toml").read_text().splitlines()
    (tmp_path / "node.toml").write_text("\n".join(['rpc_url = "http://127.0.0.1:1"', *told[1:]]))
    assert standing()["error"].startswith("RPC_URL: no valid answer")


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("1", COR),
        ("0.5", COR // 2),
        ("12345678901.000000000000000001", 12345678901 * COR + 1),
        ("0.000000000000000001", 1),
    ],
)
def test_an_amount_is_exact(text: str, wei: int) -> None:
    assert amount_from(text) == wei


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "-1", "1,5", "nan", "inf", "1e3", "9" * 14, "٣", ".5", "0.0000000000000000001"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountInvalid, match="AMOUNT"):
        amount_from(text)


def test_amounts_and_reasons_are_written_for_people() -> None:
    assert in_cor(0) == "0 $COR"
    assert in_cor(1234 * COR + 5) == "1,234.000000000000000005 $COR"
    assert reason_of("0x1f2a2005") == "ZeroAmount: the amount is 0; give an amount above 0"
    for unknown in ("", "0x", "0x12345678", "0x1f2a"):
        assert reason_of(unknown) is None


def test_an_address_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stake", "1", "--node", "0x12"])
    assert ended.value.code == 2
    assert "is not an address" in capsys.readouterr().err
