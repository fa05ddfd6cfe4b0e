"""What is checked in under `contracts/abi` is held to its sources, without compiling them."""

import json
from pathlib import Path

import pytest

from contracts.build import ABI, CONTRACTS, PACKAGES, ROOT, SOURCES, digests, stale_digests

SETTINGS = """
[profile.default]
via_ir = true
optimizer = false
[profile.default.fuzz]
runs = 256
[profile.deployed]
optimizer = true
"""
ESCROW = "contracts/src/money/Escrow.sol"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one contract, whose digests have just been written."""
    locked = {f"node_modules/{name}": {"integrity": f"sha512-{name}"} for name in PACKAGES}
    for name, text in {
        ESCROW: "contract Escrow {}",
        "contracts/abi/Escrow.json": "{}",
        "contracts/solc": "#!/usr/bin/env node",
        "foundry.toml": SETTINGS,
        "package-lock.json": json.dumps({"packages": locked}),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "contracts/abi" / SOURCES).write_text(digests(tmp_path))
    return tmp_path


def test_nothing_is_stale_after_it_was_written(root: Path) -> None:
    assert stale_digests(root) == []


@pytest.mark.parametrize("name", ["contracts/abi/Escrow.json", "contracts/solc"])
def test_a_changed_file_is_stale(root: Path, name: str) -> None:
    path = root / name
    path.write_text(path.read_text() + " ")
    assert stale_digests(root) == [name]


@pytest.mark.parametrize(
    "text", ["contract\n  Escrow {}", "/// @title Money\ncontract Escrow {} // in */ trust"]
)
def test_other_words_about_a_source_are_not(root: Path, text: str) -> None:
    (root / ESCROW).write_text(text)
    assert stale_digests(root) == []


@pytest.mark.parametrize(
    "text", ["contract Escrow { string a = 'b  //c'; }", "contract Escrow2 {}"]
)
def test_a_string_is_no_word_about_it(root: Path, text: str) -> None:
    (root / ESCROW).write_text(text)
    (root / "contracts/abi" / SOURCES).write_text(digests(root))
    (root / ESCROW).write_text(text.replace("//c", "//d").replace("2", "3"))
    assert stale_digests(root) == [ESCROW]


def test_a_source_that_came_or_went_is_stale(root: Path) -> None:
    (root / ESCROW).rename(root / "contracts/src/money/Vault.sol")
    assert stale_digests(root) == [ESCROW, "contracts/src/money/Vault.sol"]


@pytest.mark.parametrize("setting", ["via_ir = false", 'evm_version = "cancun"'])
def test_another_setting_of_the_compiler_is_stale(root: Path, setting: str) -> None:
    (root / "foundry.toml").write_text(f"{SETTINGS}{setting}\n")
    assert stale_digests(root) == ["foundry.toml: profile deployed"]


def test_a_setting_of_the_tests_is_none_of_the_compilers(root: Path) -> None:
    (root / "foundry.toml").write_text(SETTINGS.replace("256", "1"))
    assert stale_digests(root) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_another_version_of_a_package_is_stale(root: Path, package: str) -> None:
    lock = root / "package-lock.json"
    lock.write_text(lock.read_text().replace(f"sha512-{package}", "sha512-another"))
    assert stale_digests(root) == [f"package {package}"]


def test_without_digests_everything_is_stale(root: Path) -> None:
    (root / "contracts/abi" / SOURCES).unlink()
    assert ESCROW in stale_digests(root)


def test_what_is_checked_in_says_of_what_it_was_made() -> None:
    assert stale_digests(ROOT) == []
    assert {path.stem for path in ABI.glob("*.json")} == set(CONTRACTS)
