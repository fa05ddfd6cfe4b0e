"""Deployment and wiring of the contracts.

Running it again is safe: steps that are already done are skipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract
from web3.types import Nonce, TxParams, Wei
from web3.utils.address import get_create_address

from chain.deployed.contracts import (
    CONTRACTS,
    Deployment,
    DeploymentMissing,
    abi,
    abi_hash,
    bytecode,
    handle,
)
from chain.errors import ChainError

SUPPLY_WEI = 1_000_000_000 * 10**18
FUNDING_WEI = 10 * 10**18
"""The amount of the chain's native coin that an account without any gets for gas."""
CREATION_GAS = 1_500_000
CREATION_GAS_A_BYTE = 260
CALL_GAS = 300_000
RECEIPT_TIMEOUT_S = 120
ROUTER_METADATA = "{}"
EPOCH_S = 24 * 60 * 60
DAY_BUDGET_WEI = 10_000 * 10**18
"""The most that one day of network tasks pays. An unfunded reward pool pays nothing."""


class DeploymentFailed(ChainError):
    """A transaction of the deployment failed."""


class DeploymentOutdated(ChainError):
    """The deployed contracts do not match this code."""


@dataclass(frozen=True)
class RoleHolders:
    """The addresses that hold this network's roles. `treasury` receives all $COR at deployment."""

    router: str
    oracle: str
    validator: str
    treasury: str


@dataclass(frozen=True)
class ModelPrice:
    """The price of one input and one output token of a model, in wei of $COR."""

    input_wei: int
    output_wei: int


def deploy(
    w3: Web3,
    deployer: LocalAccount,
    roles: RoleHolders,
    prices: Mapping[int, ModelPrice],
    file: Path | None = None,
    epoch_s: int = EPOCH_S,
) -> Deployment:
    """Deploy the contracts, wire them, grant the roles and set the prices.

    Steps that are already done are skipped. The deployer becomes the administrator and pays for
    gas. Role holders without any native coin get `FUNDING_WEI`.

    Args:
        prices: the prices by model identifier.
        file: the deployment file, `settings.DEPLOYMENT_FILE` by default.
        epoch_s: the length of an epoch of network tasks in seconds. It has an effect only when
            this call deploys the contracts.

    Raises:
        DeploymentOutdated: the deployed contracts do not match this code.
        DeploymentFailed: a transaction failed.
    """
    file = Path(settings.DEPLOYMENT_FILE) if file is None else file
    account = _Administrator(w3, deployer)
    deployment = _existing(w3, file) or _create(account, roles, file, epoch_s)
    _wire(account, deployment, roles, prices)
    account.fund({roles.router, roles.oracle, roles.validator})
    account.wait()
    return deployment


def fund_rewards(w3: Web3, deployment: Deployment, treasury: LocalAccount, amount_wei: int) -> None:
    """Fund the reward pool of network tasks from the treasury, unless it was ever funded."""
    rewards = handle(w3, deployment, "NetworkRewards")
    if rewards.functions.totalFunded().call() != 0:
        return
    account = _Administrator(w3, treasury)
    token = handle(w3, deployment, "CortensorToken")
    allowance = (account.address, rewards.address)
    account.ensure(
        token, "allowance", allowance, amount_wei, "approve", (rewards.address, amount_wei)
    )
    account.ensure(rewards, "totalFunded", (), amount_wei, "fund", (amount_wei,))
    account.wait()


def _existing(w3: Web3, file: Path) -> Deployment | None:
    """Return the deployment in the file if its contracts are on this chain, or None.

    Raises:
        DeploymentOutdated: the deployment is incomplete, on another chain, or does not match this
            code.
    """
    try:
        deployment = Deployment.load(file)
    except DeploymentMissing:
        return None
    if deployment.chain_id != w3.eth.chain_id:
        raise DeploymentOutdated(
            f"DEPLOYMENT_FILE: {file.name} is for chain {deployment.chain_id}, but RPC_URL serves"
            f" chain {w3.eth.chain_id}; remove the file to deploy there"
        )
    there = [bool(w3.eth.get_code(to_checksum_address(at))) for at in deployment.addresses.values()]
    if not any(there):
        return None
    missing = [name for name in CONTRACTS if name not in deployment.addresses]
    if missing:
        raise DeploymentOutdated(
            f"DEPLOYMENT_FILE: {file.name} has no {', '.join(missing)}; it is older than this code;"
            " remove the file to deploy again"
        )
    if not all(there):
        raise DeploymentOutdated(
            f"DEPLOYMENT_FILE: only some contracts of {file.name} are on this chain; wait until"
            " its deployment is mined, or remove the file to deploy again"
        )
    for name, deployed in deployment.abi_hashes.items():
        if deployed != abi_hash(name):
            raise DeploymentOutdated(
                f"DEPLOYMENT_FILE: the {name} in {file.name} does not have the interface that this"
                " code expects; remove the file to deploy again"
            )
    return deployment


def _create(account: "_Administrator", roles: RoleHolders, file: Path, epoch_s: int) -> Deployment:
    deployment = Deployment(
        chain_id=account.w3.eth.chain_id,
        start_block=account.w3.eth.block_number + 1,
        addresses={},
        abi_hashes={name: abi_hash(name) for name in CONTRACTS},
    )
    at = deployment.addresses
    admin_delay_s = 0
    for name in CONTRACTS:
        # A contract's arguments are addresses of contracts that come before it.
        arguments: dict[str, tuple[Any, ...]] = {
            "Roles": (account.address, admin_delay_s),
            "CortensorToken": (roles.treasury, SUPPLY_WEI),
            "NodePool": (at.get("Roles"), at.get("CortensorToken")),
            "SessionPayment": (at.get("Roles"), at.get("CortensorToken")),
            "OverdueTasks": (at.get("Roles"), at.get("SessionPayment"), at.get("NodePool")),
            "SessionQueue": (
                at.get("Roles"),
                at.get("SessionPayment"),
                at.get("NodePool"),
                at.get("OverdueTasks"),
            ),
            "SessionViews": (at.get("Roles"), at.get("SessionQueue")),
            "Session": (
                at.get("Roles"),
                at.get("SessionQueue"),
                at.get("SessionPayment"),
                at.get("NodePool"),
                at.get("SessionViews"),
            ),
            "NodeStats": (at.get("Roles"),),
            "NodeReputation": (at.get("Roles"),),
            "NetworkRewards": (at.get("Roles"), at.get("CortensorToken"), epoch_s),
            "NetworkViews": (),
            "Cognitive": (
                at.get("Roles"),
                at.get("NodePool"),
                at.get("NodeStats"),
                at.get("NodeReputation"),
                at.get("NetworkRewards"),
                at.get("NetworkViews"),
            ),
        }
        at[name] = account.create(name, *arguments[name])
    account.wait()
    deployment.save(file)
    return deployment


def _wire(
    account: "_Administrator",
    deployment: Deployment,
    roles: RoleHolders,
    prices: Mapping[int, ModelPrice],
) -> None:
    at = {name: handle(account.w3, deployment, name) for name in CONTRACTS}
    session = at["Session"].address
    account.ensure(at["SessionPayment"], "session", (), session, "setSession", (session,))
    holders = {
        "MODULE_ROLE": (session, at["SessionQueue"].address, at["Cognitive"].address),
        "ROUTER_ROLE": (roles.router,),
        "ORACLE_ROLE": (roles.oracle,),
        "VALIDATOR_ROLE": (roles.validator,),
    }
    for role, addresses in holders.items():
        for address in addresses:
            grant = (keccak(text=role), address)
            account.ensure(at["Roles"], "hasRole", grant, True, "grantRole", grant)
    router = (roles.router, ROUTER_METADATA)
    account.ensure(at["Session"], "defaultRouter", (), roles.router, "setDefaultRouter", router)
    epoch_s = at["NetworkRewards"].functions.epochSeconds().call()
    budget = DAY_BUDGET_WEI * epoch_s // EPOCH_S
    account.ensure(at["NetworkRewards"], "plannedBudget", (), budget, "setEpochBudget", (budget,))
    for model, price in prices.items():
        wanted = [price.input_wei, price.output_wei]
        account.ensure(
            at["SessionPayment"],
            "modelPrice",
            (model,),
            wanted,
            "setModelPrice",
            (model, *wanted),
        )


class _Administrator:
    """Sends transactions without waiting; `wait` waits for all of them."""

    def __init__(self, w3: Web3, account: LocalAccount) -> None:
        self.w3 = w3
        self.address: ChecksumAddress = account.address
        self._account = account
        self._nonce = w3.eth.get_transaction_count(self.address, "pending")
        self._sent: list[tuple[str, HexBytes]] = []

    def create(self, name: str, *arguments: Any) -> str:
        """Send a contract's creation and return its future address."""
        factory = self.w3.eth.contract(abi=abi(name), bytecode=bytecode(name))
        address = get_create_address(self.address, self._nonce)
        gas = CREATION_GAS + CREATION_GAS_A_BYTE * len(bytecode(name)) // 2
        data = factory.constructor(*arguments).data_in_transaction
        self._send(f"the creation of {name}", {"data": data, "gas": gas})
        return address

    def ensure(
        self,
        contract: Contract,
        view: str,
        view_arguments: tuple[Any, ...],
        wanted: Any,
        function: str,
        arguments: tuple[Any, ...],
    ) -> None:
        """Call a function unless the view already returns the wanted value."""
        if contract.functions[view](*view_arguments).call() == wanted:
            return
        data = contract.encode_abi(function, args=list(arguments))
        self._send(function, {"to": contract.address, "data": data, "gas": CALL_GAS})

    def fund(self, addresses: set[str]) -> None:
        """Send `FUNDING_WEI` to each address that has no native coin at all."""
        for address in sorted(addresses):
            recipient = to_checksum_address(address)
            if self.w3.eth.get_balance(recipient) == 0:
                transfer: TxParams = {"to": recipient, "value": Wei(FUNDING_WEI), "gas": 21_000}
                self._send("the funding of a role holder", transfer)

    def wait(self) -> None:
        """Wait until all transactions are mined. Raise DeploymentFailed if one failed."""
        for what, tx_hash in self._sent:
            receipt = self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=RECEIPT_TIMEOUT_S)
            if receipt["status"] != 1:
                raise DeploymentFailed(f"{what} failed in transaction {tx_hash.to_0x_hex()}")
        self._sent.clear()

    def _send(self, what: str, transaction: TxParams) -> None:
        w3 = self.w3
        base_fee = w3.eth.get_block("latest").get("baseFeePerGas", Wei(0))
        priority = w3.eth.max_priority_fee
        transaction.setdefault("value", Wei(0))
        transaction["chainId"] = w3.eth.chain_id
        transaction["nonce"] = self._nonce
        transaction["maxFeePerGas"] = Wei(2 * base_fee + priority)
        transaction["maxPriorityFeePerGas"] = priority
        signed = self._account.sign_transaction(cast(dict[str, Any], transaction))
        self._sent.append((what, w3.eth.send_raw_transaction(signed.raw_transaction)))
        self._nonce = Nonce(self._nonce + 1)
