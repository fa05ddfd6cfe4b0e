"""The network's processes on one machine, as data: the Procfile of `make run`."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cortensor_site.stack.servers.embedded import BASE_DIR
from mining.node.shelf.model_source import write_sources

SERVICES = ("sync", "react", "send", "dispatch", "collect", "oracle", "network_tasks")
NICENESS = {"sync": 5, "react": 5, "send": 5, "oracle": 5, "network_tasks": 10, "validate": 10}
"""Who gives way on a machine that is full: their work has seconds, a stream's reader has none."""


@dataclass(frozen=True)
class Process:
    """A command that the supervisor keeps running."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    stop_timeout_s: int = 15


@dataclass(frozen=True)
class Miner:
    """One miner of the local network: its home, its address and its way into Redis."""

    name: str
    home: Path
    address: str
    redis_url: str
    models: Mapping[int, str]
    """Sources by the numbers that sessions ask for them with."""

    @property
    def model(self) -> str:
        """The source of the first one."""
        return self.models[min(self.models)]


def router_processes(port: int, environment: Mapping[str, str]) -> list[Process]:
    """The router's own processes: web, the services, validator and webhooks."""
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
    """A miner, with nothing of the router's in its environment but its mailbox and address.

    Args:
        chain: RPC_URL and the contracts that a miner knows by itself.
    """
    return Process(
        miner.name,
        [sys.executable, "-m", "mining.node", "--home", str(miner.home), "run"],
        {
            "REDIS_URL": miner.redis_url,
            "ROUTER_URL": router_url,
            "MODELS": write_sources(miner.models),
            # They share this machine with each other and with the router.
            "THREADS": os.environ.get("THREADS", "1"),
            # One of them may cheat with a cheaper model: it is validation that has to find out.
            "MODEL_UNVERIFIED": "1",
            **chain,
        },
    )
