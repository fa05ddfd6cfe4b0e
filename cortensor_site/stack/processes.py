"""The processes of the network on one machine, as data for the supervisor."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cortensor_site.stack.servers.embedded import BASE_DIR
from mining.node.shelf.model_source import write_sources

SERVICES = ("sync", "react", "send", "dispatch", "collect", "oracle", "network_tasks")
NICENESS = {"sync": 5, "react": 5, "send": 5, "oracle": 5, "network_tasks": 10, "validate": 10}
"""The niceness of processes whose work can wait for seconds. A stream's reader cannot wait."""


@dataclass(frozen=True)
class Process:
    """A command that the supervisor keeps running."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    stop_timeout_s: int = 15


@dataclass(frozen=True)
class Miner:
    """A miner of the local network: its home, its address, its mailbox and its models."""

    name: str
    home: Path
    address: str
    redis_url: str
    models: Mapping[int, str]
    """The sources of its models by model number."""

    @property
    def model(self) -> str:
        """The source of its first model."""
        return self.models[min(self.models)]


def router_processes(port: int, environment: Mapping[str, str]) -> list[Process]:
    """Return the router's processes: web server, services, validator and webhooks."""
    manage = [sys.executable, str(BASE_DIR / "manage.py")]
    server = [sys.executable, "-m", "cortensor_site.server"]
    celery = [sys.executable, "-m", "celery", "-A", "cortensor_site", "worker"]
    return [
        Process(
            "router",
            [*server, "--host", "127.0.0.1", "--port", str(port)],
            environment,
        ),
        *(Process(name, [*_nice(name), *manage, name], environment) for name in SERVICES),
        Process(
            "validate",
            [*_nice("validate"), *celery]
            + ["--queues", "validation", "--pool", "solo", "--loglevel", "INFO"]
            + ["--without-gossip", "--without-mingle"],
            environment,
        ),
        Process(
            "webhooks",
            celery
            + ["--queues", "webhooks", "--pool", "threads", "--concurrency", "4"]
            + ["--hostname", "webhooks@%h", "--loglevel", "INFO"]
            + ["--without-gossip", "--without-mingle"],
            {**environment, "WORKER_NAME": "webhooks"},
        ),
    ]


def _nice(name: str) -> list[str]:
    return ["nice", "-n", str(NICENESS[name])] if name in NICENESS else []


def miner_process(miner: Miner, router_url: str, chain: Mapping[str, str]) -> Process:
    """Return a miner's process. Of the router, it knows only its mailbox and the router's URL.

    Args:
        chain: the variables with RPC_URL and the addresses of the contracts that miners read.
    """
    return Process(
        miner.name,
        [sys.executable, "-m", "mining.node", "--home", str(miner.home), "run"],
        {
            "REDIS_URL": miner.redis_url,
            "ROUTER_URL": router_url,
            "MODELS": write_sources(miner.models),
            # The miners share this machine with each other and with the router.
            "THREADS": os.environ.get("THREADS", "1"),
            # Allow any model: a miner may cheat with a cheaper one, and validation detects it.
            "MODEL_UNVERIFIED": "1",
            **chain,
        },
    )
