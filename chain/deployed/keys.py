"""Accounts of this machine, in encrypted keystore files."""

import json
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from chain.errors import ChainError

SCRYPT_ROUNDS = 16_384
"""Small, so that a process starts at once; the password is long and random, not a person's."""


class KeystoreError(ChainError):
    """A key cannot be had."""


def load_or_create(path: Path, password: str) -> LocalAccount:
    """Open the keystore at `path`, or make one with a new key there."""
    if path.exists():
        return load(path, password)
    account: LocalAccount = Account.create()
    encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=SCRYPT_ROUNDS)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Nobody else reads it at any moment, and a crash leaves no half of it.
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(encrypted))
    part.rename(path)
    return account


def load(path: Path, password: str) -> LocalAccount:
    """Open the keystore at `path`.

    Raises:
        KeystoreError: there is none, or the password does not open it.
    """
    keystore = _read(path)
    try:
        key = Account.decrypt(keystore, password)
    except ValueError:
        raise KeystoreError(
            f"keystore: the password does not open {path.name}; give the one it was made with"
        ) from None
    account: LocalAccount = Account.from_key(key)
    return account


def address_in(path: Path) -> str:
    """The checksum address of the keystore at `path`, which stays closed; raise KeystoreError."""
    return str(to_checksum_address(_read(path)["address"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        keystore: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise KeystoreError(
            f"keystore: there is no {path.name}; deploy the network first"
        ) from None
    return keystore
