"""Solidity tests name every custom error and every function of the contracts."""

import json
import re
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
ABIS = sorted((CONTRACTS / "abi").glob("*.json"))
OPENZEPPELIN = {"CortensorToken", "Roles"}
"""Contracts whose functions are almost all OpenZeppelin's, which tests its own."""


def test_every_custom_error_is_expected_by_a_test() -> None:
    declared = set(re.findall(r"^\s*error (\w+)\(", text_of("src"), re.MULTILINE))
    expected = set(re.findall(r"\.(\w+)\.selector\b", text_of("test")))
    assert len(declared) > 60
    assert sorted(declared - expected) == [], "no test expects these errors"


def test_every_function_is_called_by_a_test() -> None:
    functions = {
        item["name"]
        for path in ABIS
        if path.stem not in OPENZEPPELIN
        for item in json.loads(path.read_text())["abi"]
        if item["type"] == "function"
        and not is_constant(item["name"])
        and not is_inherited(item["name"])
    }
    called = set(re.findall(r"\.(\w+)(?:\{[^}]*\})?(?:\(|\.selector\b)", text_of("test")))
    called |= set(re.findall(r"encodeCall\(\w+\.(\w+)\b", text_of("test")))
    assert len(functions) > 150
    assert sorted(functions - called) == [], "no test calls these functions"


def is_constant(name: str) -> bool:
    return name.isupper()


def is_inherited(name: str) -> bool:
    """Return whether a function is OpenZeppelin's and so is missing in our sources."""
    return not re.search(rf"\b{name}\b", text_of("src"))


def text_of(folder: str) -> str:
    sources = sorted((CONTRACTS / folder).rglob("*.sol"))
    return "\n".join(source.read_text() for source in sources)
