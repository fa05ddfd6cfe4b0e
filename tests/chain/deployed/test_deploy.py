"""Deploys the contracts on a real chain."""

from pathlib import Path
from typing import Any

import pytest

from chain.deployed import deploy as deploying
from chain.deployed.contracts import CONTRACTS, Deployment
from chain.deployed.deploy import DeploymentOutdated, ModelPrice, deploy
from tests.anvil import DEPLOYER, MODEL, ORACLE, PRICE, ROLES, ROUTER, VALIDATOR, Chain


def test_the_contracts_know_each_other_and_the_roles_are_given(chain: Chain) -> None:
    roles, session = chain.contract("Roles"), chain.contract("Session")
    assert chain.contract("SessionPayment").functions.session().call() == session.address
    queue, overdue = chain.contract("SessionQueue"), chain.contract("OverdueTasks")
    assert queue.functions.overdue().call() == overdue.address
    for role, holder in (
        ("ROUTER_ROLE", ROUTER.address),
        ("ORACLE_ROLE", ORACLE.address),
        ("VALIDATOR_ROLE", VALIDATOR.address),
        ("MODULE_ROLE", session.address),
        ("MODULE_ROLE", chain.contract("SessionQueue").address),
        ("MODULE_ROLE", chain.contract("Cognitive").address),
        ("DEFAULT_ADMIN_ROLE", DEPLOYER.address),
    ):
        role_id = roles.functions[role]().call()
        assert roles.functions.hasRole(role_id, holder).call(), role
    assert session.functions.defaultRouter().call() == ROUTER.address
    price = chain.contract("SessionPayment").functions.modelPrice(MODEL).call()
    assert price == [PRICE.input_wei, PRICE.output_wei]
    token = chain.contract("CortensorToken")
    assert token.functions.balanceOf(DEPLOYER.address).call() == deploying.SUPPLY_WEI
    for account in (ROUTER, ORACLE, VALIDATOR):
        assert chain.w3.eth.get_balance(account.address) == deploying.FUNDING_WEI


def test_network_tasks_know_their_contracts(chain: Chain) -> None:
    cognitive, rewards = chain.contract("Cognitive"), chain.contract("NetworkRewards")
    for view, name in (
        ("pool", "NodePool"),
        ("stats", "NodeStats"),
        ("reputation", "NodeReputation"),
        ("rewards", "NetworkRewards"),
    ):
        assert cognitive.functions[view]().call() == chain.contract(name).address
    assert rewards.functions.token().call() == chain.contract("CortensorToken").address
    assert rewards.functions.epochSeconds().call() == deploying.EPOCH_S
    assert rewards.functions.plannedBudget().call() == deploying.DAY_BUDGET_WEI


def test_deploying_again_sends_nothing(chain: Chain, settings: Any) -> None:
    before = chain.w3.eth.get_transaction_count(DEPLOYER.address, "pending")
    again = deploy(chain.w3, DEPLOYER, ROLES, {MODEL: PRICE})
    assert again == chain.deployment
    assert chain.w3.eth.get_transaction_count(DEPLOYER.address, "pending") == before


def test_only_what_has_changed_is_sent(chain: Chain) -> None:
    before = chain.w3.eth.get_transaction_count(DEPLOYER.address, "pending")
    chain.rpc("evm_setAutomine", True)
    deploy(chain.w3, DEPLOYER, ROLES, {MODEL: PRICE, 2: ModelPrice(5, 7)})
    chain.rpc("evm_setAutomine", False)
    assert chain.w3.eth.get_transaction_count(DEPLOYER.address, "pending") == before + 1
    assert chain.contract("SessionPayment").functions.modelPrice(2).call() == [5, 7]


def test_a_deployment_is_kept_in_a_file(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    chain.deployment.save(file)
    assert Deployment.load(file) == chain.deployment
    assert set(chain.deployment.addresses) == set(CONTRACTS)


def test_contracts_of_another_interface_are_not_used(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    old = Deployment(
        chain_id=chain.deployment.chain_id,
        start_block=0,
        addresses=chain.deployment.addresses,
        abi_hashes=chain.deployment.abi_hashes | {"Session": "0" * 64},
    )
    old.save(file)
    with pytest.raises(DeploymentOutdated, match="Session"):
        deploy(chain.w3, DEPLOYER, ROLES, {MODEL: PRICE}, file)


def test_a_deployment_from_before_a_contract_is_not_used(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "older.json"
    addresses = {name: at for name, at in chain.deployment.addresses.items() if name != "Cognitive"}
    Deployment(chain.deployment.chain_id, start_block=0, addresses=addresses).save(file)
    with pytest.raises(DeploymentOutdated, match="has no Cognitive"):
        deploy(chain.w3, DEPLOYER, ROLES, {MODEL: PRICE}, file)


def test_a_file_of_another_chain_is_refused(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    Deployment(chain_id=1, start_block=0, addresses=chain.deployment.addresses).save(file)
    with pytest.raises(DeploymentOutdated, match="chain 1"):
        deploy(chain.w3, DEPLOYER, ROLES, {MODEL: PRICE}, file)
