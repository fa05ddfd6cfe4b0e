"""Where the contracts are, and how to speak to them."""

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
    *("Roles", "CortensorToken", "NodePool", "SessionPayment"),
    *("OverdueTasks", "SessionQueue", "SessionViews", "Session"),
    *("NodeStats", "NodeReputation", "NetworkRewards", "NetworkViews", "Cognitive"),
)
"""In the order in which they are deployed. OverdueTasks is a part of SessionQueue, SessionViews of
Session, NetworkViews of Cognitive, which answer for both: nobody else calls them."""
RPC_TIMEOUT_S = 10.0
RPC_ATTEMPTS = 3

_ABI_DIR = Path(__file__).resolve().parents[2] / "contracts" / "abi"


class DeploymentMissing(ChainError):
    """The contracts are not deployed, or nobody knows where."""


@dataclass(frozen=True)
class Deployment:
    """Which contracts this network consists of: checksum addresses by contract name.

    `start_block` is the first block that can hold an event of theirs; `abi_hashes` tell whether
    this code still speaks to the contracts that were deployed.
    """

    chain_id: int
    start_block: int
    addresses: dict[str, str]
    abi_hashes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> "Deployment":
        """Read a deployment file; raise DeploymentMissing when there is none."""
        try:
            return cls(**json.loads(file.read_text()))
        except FileNotFoundError:
            raise DeploymentMissing(
                f"DEPLOYMENT_FILE: there is no {file.name}; deploy the contracts first"
            ) from None
        except (ValueError, TypeError) as error:
            raise DeploymentMissing(
                f"DEPLOYMENT_FILE: {file.name} is no deployment ({error}); deploy the contracts"
            ) from error

    def save(self, file: Path) -> None:
        """Write a deployment file, whole or not at all."""
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")
        part.rename(file)


def deployment() -> Deployment:
    """The deployment of `settings.DEPLOYMENT_FILE`; raise DeploymentMissing when there is none."""
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
    """A web3 client with time-outs and a few retries."""
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
    """A deployed contract by its name."""
    address = to_checksum_address(deployment.addresses[name])
    return w3.eth.contract(address=address, abi=abi(name))


def abi(name: str) -> ABI:
    """A contract's ABI."""
    interface: ABI = _artifact(name)["abi"]
    return interface


def bytecode(name: str) -> str:
    """A contract's creation code, 0x hex."""
    code = str(_artifact(name)["bytecode"])
    return code if code.startswith("0x") else "0x" + code


def abi_hash(name: str) -> str:
    """Tells one version of a contract's interface from another."""
    return hashlib.sha256(json.dumps(abi(name), sort_keys=True).encode()).hexdigest()


@cache
def _artifact(name: str) -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads((_ABI_DIR / f"{name}.json").read_text())
    return artifact
