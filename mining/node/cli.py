"""The miner's commands: what a person who owns the machine types."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from mining.node import config as settings
from mining.node.mailbox import Mailbox
from mining.node.task_check import Terms
from mining.node.wallet import Wallet, WalletError, address_in

if TYPE_CHECKING:
    from mining.node.evm import Rpc

ALIVE_S = 10.0
_ENVIRONMENT = """\
environment, each also in lower case in HOME/node.toml (or --config FILE):
  ROUTER_URL              a router, which gives this node its mailbox by proof of its key
  REDIS_URL               the mailbox, where an operator gave one: rediss://USER:PASSWORD@HOST:PORT/0
  REDIS_PLAINTEXT         1 allows redis:// to another machine, on a network that is private
  MODEL                   a GGUF file, owner/repo, or owner/repo:file-pattern on Hugging Face, or
                          the number of one in `models list`
  MODEL_IDENTIFIER        the number by which sessions ask for this model (1)
  MODEL_SHA256            what the model's file must hash to
  SLOTS                   how many jobs are worked on at once (4)
  THREADS                 threads of llama.cpp (1)
  CONTEXT_TOKENS          most tokens of prompt and answer together (the model's own)
  GPU_LAYERS              how many layers of the model a GPU holds (0; 999 for all)
  RPC_URL, QUEUE_ADDRESS  the chain and SessionQueue, where every job is checked before it is done
  COGNITIVE_ADDRESS       Cognitive, where parts in network tasks are checked; with RPC_URL only
  POOL_ADDRESS            NodePool, to register with
  REWARDS_ADDRESS         NetworkRewards, to be paid for network tasks
  MIN_INPUT_PRICE_WEI, MIN_OUTPUT_PRICE_WEI
                          the least that a token has to pay; needs RPC_URL
  KEYSTORE_PASSWORD_FILE  a file with the key's password; HOME/password otherwise, by `init`

environment only:
  CORTENSOR_NODE_HOME     folder of the key and of unrevealed results (~/.cortensor-node)
  KEYSTORE_PASSWORD       password of the key
  LOG_LEVEL               DEBUG, INFO, WARNING or ERROR (INFO)
A flag goes before its variable, a variable before the file.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 2 for what the user can mend."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Heavy imports come with the command that needs them: `address` answers at once.
    try:
        options.home = settings.home_from(options.home)
        options.environment = settings.environment_of(options.home, options.config)
        return int(options.command(options))
    except (WalletError, settings.ConfigError) as error:
        return _refuse(error)
    except RedisError as error:
        return _refuse(f"REDIS_URL: Redis refuses ({error}); check address, user and password")


def init(options: argparse.Namespace) -> int:
    """Make the key, or find it, and print its address."""
    print(Wallet.create_or_open(options.home, _password(options)).address)
    return 0


def address(options: argparse.Namespace) -> int:
    """Print the address of the key."""
    print(address_in(options.home))
    return 0


def register(options: argparse.Namespace) -> int:
    """Register the node with NodePool."""
    return _transact(options, "POOL_ADDRESS", "register()")


def withdraw(options: argparse.Namespace) -> int:
    """Have SessionPayment pay out what the node has earned."""
    from mining.node.evm import Rpc

    queue = _required(options.environment, "QUEUE_ADDRESS")
    rpc = Rpc(_required(options.environment, "RPC_URL"))
    (payment,) = rpc.call(queue, "payment()", [], ["address"])
    return _transact(options, "QUEUE_ADDRESS", "withdrawNodePayment()", contract=payment)


def rewards(options: argparse.Namespace) -> int:
    """Have NetworkRewards pay out what network tasks have earned in epochs that are over."""
    from mining.node.network.rewards import claim_rewards

    contract = _required(options.environment, "REWARDS_ADDRESS")
    return _on_chain(
        options, lambda wallet, rpc: claim_rewards(wallet, rpc, contract, options.epochs)
    )


def claim(options: argparse.Namespace) -> int:
    """Take what a router withholds to the contract: precommits, then commits."""
    from mining.node.claims import claim_all

    return _on_chain(options, lambda wallet, rpc: claim_all(wallet, rpc, options.home / "stash"))


def models(options: argparse.Namespace) -> int:
    """List, add, verify or remove models."""
    from mining.node.model_list import ModelList
    from mining.node.model_source import ModelSourceError

    listed = ModelList(options.home)
    try:
        if options.action == "add":
            bar = _Progress()
            model = listed.add(options.identifier, options.source, options.sha256, bar)
            print(f"{model.identifier}  {model.sha256}  {model.source}")
        elif options.action == "verify":
            bar = _Progress()
            for model in listed.verify(bar):
                print(f"{model.identifier}  {model.sha256}  as it was")
        elif options.action == "remove":
            listed.remove(options.identifier)
        else:
            for model in listed:
                print(f"{model.identifier}  {model.sha256}  {model.source}")
    except ModelSourceError as error:
        return _refuse(error)
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure how many tokens a second this machine makes of the model."""
    from mining.node.llama import LlamaError
    from mining.node.model_source import ModelSourceError
    from mining.node.speed import measure

    try:
        node = _node(options)
        for clients, speed in measure(node, _Progress()):
            print(f"{clients:3} at once: {speed:8.1f} tokens/s")
    except (ModelSourceError, LlamaError) as error:
        return _refuse(error)
    return 0


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from mining.node.enrolment import EnrolmentFailed
    from mining.node.evm import CallReverted, ChainUnavailable
    from mining.node.llama import LlamaError
    from mining.node.model_source import ModelSourceError
    from mining.node.worker import run as run_worker

    settings.redis_url_from(options.redis_url, options.environment)
    try:
        return run_worker(_node(options), _Progress())
    except (
        *(ModelSourceError, LlamaError, EnrolmentFailed),
        *(ChainUnavailable, CallReverted),
    ) as error:
        return _refuse(error)


def status(options: argparse.Namespace) -> int:
    """Print what the mailbox tells of this miner; exit 1 when it is not beating."""
    own = address_in(options.home)
    url = settings.redis_url_from(options.redis_url, options.environment)
    if url is None:
        raise settings.ConfigError(
            "REDIS_URL: it is missing; a mailbox by proof is known to the running node alone"
        )
    mailbox = Mailbox(url, own)
    beat = mailbox.last_heartbeat()
    age_s = time.time() - beat[0] if beat else None
    alive = age_s is not None and age_s < ALIVE_S
    print(
        json.dumps(
            {
                "address": own,
                "alive": alive,
                "last_heartbeat_s_ago": None if age_s is None else round(age_s, 1),
                "heartbeat": json.loads(beat[1]) if beat else None,
                "waiting": {queue: mailbox.waiting(queue) for queue in ("inference", "control")},
            },
            indent=2,
        )
    )
    mailbox.close()
    return 0 if alive else 1


def _node(options: argparse.Namespace) -> settings.NodeConfig:
    from mining.node.model_list import ModelList

    environment: Mapping[str, str] = options.environment
    model = options.model or environment.get("MODEL") or str(settings.SHIPPED_MODEL)
    sha256 = environment.get("MODEL_SHA256") or None
    identifier = settings.number_from(options.model_identifier, "MODEL_IDENTIFIER", 1, environment)
    if model.isdecimal():
        listed = ModelList(options.home).get(int(model))
        model, sha256, identifier = listed.source, listed.sha256, listed.identifier

    def number(name: str, default: int) -> int:
        return settings.number_from(getattr(options, name.lower()), name, default, environment)

    has_context = options.context_tokens or environment.get("CONTEXT_TOKENS")
    return settings.NodeConfig(
        home=options.home,
        redis_url=options.redis_url or environment.get("REDIS_URL") or None,
        router_url=environment.get("ROUTER_URL") or None,
        model=model,
        model_identifier=identifier,
        model_sha256=sha256,
        slots=number("SLOTS", 4),
        threads=number("THREADS", 1),
        context_tokens=number("CONTEXT_TOKENS", 1) if has_context else None,
        gpu_layers=settings.price_from("GPU_LAYERS", environment),
        allow_plaintext=environment.get("REDIS_PLAINTEXT") == "1",
        password=_password(options),
        rpc_url=environment.get("RPC_URL") or None,
        queue_address=environment.get("QUEUE_ADDRESS") or None,
        cognitive_address=environment.get("COGNITIVE_ADDRESS") or None,
        terms=Terms(
            settings.price_from("MIN_INPUT_PRICE_WEI", environment),
            settings.price_from("MIN_OUTPUT_PRICE_WEI", environment),
        ),
    )


def _transact(
    options: argparse.Namespace, variable: str, call: str, contract: str | None = None
) -> int:
    from mining.node.transactions import transact

    to = contract or _required(options.environment, variable)
    return _on_chain(options, lambda wallet, rpc: [transact(wallet, rpc, to, call, [])])


def _on_chain(options: argparse.Namespace, act: "Callable[[Wallet, Rpc], Iterable[str]]") -> int:
    from mining.node.evm import CallReverted, ChainUnavailable, Rpc

    try:
        rpc = Rpc(_required(options.environment, "RPC_URL"))
        wallet = Wallet.open(options.home, _password(options))
        for done in act(wallet, rpc):
            print(done)
    except (CallReverted, ChainUnavailable) as error:
        return _refuse(error)
    return 0


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise settings.ConfigError(f"{name}: it is missing; set it, or write it into node.toml")


def _password(options: argparse.Namespace) -> str | None:
    return settings.password_from(options.environment)


class _Progress:
    """A bar on a terminal, and nothing in a log."""

    def __call__(self, step: str, share: float) -> None:
        if not sys.stderr.isatty():
            return
        filled = round(30 * min(share, 1.0))
        end = "\n" if share >= 1 else ""
        bar = "█" * filled + "░" * (30 - filled)
        print(f"\r{step:<24} {bar} {share:4.0%}", end=end, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mining.node",
        description="A miner of the Cortensor network: works on the jobs in its mailbox.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the key and results")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_ENVIRONMENT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        return sub

    add("init", init, "make this miner's key, or find it, and print its address")
    add("address", address, "print this miner's address")
    add("register", register, "register this node on the chain, by a transaction of its own")
    listed = add("models", models, "list, add, verify or remove models")
    measured = add("bench", bench, "measure this machine's speed with the model")
    work = add("run", run, "work on jobs until SIGTERM or Ctrl-C, then finish what was started")
    show = add("status", status, "print what the mailbox tells of this miner; exit 1 if not alive")
    add("claim", claim, "send kept precommits and commits to the contract, past a silent router")
    add("withdraw", withdraw, "have what this node has earned paid out to it")

    idle = add("rewards", rewards, "have what network tasks have earned paid out to this node")
    idle.add_argument(
        "--epochs", type=int, default=60, metavar="N", help="how many to look at (60)"
    )

    actions = listed.add_subparsers(dest="action", metavar="ACTION", title="actions")
    actions.add_parser("list", help="show them (the default)")
    actions.add_parser("verify", help="hash every file again")
    added = actions.add_parser("add", help="find or download one, and remember its SHA-256")
    added.add_argument("identifier", type=int, help="the number by which sessions ask for it")
    added.add_argument("source", help="GGUF file, owner/repo or owner/repo:file-pattern")
    added.add_argument("--sha256", help="what its file must hash to")
    removed = actions.add_parser("remove", help="forget one; its file stays")
    removed.add_argument("identifier", type=int)

    for sub in (show, work):
        sub.add_argument("--redis-url", metavar="URL", help="the mailbox (REDIS_URL)")
    for sub in (measured, work):
        sub.add_argument("--model", metavar="MODEL", help="GGUF file, repository or listed number")
        sub.add_argument("--model-identifier", type=int, metavar="N", help="its number (1)")
        sub.add_argument("--slots", type=int, metavar="N", help="jobs at once (4)")
        sub.add_argument("--threads", type=int, metavar="N", help="threads of llama.cpp (1)")
        sub.add_argument("--context-tokens", type=int, metavar="N", help="prompt and answer")
    measured.set_defaults(redis_url=None)
    return parser


def _refuse(reason: object) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2
