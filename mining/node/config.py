"""A node's settings: from its command line, else its environment, else a default."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHIPPED_MODEL = Path(__file__).parent / "models/cortensor-mini.gguf"


class ConfigError(Exception):
    """A setting is missing or makes no sense."""


@dataclass(frozen=True)
class NodeConfig:
    """All that a node is told.

    Args:
        password: of the keystore; the home's `password` file has it otherwise.
        context_tokens: what prompt and answer may have together; the model's own if None.
    """

    home: Path
    redis_url: str
    model: str
    model_identifier: int
    slots: int
    threads: int
    context_tokens: int | None
    password: str | None


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


def redis_url_from(flag: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The mailbox's URL, with the miner's own Redis user in it; raise ConfigError if missing."""
    url = flag or environment.get("REDIS_URL")
    if not url:
        raise ConfigError(
            "REDIS_URL: it is missing; the network's operator makes it with"
            " `manage.py enrol_miner ADDRESS`"
        )
    return url


def number_from(
    flag: int | None, name: str, default: int, environment: Mapping[str, str] = os.environ
) -> int:
    """A whole number of at least 1; raise ConfigError."""
    text = str(flag) if flag is not None else environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{name}: {text!r} is no whole number of at least 1; give one")
    return int(text)
