"""A node's settings.

A setting comes from the command line, else from the environment, else from the node's file, else
from a default. The file is TOML. Its keys are the names of the environment variables in lower case.
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
        "KEYSTORE_PASSWORD_FILE",
        "ROUTER_URL",
        "REDIS_URL",
        "REDIS_PLAINTEXT",
        "REDIS_CA_FILE",
        "RPC_URL",
        "POOL_ADDRESS",
        "QUEUE_ADDRESS",
        "COGNITIVE_ADDRESS",
        "REWARDS_ADDRESS",
        "MIN_INPUT_PRICE_WEI",
        "MIN_OUTPUT_PRICE_WEI",
        "MODELS",
        "MODEL",
        "MODEL_IDENTIFIER",
        "MODEL_SHA256",
        "MODEL_UNVERIFIED",
        "UPSTREAM_URL",
        "UPSTREAM_MODEL",
        "SLOTS",
        "THREADS",
        "CONTEXT_TOKENS",
        "GPU_LAYERS",
        "MEMORY_BUDGET",
    )
)
"""The settings that a file may hold. A password belongs in a file of its own."""
_UNITS = {"": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("", 1000), ("I", 1024))
    for power, prefix in enumerate("KMGT", start=1)
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[KMGT]I?)?)B?", re.IGNORECASE)


class ConfigError(NodeError):
    """A setting is missing or has an unusable value."""


@dataclass(frozen=True)
class Terms:
    """The lowest prices that a node works for, in wei of $COR per token."""

    input_price_wei: int = 0
    output_price_wei: int = 0


@dataclass(frozen=True)
class ServedModel:
    """A model that a node serves.

    Args:
        identifier: the number by which sessions ask for the model.
        source: where the file comes from, as `mining.node.shelf.model_source` reads it.
        sha256: the expected SHA-256 of the file, in hex. None accepts any file.
    """

    identifier: int
    source: str
    sha256: str | None = None


@dataclass(frozen=True)
class Upstream:
    """An OpenAI-compatible server that computes a node's answers.

    Args:
        url: the base URL of the API, as in `https://host/v1`.
        model: the server's name for the model.
        api_key: the server's key, or None if the server asks for none.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NodeConfig:
    """All settings of a running node.

    Args:
        home: the folder of the key and of the results that are not revealed yet.
        redis_url: the mailbox. If it is None, or can no longer be opened, the node asks
            `router_url` for a mailbox.
        models: the models to serve: at least one, each identifier once.
        slots: how many jobs the node works on at once.
        threads: the number of llama.cpp's threads. None means the number that a trial finds
            fastest.
        context_tokens: the most tokens that a prompt and its answer may have together. None means
            the model's own limit.
        password: the password of the keystore. None means that it is in the home's `password`
            file.
        gpu_layers: how many layers of the model a GPU holds.
        unverified: whether the node may serve a file that is not the one that the network
            expects for the model.
        memory_bytes: the most bytes that loaded models may take together. None means the memory
            that is free at the start or, if a GPU holds layers, no limit.
        upstream: the server that computes the answers. The node then serves one model, and reads
            only the vocabulary of its file.
        allow_plaintext: whether a mailbox on another machine may be reached without TLS.
        redis_ca_file: the certificates that vouch for the Redis server. None means the system's.
        rpc_url, queue_address: the chain and the SessionQueue contract on which each job is
            checked. If one of them is None, the node accepts jobs unchecked.
        cognitive_address: the Cognitive contract on which parts in network tasks are checked. It
            needs `rpc_url`.
        terms: the lowest prices that the node works for. They need `rpc_url`.
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
    """Return the settings of a node's file, overridden by those of the environment.

    Args:
        file: the node's file. None means the home's `node.toml`, which may be missing.

    Raises:
        ConfigError: the file cannot be read, or has an unknown setting.
    """
    path = file or home / CONFIG_FILE
    if file is None and not path.is_file():
        return dict(environment)
    try:
        in_file = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: the file cannot be read ({error}); correct it") from error
    unknown = sorted(name for name in in_file if name.upper() not in NAMES)
    if unknown:
        known = ", ".join(sorted(name.lower() for name in NAMES))
        raise ConfigError(f"{path}: unknown setting {', '.join(unknown)}; use one of {known}")
    return {name.upper(): _text(value) for name, value in in_file.items()} | dict(environment)


def _text(value: object) -> str:
    """Return a value of the file as the text that an environment variable would hold."""
    if isinstance(value, bool):
        return "1" if value else ""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def home_from(flag: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the key and of the unrevealed results."""
    default = environment.get("CORTENSOR_NODE_HOME") or "~/.cortensor-node"
    return (flag or Path(default)).expanduser()


def password_from(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the keystore's password from the environment, or from the file that it names.

    Return None if the environment has neither.

    Raises:
        ConfigError: the file cannot be read.
    """
    if password := environment.get("KEYSTORE_PASSWORD"):
        return password
    if file := environment.get("KEYSTORE_PASSWORD_FILE"):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise ConfigError(
                f"KEYSTORE_PASSWORD_FILE: {file} cannot be read ({error.strerror});"
                " correct the path"
            ) from error
    return None


def redis_url_from(flag: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the mailbox's URL, or None if a router gives the node its mailbox.

    The URL holds the miner's own Redis user.

    Raises:
        ConfigError: neither a mailbox nor a router is set, or the mailbox is on another machine
            and the connection would be in clear text.
    """
    url = flag or environment.get("REDIS_URL")
    if url:
        require_private(url, allow_plaintext=environment.get("REDIS_PLAINTEXT") == "1")
    elif not environment.get("ROUTER_URL"):
        raise ConfigError(
            "ROUTER_URL: the setting is missing; set it to a router's address, or set REDIS_URL"
            " to the URL that the router's operator made with `manage.py enrol_miner`"
        )
    return url or None


def require_private(redis_url: str, *, allow_plaintext: bool) -> None:
    """Raise ConfigError if a mailbox is on another machine and is reached without TLS."""
    parts = urlsplit(redis_url)
    if parts.scheme in ("rediss", "unix") or allow_plaintext:
        return
    if not _is_here(parts.hostname):
        raise ConfigError(
            f"REDIS_URL: {parts.hostname} is another machine and redis:// is not encrypted; use"
            " rediss://, or set REDIS_PLAINTEXT=1 if the network between is private"
        )


def mailbox_url(redis_url: str, ca_file: Path | None) -> str:
    """Return the mailbox's URL with the options that a rediss:// connection needs.

    The server must present a valid certificate, even if the URL asks for no check.

    Raises:
        ConfigError: `ca_file` does not exist.
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "rediss":
        return redis_url
    query = dict(parse_qsl(parts.query)) | {"ssl_cert_reqs": "required"}
    if ca_file is not None:
        if not ca_file.is_file():
            raise ConfigError(f"REDIS_CA_FILE: there is no file {ca_file}; correct the path")
        query["ssl_ca_certs"] = str(ca_file)
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))


def upstream_from(
    url: str | None, model: str | None, environment: Mapping[str, str] = os.environ
) -> Upstream | None:
    """Return the OpenAI-compatible server that computes this node's answers, or None.

    The server's key is read from the environment only, since other users of the machine can see
    a command line and may be able to read a file.

    Raises:
        ConfigError: the URL is not usable, the model's name is missing, or the key would be sent
            unencrypted to another machine.
    """
    url = url or environment.get("UPSTREAM_URL")
    model = model or environment.get("UPSTREAM_MODEL")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"UPSTREAM_URL: {url!r} is not a server's address; set one like http://host:8000/v1"
        )
    if parts.username or parts.password:
        raise ConfigError("UPSTREAM_URL: the URL holds a password; set UPSTREAM_API_KEY instead")
    if not model:
        raise ConfigError(
            "UPSTREAM_MODEL: the setting is missing; set it to the server's name for the model"
        )
    key = environment.get("UPSTREAM_API_KEY") or None
    if key and parts.scheme == "http" and not _is_here(parts.hostname):
        raise ConfigError(
            f"UPSTREAM_URL: {parts.hostname} is another machine and http:// would send the key"
            " unencrypted; use https://"
        )
    return Upstream(url, model, key)


def _is_here(host: str | None) -> bool:
    """Tell whether a host is this machine. A URL without a host means this machine."""
    host = host or "localhost"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def number_from(
    flag: int | None, name: str, default: int, environment: Mapping[str, str] = os.environ
) -> int:
    """Return a setting that is a whole number of at least 1.

    Raises:
        ConfigError: the setting is something else.
    """
    text = str(flag) if flag is not None else environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name}: {text!r} is not a whole number of at least 1; set one")
    return int(text)


def memory_from(flag: str | None, environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the most bytes that loaded models may take, or None if no limit is set.

    Raises:
        ConfigError: the setting is not a size.
    """
    text = flag or environment.get("MEMORY_BUDGET")
    if not text:
        return None
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ConfigError(f"MEMORY_BUDGET: {text!r} is not a size; set one like 4GiB or 800M")
    return size


def whole_number_from(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return a setting that is a whole number of at least 0. The default is 0.

    Raises:
        ConfigError: the setting is something else.
    """
    text = environment.get(name) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{name}: {text!r} is not a whole number of at least 0; set one")
    return int(text)
