"""The addresses and interfaces of the contracts."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from eth_typing import ABI
from eth_utils.address import to_checksum_address
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from chain.errors import ChainError

CONTRACTS = (
    "Roles",
    "CortensorToken",
    "NodePool",
    "SessionPayment",
    "OverdueTasks",
    "SessionQueue",
    "SessionViews",
    "Session",
    "NodeStats",
    "NodeReputation",
    "NetworkRewards",
    "NetworkViews",
    "Cognitive",
)
"""All contracts, in the order of their deployment.

OverdueTasks holds code of SessionQueue, SessionViews code of Session, and NetworkViews code of
Cognitive. Only the contract whose code they hold calls them; clients call that contract.
"""
RPC_TIMEOUT_S = 10.0
RPC_ATTEMPTS = 3

_ABI_DIR = Path(__file__).resolve().parents[2] / "contracts" / "abi"


class DeploymentMissing(ChainError):
    """The contracts are not deployed, or their addresses are not known."""


@dataclass(frozen=True)
class Deployment:
    """The contracts of this network. `addresses` maps contract names to checksum addresses.

    `start_block` is the first block that can contain one of their events. `abi_hashes` shows
    whether this code still matches the interfaces of the deployed contracts.
    """

    chain_id: int
    start_block: int
    addresses: dict[str, str]
    abi_hashes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> "Deployment":
        """Read a deployment file.

        Raises:
            DeploymentMissing: the file does not exist or is not a deployment.
        """
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            raise DeploymentMissing(
                f"DEPLOYMENT_FILE: {file.name} does not exist; deploy the contracts first"
            ) from None
        except (ValueError, TypeError) as error:
            raise DeploymentMissing(
                f"DEPLOYMENT_FILE: {file.name} is not a deployment ({error}); deploy the contracts"
            ) from error

    def save(self, file: Path) -> None:
        """Write a deployment file atomically."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")
        part.rename(file)


def deployment() -> Deployment:
    """Return the deployment in `settings.DEPLOYMENT_FILE`.

    The file is read again only when it has changed.

    Raises:
        DeploymentMissing: the file does not exist or is not a deployment.
    """
    file = Path(settings.DEPLOYMENT_FILE)
    try:
        changed_at = file.stat().st_mtime_ns
    except FileNotFoundError:
        changed_at = 0
    return _load(file, changed_at)


@cache
def _load(file: Path, changed_at: int) -> Deployment:
    return Deployment.load(file)


def connect(rpc_url: str) -> Web3:
    """Return a web3 client with timeouts and a few retries."""
    provider = HTTPProvider(
        rpc_url,
        request_kwargs={"timeout": RPC_TIMEOUT_S},
        exception_retry_configuration=ExceptionRetryConfiguration(
            errors=(requests.ConnectionError, requests.Timeout), retries=RPC_ATTEMPTS
        ),
    )
    w3 = Web3(provider)
    w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    return w3


def handle(w3: Web3, deployment: Deployment, name: str) -> Contract:
    """Return a deployed contract by its name."""
    address = to_checksum_address(deployment.addresses[name])
    return w3.eth.contract(address=address, abi=abi(name))


def abi(name: str) -> ABI:
    """Return a contract's ABI."""
    interface: ABI = _artifact(name)["abi"]
    return interface


def bytecode(name: str) -> str:
    """Return a contract's creation code in 0x hex."""
    code = str(_artifact(name)["bytecode"])
    return code if code.startswith("0x") else "0x" + code


def abi_hash(name: str) -> str:
    """Return a hash that identifies a version of a contract's interface."""
    return hashlib.sha256(json.dumps(abi(name), sort_keys=True).encode()).hexdigest()


@cache
def _artifact(name: str) -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads((_ABI_DIR / f"{name}.json").read_text())
    return artifact
