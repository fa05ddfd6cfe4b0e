"""A whole network on this machine: servers, contracts, the router's processes and miners."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx

from chain.deployed.contracts import Deployment
from chain.deployed.keys import load_or_create
from cortensor_site.secrets import kept_secret
from cortensor_site.stack.interrupts import uninterrupted
from cortensor_site.stack.ports import Ports
from cortensor_site.stack.processes import Miner, miner_process, router_processes
from cortensor_site.stack.servers.embedded import (
    BASE_DIR,
    BLOCK_TIME_S,
    StartFailed,
    die_with_parent,
    start_anvil,
    start_postgres,
    start_redis,
)
from cortensor_site.stack.supervisor import Supervisor
from cortensor_site.stack.var_dir import hold
from mining.node.shelf.model_source import write_sources

if TYPE_CHECKING:
    from cortensor_site.bootstrap import Prepared

HEALTHY_TIMEOUT_S = 600.0
MAX_STARTS = 4
"""If a process has started this often before the network is healthy, the start has failed."""
MODELS_DIR = BASE_DIR / "mining/node/models"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Network:
    """A running network, as seen by its client and its operator."""

    var_dir: Path
    router_url: str
    rpc_url: str
    """The preferred endpoint if there are several."""
    api_key: str
    """API key of the account `client`, the user of this machine."""
    example_key: str
    """API key of the account `example`, which owns the sessions of the example."""
    supervisor: Supervisor
    miners: list[Miner]

    @property
    def deployment_file(self) -> Path:
        """The file with the contracts' addresses."""
        return self.var_dir / "deployment.json"

    @property
    def keystore_dir(self) -> Path:
        """The folder with the keys of this machine's accounts."""
        return self.var_dir / "keys"


@contextmanager
def running_network(
    var_dir: Path,
    ports: Ports,
    miner_models: Sequence[str | Mapping[int, str]],
    report: Report,
    external: Mapping[str, str],
    *,
    models: Mapping[int, str] | None = None,
    block_time_s: float = BLOCK_TIME_S,
    meanwhile: Callable[[Network], None] = lambda _: None,
) -> Iterator[Network]:
    """Start all parts, wait until they are healthy, and stop them at the end of the context.

    The embedded servers store their data in `var_dir`, where a later start finds it again.

    Args:
        miner_models: the models of each miner to start: sources by model number, or one source.
        report: is called with one line for each step.
        external: DATABASE_URL, REDIS_URL or RPC_URL of servers to use instead of embedded ones.
            RPC_URL may contain several URLs, separated by commas.
        models: the router's models by number; by default those of its environment.
        block_time_s: the block interval of the embedded chain in seconds.
        meanwhile: is called while the processes start.

    Raises:
        VarDirInUse: another network uses the folder.
        PortInUse: a port is taken.
        StartFailed: a part did not start. The message contains the end of its log.
    """
    stack = ExitStack()
    try:
        folder = hold(stack, var_dir, report)
        embedded = [part for part, name in _OWN.items() if name not in external]
        ports = ports.reserve(["router", *embedded])
        report("PostgreSQL, Redis, chain: starting")
        database_url = external.get("DATABASE_URL") or start_postgres(stack, var_dir / "postgres")
        redis_url = external.get("REDIS_URL") or start_redis(stack, var_dir / "redis", ports.redis)
        rpc_urls = external.get("RPC_URL") or start_anvil(
            stack, var_dir / "chain", ports.chain, block_time_s=block_time_s
        )
        environment = {
            **{name: value for name, value in os.environ.items() if is_passed_on(name)},
            "VAR_DIR": str(var_dir),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "RPC_URL": rpc_urls,
            "FUND_ACCOUNTS": "" if "RPC_URL" in external else "1",
        }
        if models is not None:
            environment["MODELS"] = write_sources(models)

        _keep_environment(var_dir / "network.env", environment)
        report("contracts, keys and miners: preparing")
        homes = [var_dir / "miners" / str(n) for n, _ in enumerate(miner_models, start=1)]
        prepared = _bootstrap(environment, homes, var_dir)
        environment["DEMO_API_KEY"] = prepared["api_key"]
        miners = [
            Miner(f"miner-{n}", home, row["address"], row["redis_url"], _numbered(served))
            for n, (home, row, served) in enumerate(
                zip(homes, prepared["miners"], miner_models, strict=True), start=1
            )
        ]

        report(f"router and {len(miners)} miners: starting")
        router_url = f"http://127.0.0.1:{ports.router}"
        contracts = Deployment.load(var_dir / "deployment.json").addresses
        chain = {
            "RPC_URL": preferred(rpc_urls),
            "COGNITIVE_ADDRESS": contracts["Cognitive"],
            "REWARDS_ADDRESS": contracts["NetworkRewards"],
        }
        processes = [
            *router_processes(ports.router, environment),
            *(miner_process(miner, router_url, chain) for miner in miners),
        ]
        network = Network(
            var_dir=var_dir,
            router_url=router_url,
            rpc_url=preferred(rpc_urls),
            api_key=prepared["api_key"],
            example_key=prepared["example_key"],
            supervisor=Supervisor(stack, var_dir / "supervisor", processes, keeps=[folder]),
            miners=miners,
        )
        meanwhile(network)
        _wait_until_healthy(network, report)
        yield network
        report("stopping")
    finally:
        with uninterrupted():
            stack.close()


def _numbered(served: str | Mapping[int, str]) -> Mapping[int, str]:
    return {1: served} if isinstance(served, str) else served


def address_of(var_dir: Path, name: str) -> str:
    """Return the address of an account of this machine. Its key is created on first use."""
    return str(load_or_create(var_dir / f"keys/{name}.json", keystore_password(var_dir)).address)


def preferred(rpc_urls: str) -> str:
    """Return the first endpoint in an RPC_URL."""
    return rpc_urls.split(",")[0].strip()


def keystore_password(var_dir: Path) -> str:
    """Return the password of this network's keystores. It is created on first use."""
    return kept_secret(var_dir / "keys/password")


_OWN = {"redis": "REDIS_URL", "chain": "RPC_URL"}
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "LOG_LEVEL",
    "DEBUG",
    "MODEL",
    "EMBEDDING_MODEL",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "XDG_RUNTIME_DIR",
    "IPFS_API_URL",
    "IPFS_TIMEOUT_S",
    "CONFIRMATIONS",
    "RPC_WS_URL",
    "PUBLIC_URL",
    "METRICS_TOKEN",
    "METRICS_ALLOWED",
    "PROMETHEUS_MULTIPROC_DIR",
    "LOG_FORMAT",
    "MAX_CONNECTIONS",
    "NETWORK_TASK_EVERY_S",
    "NETWORK_EPOCH_S",
    "CORS_ALLOWED_ORIGINS",
    "SECURE_COOKIES",
    "SIGN_IN_LASTS_S",
    "FORWARDED_ALLOW_IPS",
    "WEBHOOK_ALLOWED_NETWORKS",
    "WEBHOOK_PLAIN_HTTP",
    "X402_MAX_AT_RISK_COR",
)


def is_passed_on(name: str) -> bool:
    """Return whether the router's processes inherit this environment variable."""
    return name in _PASSED_ON or name.startswith("LIMIT_")


def _bootstrap(environment: dict[str, str], homes: Sequence[Path], var_dir: Path) -> "Prepared":
    command = [sys.executable, str(BASE_DIR / "manage.py"), "bootstrap"]
    for name in ("client", "example"):
        command += [f"--{name}", address_of(var_dir, name)]
    for home in homes:
        command += ["--miner-home", str(home)]
    done = subprocess.run(
        command,
        env=environment,
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    if done.returncode != 0:
        raise StartFailed(f"the network could not be prepared: {done.stderr[-4000:]}")
    return cast("Prepared", json.loads(done.stdout.splitlines()[-1]))


def _keep_environment(path: Path, environment: Mapping[str, str]) -> None:
    """Write the variables that an operator's commands need, such as `manage.py createsuperuser`."""
    path.touch(mode=0o600)
    names = ("VAR_DIR", "DATABASE_URL", "REDIS_URL", "RPC_URL")
    path.write_text("".join(f"{name}={shlex.quote(environment[name])}\n" for name in names))


def _wait_until_healthy(network: Network, report: Report) -> None:
    """Wait until all parts and miners are healthy.

    Raises:
        StartFailed: a part does not start, restarts again and again, or is not healthy in time. The
            message contains the end of its log.
    """
    healthy: set[str] = set()
    late: list[str] = []
    starts: dict[str, set[int]] = defaultdict(set)
    until = time.monotonic() + HEALTHY_TIMEOUT_S
    while time.monotonic() < until:
        for name, status in network.supervisor.statuses().items():
            starts[name].add(status.pid)
            if status.state == "FATAL" or len(starts[name] - {0}) >= MAX_STARTS:
                raise StartFailed(f"{name} keeps stopping: {network.supervisor.last_words(name)}")
        checks: dict[str, bool] = _asked(f"{network.router_url}/readyz").get("checks", {})
        for name in sorted({part for part, is_there in checks.items() if is_there} - healthy):
            healthy.add(name)
            report(f"{name}: healthy")
        late = [part for part, is_there in checks.items() if not is_there] if checks else ["router"]
        late = late or _late_miners(network)
        if not late:
            return
        time.sleep(0.2)
    raise StartFailed(
        "\n".join(
            f"{name} is not healthy: {network.supervisor.last_words(name, 600)}" for name in late
        )
    )


def _late_miners(network: Network) -> list[str]:
    """Return the miners that cannot be assigned to tasks yet."""
    # Use the example's key, whose rate limit no other client uses up.
    told = _asked(f"{network.router_url}/api/v1/miners", network.example_key)
    ready = {
        row["address"]
        for row in told.get("miners", [])
        if row["online"] and row["state"] == "ephemeral"
    }
    return [miner.name for miner in network.miners if miner.address not in ready]


def _asked(url: str, api_key: str = "") -> dict[str, Any]:
    """Return the router's answer, whatever its status, or an empty dictionary without one."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        told = httpx.get(url, headers=headers, timeout=5).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
