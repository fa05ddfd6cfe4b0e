"""A database and a chain with the contracts, for benchmarks of the `chain` package."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cortensor_site.stack.ports import Ports
from cortensor_site.stack.servers.embedded import BASE_DIR, spawn, start_postgres, stop

BLOCK_GAS = 400_000_000
"""The gas limit of a block. It is large, so that a long history takes only minutes to make."""


@dataclass(frozen=True)
class World:
    """A chain (a `tests.anvil.Chain`) and requests to its node."""

    chain: Any
    _client: httpx.Client

    def rpc(self, method: str, *params: Any) -> Any:
        """Send one request, which may be one of anvil's own methods."""
        [answer] = self.batch([(method, list(params))])
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Send several requests at once."""
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        answers = self._client.post("/", json=body).json()
        for answer in answers:
            if "error" in answer:
                raise RuntimeError(answer["error"])
        return [answer["result"] for answer in answers]


@contextmanager
def world() -> Iterator[World]:
    """Start PostgreSQL with the project's tables, set up Django, and start a chain.

    The chain mines on request.
    """
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="cortensor-bench-", ignore_cleanup_errors=True)
            )
        )
        folder.chmod(0o755)  # PostgreSQL runs as another user if this process is root
        os.environ["VAR_DIR"] = str(folder / "var")
        os.environ["DATABASE_URL"] = start_postgres(stack, folder / "postgres")
        os.environ["LOG_LEVEL"] = "ERROR"
        os.environ["DJANGO_SETTINGS_MODULE"] = "cortensor_site.settings"
        _set_up_django()
        url = _start_anvil(stack, folder)
        yield _deployed(url, folder)


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _start_anvil(stack: ExitStack, folder: Path) -> str:
    port = Ports(chain=0).reserve(["chain"]).chain
    process = spawn(
        [str(BASE_DIR / "node_modules/.bin/anvil"), "--port", str(port), "--silent"]
        + ["--gas-limit", str(BLOCK_GAS)],
        folder / "anvil.log",
    )
    stack.callback(stop, process)
    url = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            httpx.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"})
            return url
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError("anvil did not start")


def _deployed(url: str, folder: Path) -> World:
    from django.conf import settings

    from chain.deployed.contracts import connect
    from chain.deployed.deploy import deploy
    from tests import anvil

    w3 = connect(url)
    made = World(None, httpx.Client(base_url=url, timeout=300))
    for account in (anvil.DEPLOYER, anvil.CLIENT, anvil.ROUTER, anvil.ORACLE):
        made.rpc("anvil_setBalance", account.address, hex(10**24))
    file = folder / "deployment.json"
    deployment = deploy(w3, anvil.DEPLOYER, anvil.ROLES, {anvil.MODEL: anvil.PRICE}, file)
    settings.DEPLOYMENT_FILE = file
    settings.RPC_URLS = [url]
    made.rpc("evm_setAutomine", False)
    return World(anvil.Chain(url, w3, deployment), made._client)
