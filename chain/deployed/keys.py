"""This machine's accounts, in encrypted keystore files."""

import json
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from chain.errors import ChainError

SCRYPT_ROUNDS = 16_384
"""A low number of rounds, so that a process starts quickly.

It is sufficient because the password is long and random, not chosen by a person.
"""


class KeystoreError(ChainError):
    """A keystore does not exist or cannot be opened."""


def load_or_create(path: Path, password: str) -> LocalAccount:
    """Open the keystore at `path`. Create it with a new key if it does not exist."""
    if path.exists():
        return load(path, password)
    account: LocalAccount = Account.create()
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=SCRYPT_ROUNDS)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Other users can read the file at no moment, and a crash leaves no partial keystore.
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(encrypted))
    part.rename(path)
    return account


def load(path: Path, password: str) -> LocalAccount:
    """Open the keystore at `path`.

    Raises:
        KeystoreError: the file does not exist, or the password is wrong.
    """
    keystore = _read(path)
    try:
        key = Account.decrypt(keystore, password)
    except ValueError:
        raise KeystoreError(
            f"keystore: the password does not open {path.name}; give the password that it was"
            " created with"
        ) from None
    account: LocalAccount = Account.from_key(key)
    return account


def address_in(path: Path) -> str:
    """Return the checksum address of the keystore at `path` without decrypting it.

    Raises:
        KeystoreError: the file does not exist.
    """
    return str(to_checksum_address(_read(path)["address"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        keystore: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeystoreError(
            f"keystore: {path.name} does not exist; deploy the network first"
        ) from None
    return keystore
