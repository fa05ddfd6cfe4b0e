"""The commands that make, feed, run and show a node. What touches the chain is next door."""

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
    """Make the key, or find it, and print its address."""
    password = settings.password_from(options.environment)
    print(Wallet.create_or_open(options.home, password).address)
    return 0


def address(options: argparse.Namespace) -> int:
    """Print the address of the key."""
    print(address_in(options.home))
    return 0


def models(options: argparse.Namespace) -> int:
    """List, add, verify or remove models; `announce` is a matter of the chain."""
    from mining.node.shelf.model_list import ModelList

    listed, bar = ModelList(options.home), Progress()
    if options.action == "add":
        model = listed.add(options.identifier, options.source, options.sha256, bar)
        print(f"{model.identifier}  {model.sha256}  {model.source}")
    elif options.action == "verify":
        for model in listed.verify(bar):
            print(f"{model.identifier}  {model.sha256}  as it was")
    elif options.action == "remove":
        listed.remove(options.identifier)
    else:
        for model in listed:
            print(f"{model.identifier}  {model.sha256}  {model.source}")
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure how many tokens a second this machine makes of the model."""
    from mining.node.cli.flags import config_from
    from mining.node.shelf.speed import measure

    for clients, speed in measure(config_from(options), Progress()):
        print(f"{clients:3} at once: {speed:8.1f} tokens/s")
    return 0


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from mining.node.celery_worker import run as run_worker
    from mining.node.cli.flags import config_from

    settings.redis_url_from(options.redis_url, options.environment)
    return run_worker(config_from(options), Progress())


def status(options: argparse.Namespace) -> int:
    """Print what is known of this node; exit 1 when it is not beating."""
    beat = last_beat(options.home)
    told: dict[str, Any] = {
        "address": address_in(options.home),
        "alive": beat is not None and beat.alive,
        "last_heartbeat_s_ago": None if beat is None else round(beat.age_s, 1),
        "heartbeat": None if beat is None else beat.status,
        "waiting": None if beat is None else beat.waiting,
        "chain": _standing(options),
    }
    print(json.dumps(told, indent=2))
    return 0 if told["alive"] else 1


def _standing(options: argparse.Namespace) -> dict[str, Any] | None:
    """What the contracts know of the node, where the settings say which; never a reason to fail."""
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
    # Wei are more than a JSON reader's numbers hold.
    return {
        name: str(value) if name.endswith("_wei") and value is not None else value
        for name, value in asdict(known).items()
    }


class Progress:
    """A bar on a terminal, and nothing in a log."""

    def __call__(self, step: str, share: float) -> None:
        if not sys.stderr.isatty():
            return
        filled = round(30 * min(share, 1.0))
        end = "\n" if share >= 1 else ""
        bar = "█" * filled + "░" * (30 - filled)
        print(f"\r{step:<24} {bar} {share:4.0%}", end=end, file=sys.stderr, flush=True)
