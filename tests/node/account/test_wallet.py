"""The miner's key."""

import stat
from pathlib import Path

import pytest

from chain.protocol.messages import Ack, SigningDomain, recover
from mining.node.account.wallet import KEYSTORE, PASSWORD, NoKey, Wallet, WrongPassword, address_in


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    made = Wallet.create_or_open(tmp_path / "home")
    found = Wallet.create_or_open(tmp_path / "home")
    assert made.address == found.address == address_in(tmp_path / "home")


def test_only_its_owner_reads_the_key_and_its_password(tmp_path: Path) -> None:
    Wallet.create_or_open(tmp_path / "home")
    for name in (KEYSTORE, PASSWORD):
        assert stat.S_IMODE((tmp_path / "home" / name).stat().st_mode) == 0o600


def test_the_key_is_not_in_the_file(tmp_path: Path) -> None:
    wallet = Wallet.create_or_open(tmp_path, "secret")
    assert wallet._account.key.hex() not in (tmp_path / KEYSTORE).read_text()
    assert not (tmp_path / PASSWORD).exists()


def test_a_password_is_needed_and_has_to_be_the_right_one(tmp_path: Path) -> None:
    made = Wallet.create_or_open(tmp_path, "secret")
    assert Wallet.open(tmp_path, "secret").address == made.address
    for password in ("wrong", None):
        with pytest.raises(WrongPassword, match="password:"):
            Wallet.open(tmp_path, password)


def test_without_a_key_there_is_advice(tmp_path: Path) -> None:
    with pytest.raises(NoKey, match="init"):
        Wallet.open(tmp_path)


def test_signatures_are_the_wallets_and_repeatable(tmp_path: Path) -> None:
    wallet = Wallet.create_or_open(tmp_path)
    ack = Ack(1, 2, bytes(32), wallet.address)
    domain = SigningDomain(1, "0x" + "11" * 20)
    signature = wallet.sign(ack, domain)
    assert recover(ack, domain, signature) == wallet.address
    assert signature == wallet.sign(ack, domain)
