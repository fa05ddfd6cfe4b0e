"""A node's settings: from its command line, else its environment, else its file, else a default.

The file is TOML; its keys are the variables' names in lower case.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mining.node.errors import NodeError

SHIPPED_MODEL = Path(__file__).parent / "models/cortensor-mini.gguf"


CONFIG_FILE = "node.toml"
NAMES = frozenset(
    (
        *("KEYSTORE_PASSWORD_FILE", "ROUTER_URL"),
        *("REDIS_URL", "REDIS_PLAINTEXT", "REDIS_CA_FILE"),
        *("RPC_URL", "POOL_ADDRESS", "QUEUE_ADDRESS", "COGNITIVE_ADDRESS", "REWARDS_ADDRESS"),
        *("MIN_INPUT_PRICE_WEI", "MIN_OUTPUT_PRICE_WEI"),
        *("MODELS", "MODEL", "MODEL_IDENTIFIER", "MODEL_SHA256", "MODEL_UNVERIFIED"),
        *("UPSTREAM_URL", "UPSTREAM_MODEL"),
        *("SLOTS", "THREADS", "CONTEXT_TOKENS", "GPU_LAYERS", "MEMORY_BUDGET"),
    )
)
"""What a file may set. A password belongs into a file of its own."""
_UNITS = {"": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("", 1000), ("I", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[KMGT]I?)?)B?", re.IGNORECASE)


class ConfigError(NodeError):
    """A setting is missing or makes no sense."""


@dataclass(frozen=True)
class Terms:
    """What a node works for: wei of $COR a token, at least."""

    input_price_wei: int = 0
    output_price_wei: int = 0


@dataclass(frozen=True)
class ServedModel:
    """A model by the number that sessions ask for it with.

    `source` is as in `mining.node.shelf.model_source`; `sha256` is what its file has to hash
    to, in hex, anything if None.
    """

    identifier: int
    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class Upstream:
    """Where an OpenAI-compatible server is (`https://host/v1`), and what it calls the model."""

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NodeConfig:
    """All that a node is told.

    Args:
        password: of the keystore; the home's `password` file has it otherwise.
        models: at least one, no number twice.
        unverified: whether a model's file may be another than the one that the network means.
        context_tokens: what prompt and answer may have together; the model's own if None.
        threads: of llama.cpp; as many as are fastest if None.
        memory_bytes: what loaded models may take together; if None, all that is there at the start
            or, where a GPU holds layers, as much as they want.
        redis_url: the mailbox; asked from `router_url` where it is None or no longer opens.
        upstream: the server that does the work of the one model, whose file is here for its
            vocabulary alone.
        redis_ca_file: certificates of who signed Redis' own; the system's if None.
        rpc_url, queue_address: where jobs are checked; without them a job is believed.
        cognitive_address: where parts in network tasks are checked; needs `rpc_url`.
        terms: the least that this node works for; needs `rpc_url`.
    """

    home: Path
    redis_url: str | None
    models: tuple[ServedModel, ...]
    slots: int
    threads: int | None
    context_tokens: int | None
    password: str | None
    router_url: str | None = None
    gpu_layers: int = 0
    unverified: bool = False
    memory_bytes: int | None = None
    upstream: Upstream | None = None
    allow_plaintext: bool = False
    redis_ca_file: Path | None = None
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
    return {name.upper(): _text(value) for name, value in told.items()} | dict(environment)


def _text(value: object) -> str:
    """A value of the file as the environment would have it."""
    if isinstance(value, bool):
        return "1" if value else ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


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
    if not _is_here(parts.hostname):
        raise ConfigError(
            f"REDIS_URL: {parts.hostname} is another machine and redis:// is clear text; use"
            " rediss://, or set REDIS_PLAINTEXT=1 on a network that is private by other means"
        )


def mailbox_url(redis_url: str, ca_file: Path | None) -> str:
    """The URL with what a rediss:// connection has to be told; raise ConfigError.

    Whatever the URL says, the server has to prove itself.
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "rediss":
        return redis_url
    query = dict(parse_qsl(parts.query)) | {"ssl_cert_reqs": "required"}
    if ca_file is not None:
        if not ca_file.is_file():
            raise ConfigError(f"REDIS_CA_FILE: there is no file {ca_file}; mend the path")
        query["ssl_ca_certs"] = str(ca_file)
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))


def upstream_from(
    url: str | None, model: str | None, environment: Mapping[str, str] = os.environ
) -> Upstream | None:
    """The server that works for this node, if one is set; raise ConfigError.

    Its key comes from the environment alone: a file or a command line shows it to others.
    """
    url = url or environment.get("UPSTREAM_URL")
    model = model or environment.get("UPSTREAM_MODEL")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"UPSTREAM_URL: {url!r} is no address of a server; give one as in http://host:8000/v1"
        )
    if parts.username or parts.password:
        raise ConfigError("UPSTREAM_URL: it holds a password; give it in UPSTREAM_API_KEY")
    if not model:
        raise ConfigError("UPSTREAM_MODEL: it is missing; give the server's name of the model")
    key = environment.get("UPSTREAM_API_KEY") or None
    if key and parts.scheme == "http" and not _is_here(parts.hostname):
        raise ConfigError(
            f"UPSTREAM_URL: {parts.hostname} is another machine and http:// would show it and"
            " everybody between the key; use https://"
        )
    return Upstream(url, model, key)


def _is_here(host: str | None) -> bool:
    """Whether a host is this machine; a URL without one means it."""
    host = host or "localhost"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def number_from(
    flag: int | None, name: str, default: int, environment: Mapping[str, str] = os.environ
) -> int:
    """A whole number of at least 1; raise ConfigError."""
    text = str(flag) if flag is not None else environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name}: {text!r} is no whole number of at least 1; give one")
    return int(text)


def memory_from(flag: str | None, environment: Mapping[str, str] = os.environ) -> int | None:
    """Bytes that models may take, None if nothing says so; raise ConfigError."""
    text = flag or environment.get("MEMORY_BUDGET")
    if not text:
        return None
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ConfigError(f"MEMORY_BUDGET: {text!r} is no size; give one as in 4GiB or 800M")
    return size


def whole_number_from(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """A whole number, 0 if none is set; raise ConfigError."""
    text = environment.get(name) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{name}: {text!r} is no whole number of at least 0; give one")
    return int(text)
