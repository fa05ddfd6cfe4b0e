"""The commands that set up, measure, run and show a node.

The commands that send transactions are in `mining.node.cli.chain_commands`.
"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from mining.node import config as settings
from mining.node.account.wallet import Wallet, address_in
from mining.node.errors import NodeError
from mining.node.worker.heart import last_beat


def init(options: argparse.Namespace) -> int:
    """Create the node's key, unless there is one, and print its address."""
    password = settings.password_from(options.environment)
    print(Wallet.create_or_open(options.home, password).address)
    return 0


def address(options: argparse.Namespace) -> int:
    """Print the address of the node's key."""
    print(address_in(options.home))
    return 0


def models(options: argparse.Namespace) -> int:
    """List, add, verify or remove models."""
    from mining.node.shelf.model_list import ModelList

    listed, bar = ModelList(options.home), Progress()
    if options.action == "add":
        model = listed.add(options.identifier, options.source, options.sha256, bar)
        print(f"{model.identifier}  {model.sha256}  {model.source}")
    elif options.action == "verify":
        for model in listed.verify(bar):
            print(f"{model.identifier}  {model.sha256}  unchanged")
    elif options.action == "remove":
        listed.remove(options.identifier)
    else:
        for model in listed:
            print(f"{model.identifier}  {model.sha256}  {model.source}")
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure how many tokens per second this machine generates with a model."""
    from mining.node.cli.flags import config_from
    from mining.node.shelf.speed import measure

    for clients, speed in measure(config_from(options), Progress()):
        print(f"{clients:3} at once: {speed:8.1f} tokens/s")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run the worker until it is told to stop."""
    from mining.node.celery_worker import run as run_worker
    from mining.node.cli.flags import config_from

    settings.redis_url_from(options.redis_url, options.environment)
    return run_worker(config_from(options), Progress())


def status(options: argparse.Namespace) -> int:
    """Print what is known about this node. The exit status is 1 if it sends no heartbeats."""
    beat = last_beat(options.home)
    report: dict[str, Any] = {
        "address": address_in(options.home),
        "alive": beat is not None and beat.alive,
        "last_heartbeat_s_ago": None if beat is None else round(beat.age_s, 1),
        "heartbeat": None if beat is None else beat.status,
        "waiting": None if beat is None else beat.waiting,
        "chain": _standing(options),
    }
    print(json.dumps(report, indent=2))
    return 0 if report["alive"] else 1


def _standing(options: argparse.Namespace) -> dict[str, Any] | None:
    """Return what the contracts know about the node, or None if the settings name no contracts.

    An error is returned as a value, since `status` has to work while the chain is away.
    """
    url, pool = options.environment.get("RPC_URL"), options.environment.get("POOL_ADDRESS")
    if not url or not pool:
        return None
    from mining.node.account.evm import Rpc
    from mining.node.account.staking import standing

    try:
        queue = options.environment.get("QUEUE_ADDRESS") or None
        known = standing(Rpc(url), pool, queue, address_in(options.home))
    except NodeError as error:
        return {"error": str(error)}
    # Amounts in wei exceed the integers that JSON readers can represent exactly.
    return {
        name: str(value) if name.endswith("_wei") and value is not None else value
        for name, value in asdict(known).items()
    }


class Progress:
    """Draws a progress bar on a terminal. Draws nothing if stderr is not a terminal."""

    def __call__(self, step: str, share: float) -> None:
        if not sys.stderr.isatty():
            return
        filled = round(30 * min(share, 1.0))
        end = "\n" if share >= 1 else ""
        bar = "█" * filled + "░" * (30 - filled)
        print(f"\r{step:<24} {bar} {share:4.0%}", end=end, file=sys.stderr, flush=True)
