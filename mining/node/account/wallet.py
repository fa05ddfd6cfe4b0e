"""A miner's key. It is stored encrypted on the miner's machine, and used only to sign."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from chain.protocol.envelopes import encryption_key
from chain.protocol.messages import Message, SigningDomain, sign
from mining.node.errors import NodeError

KEYSTORE, PASSWORD = "keystore.json", "password"
_ROUNDS = 16_384
"""The cost of scrypt. It is low, so that a node starts quickly.

The password that `init` makes is random. The strength of another one is its owner's choice.
"""


class WalletError(NodeError):
    """Base class: the key cannot be used."""


class NoKey(WalletError):
    """The home has no key yet."""


class WrongPassword(WalletError):
    """The password is missing, or does not open the key."""


class Wallet:
    """An opened key."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = str(account.address)
        self.encryption_key = encryption_key(bytes(account.key))
        """The private key that opens envelopes sealed for this miner."""

    def sign(self, message: Message, domain: SigningDomain) -> bytes:
        """Sign one of `chain.protocol.messages`. Return the signature of 65 bytes."""
        return sign(message, domain, bytes(self._account.key))

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Sign a transaction. Return the bytes that `eth_sendRawTransaction` takes."""
        return bytes(self._account.sign_transaction(transaction).raw_transaction)

    @classmethod
    def create_or_open(cls, home: Path, password: str | None = None) -> "Wallet":
        """Open the key in a home, or create one there.

        Args:
            home: the folder of the key. It is created if it is missing.
            password: the password of the key. None means the one in the home's `password` file,
                which is created with a random password if it is missing.

        Raises:
            WrongPassword: the password is missing, or does not open the key.
        """
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (home / KEYSTORE).exists():
            return cls.open(home, password)
        if password is None:
            password = _kept_password(home)
        account = Account.create()
        encrypted = Account.encrypt(account.key, password, kdf="scrypt", iterations=_ROUNDS)
        _write_private(home / KEYSTORE, json.dumps(encrypted, indent=1))
        return cls(account)

    @classmethod
    def open(cls, home: Path, password: str | None = None) -> "Wallet":
        """Open the key in a home.

        Args:
            home: the folder of the key.
            password: the password of the key. None means the one in the home's `password` file.

        Raises:
            NoKey: the home has no key.
            WrongPassword: the password is missing, or does not open the key.
        """
        keystore = _keystore(home)
        if password is None and not (home / PASSWORD).exists():
            raise WrongPassword(
                f"password: it is missing; set KEYSTORE_PASSWORD, or put it into the file"
                f" {PASSWORD} in {home}"
            )
        try:
            key = Account.decrypt(keystore, password or _kept_password(home))
        except ValueError as error:
            raise WrongPassword(
                f"password: it does not open {home / KEYSTORE}; give the one that the key was made"
                " with"
            ) from error
        return cls(Account.from_key(key))


def address_in(home: Path) -> str:
    """Return the checksum address of the key in a home. The key is not opened. Raises NoKey."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(_keystore(home)["address"]))


def _keystore(home: Path) -> dict[str, str]:
    path = home / KEYSTORE
    if not path.exists():
        raise NoKey(f"key: there is none in {home}; create one with `python -m mining.node init`")
    keystore: dict[str, str] = json.loads(path.read_text())
    return keystore


def _kept_password(home: Path) -> str:
    path = home / PASSWORD
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically. Only its owner may read it."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text)
    with part.open() as file:
        os.fsync(file.fileno())
    part.rename(path)
