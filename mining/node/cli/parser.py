"""The miner's command line."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from redis.exceptions import AuthenticationError as RedisRefuses
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from mining.node import config as settings
from mining.node.cli import chain_commands, commands
from mining.node.errors import NodeError

TRY_LATER = os.EX_TEMPFAIL
"""The exit status if a service that the command needs is away."""
_FLAG = "setting "
"""The prefix of the argparse destination of a flag that sets the variable of the same name."""
_ENVIRONMENT = """\
environment variables, each also a setting in lower case in HOME/node.toml (or --config FILE):
  ROUTER_URL              a router; it gives this node a mailbox once the node has proved its key
  REDIS_URL               the mailbox, if an operator made one: rediss://USER:PASSWORD@HOST:PORT/0
  REDIS_CA_FILE           PEM file of certificates that vouch for the Redis server (the system's)
  REDIS_PLAINTEXT         1 allows redis:// to another machine; use it on a private network only
  MODELS                  the models to serve: numbers from `models list`, as in 1,2, or all, or
                          numbers with sources, as in 1=model.gguf,2=owner/repo
  MODEL                   the model to serve if MODELS is not set: a number from `models list`, a
                          GGUF file, or owner/repo or owner/repo:file-pattern on Hugging Face
  MODEL_IDENTIFIER        the number by which sessions ask for the file in MODEL (1)
  MODEL_SHA256            the SHA-256 that the file in MODEL must have
  MODEL_UNVERIFIED        1 serves a file that is not the network's; validators will find out
  MEMORY_BUDGET           memory that loaded models may take together, as in 4GiB (all free memory)
  SLOTS                   how many jobs the node works on at once (4)
  THREADS                 number of llama.cpp's threads (the number that a trial finds fastest)
  CONTEXT_TOKENS          most tokens that prompt and answer may have together (the model's limit)
  GPU_LAYERS              how many layers of the model a GPU holds (0; 999 for all)
  UPSTREAM_URL            an OpenAI-compatible server that computes the answers, as in
                          http://host:8000/v1
  UPSTREAM_MODEL          the server's name for the model
  RPC_URL, QUEUE_ADDRESS  the chain and SessionQueue; the node checks every job there first
  COGNITIVE_ADDRESS       Cognitive; the node checks parts in network tasks there (needs RPC_URL)
  POOL_ADDRESS            NodePool, for `register`, `stake` and `unbond`
  REWARDS_ADDRESS         NetworkRewards, which pays for network tasks
  MIN_INPUT_PRICE_WEI, MIN_OUTPUT_PRICE_WEI
                          the lowest price per token that the node works for (needs RPC_URL)
  KEYSTORE_PASSWORD_FILE  a file with the key's password (HOME/password, which `init` writes)

environment variables that cannot be set in the file:
  CORTENSOR_NODE_HOME     folder of the key and of unrevealed results (~/.cortensor-node)
  KEYSTORE_PASSWORD       password of the key
  UPSTREAM_API_KEY        key of the OpenAI-compatible server
  LOG_LEVEL               DEBUG, INFO, WARNING or ERROR (INFO)
A flag overrides its variable. A variable overrides the file.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    The status is 2 for an error that the user has to fix, and TRY_LATER for one that may go away
    by itself.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Each command imports its heavy modules itself, so that `address` answers at once.
    try:
        options.home = settings.home_from(options.home)
        environment = settings.environment_of(options.home, options.config)
        options.environment = environment | _settings_in(options)
        return int(options.command(options))
    except NodeError as error:
        return _refuse(error, temporary=error.temporary)
    except RedisError as error:
        away = isinstance(error, RedisConnectionError) and not isinstance(error, RedisRefuses)
        return _refuse(
            f"REDIS_URL: Redis refuses ({error}); check the address, user and password",
            temporary=away,
        )


def _settings_in(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings whose flags were given, by variable name."""
    given = {name: getattr(options, _FLAG + name, None) for name in settings.NAMES}
    return {name: value for name, value in given.items() if value is not None}


def _refuse(reason: object, *, temporary: bool) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return TRY_LATER if temporary else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mining.node",
        description="A miner of the Cortensor network. It works on the jobs in its mailbox.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the key and results")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    added = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = added.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_ENVIRONMENT,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        return sub

    add("init", commands.init, "create this miner's key, unless it exists, and print its address")
    add("address", commands.address, "print this miner's address")
    _add_models(add("models", commands.models, "list, add, verify, remove or announce models"))
    measured = add("bench", commands.bench, "measure this machine's speed with a model")
    work = add("run", commands.run, "work until SIGTERM or Ctrl-C, then finish the open jobs")
    show = add("status", commands.status, "print this node's status; exit 1 if it is not alive")

    registered = add("register", chain_commands.register, "register this node on the chain")
    staked = add("stake", chain_commands.stake, "stake $COR for this node")
    unbonded = add("unbond", chain_commands.unbond, "begin to unbond stake, which takes a week")
    paid = add("withdraw", chain_commands.withdraw, "pay out this node's earnings or its stake")
    claimed = add(
        "claim", chain_commands.claim, "send kept results to the contract if a router does not"
    )
    rewarded = add(
        "rewards", chain_commands.rewards, "pay out this node's rewards for network tasks"
    )
    rewarded.add_argument(
        "--epochs", type=int, default=60, metavar="N", help="how many past epochs to check (60)"
    )

    for sub in (staked, unbonded):
        sub.add_argument("amount", metavar="AMOUNT", help="amount in $COR, as in 12.5")
    paid.add_argument(
        "--stake", action="store_true", help="pay out unbonded stake instead of earnings"
    )
    for sub in (staked, unbonded, paid):
        sub.add_argument("--node", type=_address, metavar="ADDRESS", help="another node (this one)")
    work.add_argument("--redis-url", metavar="URL", help="the mailbox (REDIS_URL)")
    measured.set_defaults(redis_url=None)
    for sub in (measured, work):
        _add_engine(sub)
        _add_settings(sub, "GPU_LAYERS", "MODEL_SHA256")
    _add_settings(work, "ROUTER_URL", "REDIS_CA_FILE", "RPC_URL", "QUEUE_ADDRESS")
    _add_settings(work, "COGNITIVE_ADDRESS")
    _add_settings(work, "MIN_INPUT_PRICE_WEI", "MIN_OUTPUT_PRICE_WEI", "KEYSTORE_PASSWORD_FILE")
    for sub in (show, registered, staked, unbonded, paid, claimed):
        _add_settings(sub, "RPC_URL", "POOL_ADDRESS", "QUEUE_ADDRESS", "KEYSTORE_PASSWORD_FILE")
    _add_settings(rewarded, "RPC_URL", "REWARDS_ADDRESS", "KEYSTORE_PASSWORD_FILE")
    return parser


def _address(text: str) -> str:
    from eth_utils.address import is_address

    if not is_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address; give 0x and 40 hex digits")
    return text


def _add_models(listed: argparse.ArgumentParser) -> None:
    actions = listed.add_subparsers(dest="action", metavar="ACTION", title="actions")
    actions.add_parser("list", help="show the listed models (the default)")
    actions.add_parser("verify", help="hash every model's file again")
    added = actions.add_parser("add", help="find or download a model, and store its SHA-256")
    added.add_argument("identifier", type=int, help="number by which sessions ask for the model")
    added.add_argument("source", help="GGUF file, owner/repo or owner/repo:file-pattern")
    added.add_argument("--sha256", help="SHA-256 that the file must have")
    removed = actions.add_parser("remove", help="remove a model from the list; its file stays")
    removed.add_argument("identifier", type=int)
    announced = actions.add_parser("announce", help="tell NodePool which models this node serves")
    announced.set_defaults(command=chain_commands.announce_models)


def _add_settings(sub: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        flag = "--" + name.lower().replace("_", "-")
        sub.add_argument(flag, dest=_FLAG + name, metavar="VALUE", help=f"{name}, see below")


def _add_engine(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--models", metavar="N,N", help="listed numbers to serve, or all")
    sub.add_argument("--model", metavar="MODEL", help="GGUF file, repository or listed number")
    sub.add_argument("--model-identifier", type=int, metavar="N", help="number of --model (1)")
    sub.add_argument("--memory-budget", metavar="SIZE", help="for loaded models, as in 4GiB")
    sub.add_argument("--slots", type=int, metavar="N", help="jobs at once (4)")
    sub.add_argument("--threads", type=int, metavar="N", help="llama.cpp's threads (the fastest)")
    sub.add_argument("--context-tokens", type=int, metavar="N", help="limit for prompt and answer")
    sub.add_argument("--upstream-url", metavar="URL", help="server that computes the answers")
    sub.add_argument("--upstream-model", metavar="NAME", help="the server's name for the model")
