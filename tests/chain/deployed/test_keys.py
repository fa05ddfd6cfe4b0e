"""Keystores are encrypted, and only their password opens them."""

from pathlib import Path

import pytest

from chain.deployed.keys import KeystoreError, load, load_or_create


def test_a_key_is_made_once_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "router.json"
    made = load_or_create(path, "right")
    assert load_or_create(path, "right").key == made.key
    assert load(path, "right").address == made.address
    assert made.key.hex().removeprefix("0x") not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_another_password_does_not_open_it(tmp_path: Path) -> None:
    load_or_create(tmp_path / "router.json", "right")
    with pytest.raises(KeystoreError, match=r"password.*router\.json"):
        load(tmp_path / "router.json", "wrong")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"router\.json"):
        load(tmp_path / "router.json", "any")
