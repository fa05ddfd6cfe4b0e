"""The miner's command line: what a person who owns the machine types."""

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
"""The exit status when something that a command needs is away."""
_FLAG = "setting "
"""What the name of a flag's value begins with that stands for a setting of the same name."""
_ENVIRONMENT = """\
environment, each also in lower case in HOME/node.toml (or --config FILE):
  ROUTER_URL              a router, which gives this node its mailbox by proof of its key
  REDIS_URL               the mailbox, where an operator gave one: rediss://USER:PASSWORD@HOST:PORT/0
  REDIS_CA_FILE           certificates (PEM) of who signed Redis' own, where the system knows none
  REDIS_PLAINTEXT         1 allows redis:// to another machine, on a network that is private
  MODELS                  numbers of `models list` to serve, as in 1,2, or all; or numbers with
                          sources, as in 1=model.gguf,2=owner/repo
  MODEL                   the one to serve without MODELS: a number of `models list`, a GGUF file,
                          owner/repo, or owner/repo:file-pattern on Hugging Face
  MODEL_IDENTIFIER        the number by which sessions ask for such a file (1)
  MODEL_SHA256            what it must hash to
  MODEL_UNVERIFIED        1 serves a file that is not the network's; validators will find out
  MEMORY_BUDGET           what loaded models may take together, as in 4GiB (all that is free)
  SLOTS                   how many jobs are worked on at once (4)
  THREADS                 threads of llama.cpp (as many as a trial finds fastest)
  CONTEXT_TOKENS          most tokens of prompt and answer together (the model's own)
  GPU_LAYERS              how many layers of the model a GPU holds (0; 999 for all)
  UPSTREAM_URL            an OpenAI-compatible server that does the work, as http://host:8000/v1
  UPSTREAM_MODEL          what that server calls the model
  RPC_URL, QUEUE_ADDRESS  the chain and SessionQueue, where every job is checked before it is done
  COGNITIVE_ADDRESS       Cognitive, where parts in network tasks are checked; with RPC_URL only
  POOL_ADDRESS            NodePool, to register and stake with
  REWARDS_ADDRESS         NetworkRewards, to be paid for network tasks
  MIN_INPUT_PRICE_WEI, MIN_OUTPUT_PRICE_WEI
                          the least that a token has to pay; needs RPC_URL
  KEYSTORE_PASSWORD_FILE  a file with the key's password; HOME/password otherwise, by `init`

environment only:
  CORTENSOR_NODE_HOME     folder of the key and of unrevealed results (~/.cortensor-node)
  KEYSTORE_PASSWORD       password of the key
  UPSTREAM_API_KEY        key of the OpenAI-compatible server
  LOG_LEVEL               DEBUG, INFO, WARNING or ERROR (INFO)
A flag goes before its variable, a variable before the file.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status.

    It is 2 for what the user has to mend, and TRY_LATER for what may pass by itself.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Heavy imports come with the command that needs them: `address` answers at once.
    try:
        options.home = settings.home_from(options.home)
        told = settings.environment_of(options.home, options.config)
        options.environment = told | _settings_in(options)
        return int(options.command(options))
    except NodeError as error:
        return _refuse(error, temporary=error.temporary)
    except RedisError as error:
        away = isinstance(error, RedisConnectionError) and not isinstance(error, RedisRefuses)
        return _refuse(
            f"REDIS_URL: Redis refuses ({error}); check address, user and password",
            temporary=away,
        )


def _settings_in(options: argparse.Namespace) -> dict[str, str]:
    """The settings that flags of their own name gave."""
    given = {name: getattr(options, _FLAG + name, None) for name in settings.NAMES}
    return {name: value for name, value in given.items() if value is not None}


def _refuse(reason: object, *, temporary: bool) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return TRY_LATER if temporary else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mining.node",
        description="A miner of the Cortensor network: works on the jobs in its mailbox.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the key and results")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
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

    add("init", commands.init, "make this miner's key, or find it, and print its address")
    add("address", commands.address, "print this miner's address")
    _add_models(add("models", commands.models, "list, add, verify, remove or announce models"))
    measured = add("bench", commands.bench, "measure this machine's speed with a model")
    work = add("run", commands.run, "work until SIGTERM or Ctrl-C, then finish what was started")
    show = add("status", commands.status, "print what is known of this node; exit 1 if not alive")

    registered = add("register", chain_commands.register, "register this node on the chain")
    staked = add("stake", chain_commands.stake, "put $COR at risk for this node's word")
    unbonded = add("unbond", chain_commands.unbond, "begin to take stake back, which takes a week")
    paid = add(
        "withdraw", chain_commands.withdraw, "have this node's earnings, or its stake, paid out"
    )
    claimed = add(
        "claim", chain_commands.claim, "send kept results to the contract, past a silent router"
    )
    rewarded = add(
        "rewards", chain_commands.rewards, "have paid out what this node has earned while idle"
    )
    rewarded.add_argument(
        "--epochs", type=int, default=60, metavar="N", help="how many to look at (60)"
    )

    for sub in (staked, unbonded):
        sub.add_argument("amount", metavar="AMOUNT", help="of $COR, as in 12.5")
    paid.add_argument("--stake", action="store_true", help="what has unbonded, not what is earned")
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
        raise argparse.ArgumentTypeError(f"{text!r} is no address; give 0x and 40 hex digits")
    return text


def _add_models(listed: argparse.ArgumentParser) -> None:
    actions = listed.add_subparsers(dest="action", metavar="ACTION", title="actions")
    actions.add_parser("list", help="show them (the default)")
    actions.add_parser("verify", help="hash every file again")
    added = actions.add_parser("add", help="find or download one, and remember its SHA-256")
    added.add_argument("identifier", type=int, help="the number by which sessions ask for it")
    added.add_argument("source", help="GGUF file, owner/repo or owner/repo:file-pattern")
    added.add_argument("--sha256", help="what its file must hash to")
    removed = actions.add_parser("remove", help="forget one; its file stays")
    removed.add_argument("identifier", type=int)
    announced = actions.add_parser("announce", help="tell NodePool which ones this node serves")
    announced.set_defaults(command=chain_commands.announce_models)


def _add_settings(sub: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        flag = "--" + name.lower().replace("_", "-")
        sub.add_argument(flag, dest=_FLAG + name, metavar="VALUE", help=f"{name}, see below")


def _add_engine(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--models", metavar="N,N", help="listed numbers to serve, or all")
    sub.add_argument("--model", metavar="MODEL", help="GGUF file, repository or listed number")
    sub.add_argument("--model-identifier", type=int, metavar="N", help="its number (1)")
    sub.add_argument("--memory-budget", metavar="SIZE", help="of loaded models, as in 4GiB")
    sub.add_argument("--slots", type=int, metavar="N", help="jobs at once (4)")
    sub.add_argument("--threads", type=int, metavar="N", help="threads of llama.cpp (the fastest)")
    sub.add_argument("--context-tokens", type=int, metavar="N", help="prompt and answer")
    sub.add_argument("--upstream-url", metavar="URL", help="a server that does the work")
    sub.add_argument("--upstream-model", metavar="NAME", help="its name of the model")
