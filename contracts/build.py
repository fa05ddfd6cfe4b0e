"""Compile the contracts, and write what Python and their tests need of them to `contracts/abi/`.

The compiler is JavaScript and takes minutes. So `contracts/abi/SOURCES` says by digests what the
files beside it were compiled from, and what they are. `python contracts/build.py` compiles and
writes; with `--check` it compares digests, in a second; with `--prove` it compiles and compares
every byte. Both fail when a checked-in file is not what the sources give.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "contracts" / "out" / "deployed"
ABI = ROOT / "contracts" / "abi"
SOURCES = "SOURCES"
PACKAGES = ("@foundry-rs/forge", "@openzeppelin/contracts", "solc")
"""The packages that have a part in the bytecode."""
OF_TESTS = ("fuzz", "invariant", "fs_permissions", "snapshots", "test", "test_failures_file")
"""Settings of forge that have none."""
_PARTS = re.compile(
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(//[^\n]*|/\*.*?\*/)|[^"'/]+|/""", re.DOTALL
)
"""A string, a comment, or code."""
CONTRACTS = (
    *("Roles", "CortensorToken", "NodePool", "SessionPayment"),
    *("OverdueTasks", "SessionQueue", "SessionViews", "Session"),
    *("NodeStats", "NodeReputation", "NetworkRewards", "NetworkViews", "Cognitive"),
)
ALSO_ANSWERS = {
    "SessionQueue": "OverdueTasks",
    "Session": "SessionViews",
    "Cognitive": "NetworkViews",
}
"""Whose functions a contract runs beside its own (by delegatecall): clients ask it for both."""
OLDER = {("Session", "create", 9), ("Session", "submit", 7)}
"""Functions of the interface of 2025, by how many parameters they have. They are left out of the
ABI: with both forms of `submit` in it, ethers cannot tell seven arguments and a transaction's
options from eight arguments. Clients of that time bring reference/Session2025.abi.txt."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Compile the contracts into contracts/abi.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="compare digests with what is checked in")
    how.add_argument("--prove", action="store_true", help="compile, and compare every byte")
    given = parser.parse_args()
    if given.check:
        return report(stale_digests(ROOT))
    compile_sources()
    files = {f"{name}.json": artifact(name) for name in CONTRACTS}
    if given.prove:
        changed = [name for name, text in files.items() if not is_in(ABI / name, text)]
        return report([*(f"contracts/abi/{name}" for name in changed), *stale_digests(ROOT)])
    ABI.mkdir(exist_ok=True)
    for name, text in files.items():
        write(ABI / name, text)
    write(ABI / SOURCES, digests(ROOT))
    return 0


def report(stale: list[str]) -> int:
    for what in stale:
        print(f"{what}: contracts/abi is not what the sources give: run make contracts")
    return 1 if stale else 0


def compile_sources() -> None:
    """Build `contracts/src` alone, since tests are no part of what is deployed.

    And from nothing: the compiler numbers what it is given, and bytecode depends on the numbers.
    """
    forge = [sys.executable, ROOT / "contracts" / "forge.py"]
    subprocess.run(
        [*forge, "build", "--force", "contracts/src"],
        cwd=ROOT,
        env=os.environ | {"FOUNDRY_PROFILE": "deployed"},
        check=True,
        stdout=sys.stderr,
    )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def code_of(source: str) -> str:
    """A source without its comments and line breaks, which leave the bytecode as it is."""
    return "".join(
        f" {part[1]} " if part[1] else "" if part[2] else " ".join(part[0].split())
        for part in _PARTS.finditer(source)
    )


def is_in(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def write(path: Path, text: str) -> None:
    if not is_in(path, text):
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


def stale_digests(root: Path) -> list[str]:
    """What has changed since `contracts/abi` was written: a source, a setting, or a file there."""
    recorded = root / "contracts" / "abi" / SOURCES
    before = set(recorded.read_text().splitlines()) if recorded.exists() else set()
    return sorted({line.split("  ", 1)[1] for line in before ^ set(digests(root).splitlines())})


def digests(root: Path) -> str:
    """A line each for what the checked-in files were compiled from, and for these files."""
    return "".join(f"{digest}  {what}\n" for what, digest in sorted(digested(root)))


def digested(root: Path) -> Iterator[tuple[str, str]]:
    for path in root.glob("contracts/src/**/*.sol"):
        yield str(path.relative_to(root)), sha256(code_of(path.read_text()))
    for path in (*root.glob("contracts/abi/*.json"), root / "contracts" / "solc"):
        yield str(path.relative_to(root)), sha256(path.read_text())
    profiles = tomllib.loads((root / "foundry.toml").read_text())["profile"]
    settings = {
        name: value
        for name, value in (profiles["default"] | profiles["deployed"]).items()
        if name not in OF_TESTS
    }
    yield "foundry.toml: profile deployed", sha256(json.dumps(settings, sort_keys=True))
    locked = json.loads((root / "package-lock.json").read_text())["packages"]
    for package in PACKAGES:
        yield f"package {package}", locked[f"node_modules/{package}"]["integrity"]


def artifact(name: str) -> str:
    """The checked-in form: one item of the ABI a line, so that a change reads well in a diff."""
    built = forge_artifact(name)
    interface = [
        json.dumps(item, sort_keys=True) for item in built["abi"] if not is_older(name, item)
    ]
    if name in ALSO_ANSWERS:
        others = (item for item in forge_artifact(ALSO_ANSWERS[name])["abi"])
        texts = (json.dumps(item, sort_keys=True) for item in others if item["type"] in SHARED)
        interface += [text for text in texts if text not in interface]
    # Of overloads the text decides, so that the order is the same on every machine.
    items = sorted(interface, key=lambda text: (json.loads(text)["type"], name_in(text), text))
    lines = ",\n    ".join(items)
    bytecode = built["bytecode"]["object"]
    return (
        f'{{\n  "contractName": "{name}",\n  "abi": [\n    {lines}\n  ],\n'
        f'  "bytecode": "{bytecode}"\n}}\n'
    )


SHARED = ("function", "event", "error")


def is_older(contract: str, item: Any) -> bool:
    return (contract, item.get("name"), len(item.get("inputs", ()))) in OLDER


def forge_artifact(name: str) -> Any:
    return json.loads((OUT / f"{name}.sol" / f"{name}.json").read_text())


def name_in(item: str) -> str:
    return str(json.loads(item).get("name", ""))


if __name__ == "__main__":
    sys.exit(main())
