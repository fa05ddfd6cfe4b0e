"""The contracts have every name, type and event of the network's published ABI."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
PUBLISHED = ("Session", "SessionQueue", "Cognitive")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_signatures_are_kept_to_the_letter(name: str) -> None:
    published = {
        normalised(line)
        for line in (CONTRACTS / "reference" / f"{name}.abi.txt").read_text().splitlines()
        if line.strip()
    }
    assert len(published) > 30
    assert published - signatures(name) == set()


@pytest.mark.parametrize("name", PUBLISHED)
def test_functions_keep_their_parameter_names(name: str) -> None:
    """Clients pass arguments by name, so named arguments need the published names."""
    ours = {signature_of(item): item for item in abi(name) if item["type"] == "function"}
    for line in (CONTRACTS / "reference" / f"{name}.abi.txt").read_text().splitlines():
        item = ours.get(normalised(line))
        if item is None:
            continue
        published = re.search(r"\((.*?)\)", line)
        assert published is not None
        names = [part.split()[1] for part in published[1].split(",") if len(part.split()) > 1]
        if names:
            assert [given["name"] for given in item["inputs"]] == names, line


def normalised(line: str) -> str:
    """Return a line of the published ABI without parameter names.

    For example: `function f(uint256) view returns (bool)`.
    """
    nameless = re.sub(r"(?<=[\w\])]) (?!indexed\b|view\b|pure\b|returns\b)\w+(?=[,)])", "", line)
    return nameless.strip().replace(", ", ",").replace("tuple(", "(")


def signatures(name: str) -> set[str]:
    return {signature_of(item) for item in abi(name) if item["type"] in ("function", "event")}


def signature_of(item: dict[str, Any]) -> str:
    inputs = ",".join(
        type_of(given) + (" indexed" if given.get("indexed") else "") for given in item["inputs"]
    )
    text = f"{item['type']} {item['name']}({inputs})"
    if item.get("stateMutability") in ("view", "pure"):
        text += f" {item['stateMutability']}"
    if item.get("outputs"):
        text += f" returns ({','.join(type_of(output) for output in item['outputs'])})"
    return text


def type_of(item: dict[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return str(item["type"])
    members = ",".join(type_of(member) for member in item["components"])
    return f"({members}){item['type'].removeprefix('tuple')}"


def abi(name: str) -> list[dict[str, Any]]:
    artifact = json.loads((CONTRACTS / "abi" / f"{name}.json").read_text())
    items: list[dict[str, Any]] = artifact["abi"]
    return items
