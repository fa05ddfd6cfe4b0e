"""The miner's command line: `python -m mining.node`."""

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path

from redis.exceptions import RedisError

from mining.node import config as settings
from mining.node.mailbox import Mailbox
from mining.node.wallet import Wallet, WalletError, address_in

_ENVIRONMENT = """\
environment:
  CORTENSOR_NODE_HOME     folder of the key and of unrevealed results (~/.cortensor-node)
  KEYSTORE_PASSWORD       password of the key, or
  KEYSTORE_PASSWORD_FILE  a file that holds it; HOME/password otherwise, which `init` makes
  REDIS_URL               the mailbox, with the miner's own user: redis://USER:PASSWORD@HOST:PORT/0
  MODEL                   a GGUF file, owner/repo, or owner/repo:file-pattern on Hugging Face
  MODEL_IDENTIFIER        the number by which sessions ask for this model (1)
  SLOTS                   how many jobs are worked on at once (4)
  THREADS                 threads of llama.cpp (1)
  CONTEXT_TOKENS          most tokens of prompt and answer together (the model's own)
  LOG_LEVEL               DEBUG, INFO, WARNING or ERROR (INFO)
A flag goes before its variable.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # Heavy imports come with the command that needs them: `address` answers at once.
    try:
        return int(options.command(options))
    except (WalletError, settings.ConfigError) as error:
        return _refuse(error)
    except RedisError as error:
        return _refuse(f"REDIS_URL: Redis refuses ({error}); check address, user and password")


def init(options: argparse.Namespace) -> int:
    """Make the key, or find it, and print its address."""
    home = settings.home_from(options.home)
    print(Wallet.create_or_open(home, settings.password_from()).address)
    return 0


def address(options: argparse.Namespace) -> int:
    """Print the address of the key."""
    print(address_in(settings.home_from(options.home)))
    return 0


def run(options: argparse.Namespace) -> int:
    """Work until told to stop."""
    from mining.node.llama import LlamaError
    from mining.node.model_source import ModelSourceError
    from mining.node.worker import run as run_worker

    context = options.context_tokens or os.environ.get("CONTEXT_TOKENS")
    node = settings.NodeConfig(
        home=settings.home_from(options.home),
        redis_url=settings.redis_url_from(options.redis_url),
        model=options.model or os.environ.get("MODEL") or str(settings.SHIPPED_MODEL),
        model_identifier=settings.number_from(options.model_identifier, "MODEL_IDENTIFIER", 1),
        slots=settings.number_from(options.slots, "SLOTS", 4),
        threads=settings.number_from(options.threads, "THREADS", 1),
        context_tokens=settings.number_from(options.context_tokens, "CONTEXT_TOKENS", 1)
        if context
        else None,
        password=settings.password_from(),
    )
    try:
        return run_worker(node)
    except (ModelSourceError, LlamaError) as error:
        return _refuse(error)


def status(options: argparse.Namespace) -> int:
    """Print what the mailbox tells of this miner; exit 1 when it is not beating."""
    own = address_in(settings.home_from(options.home))
    mailbox = Mailbox(settings.redis_url_from(options.redis_url), own)
    beat = mailbox.last_heartbeat()
    age_s = time.time() - beat[0] if beat else None
    alive = age_s is not None and age_s < 10
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mining.node",
        description="A miner of the Cortensor network: works on the jobs in its mailbox.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the key and results")
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
    show = add("status", status, "print what the mailbox tells of this miner; exit 1 if not alive")
    work = add("run", run, "work on jobs until SIGTERM or Ctrl-C, then finish what was started")
    for sub in (show, work):
        sub.add_argument("--redis-url", metavar="URL", help="the mailbox (REDIS_URL)")
    work.add_argument("--model", metavar="MODEL", help="GGUF file or Hugging Face repository")
    work.add_argument("--model-identifier", type=int, metavar="N", help="the model's number (1)")
    work.add_argument("--slots", type=int, metavar="N", help="jobs at once (4)")
    work.add_argument("--threads", type=int, metavar="N", help="threads of llama.cpp (1)")
    work.add_argument("--context-tokens", type=int, metavar="N", help="prompt and answer together")
    return parser


def _refuse(reason: object) -> int:
    print(f"error: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
