"""A node's settings: from its command line, else its environment, else its file, else a default.

The file is TOML; its keys are the variables' names in lower case.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from mining.node.task_check import Terms

SHIPPED_MODEL = Path(__file__).parent / "models/cortensor-mini.gguf"


CONFIG_FILE = "node.toml"
NAMES = frozenset(
    (
        *("KEYSTORE_PASSWORD_FILE", "REDIS_URL", "REDIS_PLAINTEXT", "ROUTER_URL"),
        *("RPC_URL", "POOL_ADDRESS", "QUEUE_ADDRESS", "COGNITIVE_ADDRESS", "REWARDS_ADDRESS"),
        *("MIN_INPUT_PRICE_WEI", "MIN_OUTPUT_PRICE_WEI"),
        *("MODEL", "MODEL_IDENTIFIER", "MODEL_SHA256"),
        *("SLOTS", "THREADS", "CONTEXT_TOKENS", "GPU_LAYERS"),
    )
)
"""What a file may set. A password belongs into a file of its own."""


class ConfigError(Exception):
    """A setting is missing or makes no sense."""


@dataclass(frozen=True)
class NodeConfig:
    """All that a node is told.

    Args:
        password: of the keystore; the home's `password` file has it otherwise.
        context_tokens: what prompt and answer may have together; the model's own if None.
        redis_url: the mailbox; asked from `router_url` where it is None or no longer opens.
        model_sha256: what the model's file has to hash to, in hex; anything if None.
        rpc_url, queue_address: where jobs are checked; without them a job is believed.
        cognitive_address: where parts in network tasks are checked; needs `rpc_url`.
        terms: the least that this node works for; needs `rpc_url`.
    """

    home: Path
    redis_url: str | None
    model: str
    model_identifier: int
    slots: int
    threads: int
    context_tokens: int | None
    password: str | None
    router_url: str | None = None
    model_sha256: str | None = None
    gpu_layers: int = 0
    allow_plaintext: bool = False
    rpc_url: str | None = None
    queue_address: str | None = None
    cognitive_address: str | None = None
    terms: Terms = field(default_factory=Terms)


def environment_of(
    home: Path, file: Path | None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment, with what a node's file says in the place of what it leaves open.

    Args:
        file: the home's `node.toml`, if it has one, by default.

    Raises ConfigError.
    """
    path = file or home / CONFIG_FILE
    if file is None and not path.is_file():
        return dict(environment)
    try:
        told = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: it cannot be read ({error}); mend it") from error
    unknown = sorted(name for name in told if name.upper() not in NAMES)
    if unknown:
        known = ", ".join(sorted(name.lower() for name in NAMES))
        raise ConfigError(f"{path}: {', '.join(unknown)} means nothing; it may have {known}")
    return {name.upper(): str(value) for name, value in told.items()} | dict(environment)


def home_from(flag: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the key and the stash."""
    default = environment.get("CORTENSOR_NODE_HOME") or "~/.cortensor-node"
    return (flag or Path(default)).expanduser()


def password_from(environment: Mapping[str, str] = os.environ) -> str | None:
    """The keystore's password, if the environment says it or where it is."""
    if password := environment.get("KEYSTORE_PASSWORD"):
        return password
    if file := environment.get("KEYSTORE_PASSWORD_FILE"):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ConfigError(
                f"KEYSTORE_PASSWORD_FILE: {file} cannot be read ({error.strerror}); mend the path"
            ) from error
    return None


def redis_url_from(flag: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The mailbox's URL, with the miner's own Redis user in it, or None where a router gives it.

    Raises ConfigError when there is neither, or when it would go in clear text to another machine.
    """
    url = flag or environment.get("REDIS_URL")
    if url:
        require_private(url, allow_plaintext=environment.get("REDIS_PLAINTEXT") == "1")
    elif not environment.get("ROUTER_URL"):
        raise ConfigError(
            "ROUTER_URL: it is missing; give a router's address, or the REDIS_URL that its"
            " operator made with `manage.py enrol_miner`"
        )
    return url or None


def require_private(redis_url: str, *, allow_plaintext: bool) -> None:
    """Raise ConfigError for a mailbox on another machine without TLS."""
    parts = urlsplit(redis_url)
    if parts.scheme in ("rediss", "unix") or allow_plaintext:
        return
    host = parts.hostname or "localhost"
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    if not is_here:
        raise ConfigError(
            f"REDIS_URL: {host} is another machine and redis:// is clear text; use rediss://,"
            " or set REDIS_PLAINTEXT=1 on a network that is private by other means"
        )


def number_from(
    flag: int | None, name: str, default: int, environment: Mapping[str, str] = os.environ
) -> int:
    """A whole number of at least 1; raise ConfigError."""
    text = str(flag) if flag is not None else environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name}: {text!r} is no whole number of at least 1; give one")
    return int(text)


def price_from(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """A price in wei, 0 if none is set; raise ConfigError."""
    text = environment.get(name) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{name}: {text!r} is no whole number of wei; give one")
    return int(text)
