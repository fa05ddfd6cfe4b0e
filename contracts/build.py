"""Compile the contracts and write what Python needs of them to `contracts/abi/`.

`python contracts/build.py` writes; with `--check` it only compares, and fails when a checked-in
file is not what the sources give.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "contracts" / "out"
ABI = ROOT / "contracts" / "abi"
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
    parser.add_argument("--check", action="store_true", help="only compare with what is checked in")
    check = parser.parse_args().check
    compile_sources()
    stale = [name for name in CONTRACTS if not up_to_date(name)]
    if check:
        for name in stale:
            print(f"contracts/abi/{name}.json is not what the sources give: run make contracts")
        return 1 if stale else 0
    ABI.mkdir(exist_ok=True)
    for name in stale:
        path_of(name).write_text(artifact(name))
        print(f"wrote contracts/abi/{name}.json")
    return 0


def compile_sources() -> None:
    """Build `contracts/src` alone, since tests are no part of what is deployed."""
    forge = [sys.executable, ROOT / "contracts" / "forge.py"]
    subprocess.run([*forge, "build", "contracts/src"], cwd=ROOT, check=True, stdout=sys.stderr)


def up_to_date(name: str) -> bool:
    path = path_of(name)
    return path.exists() and path.read_text() == artifact(name)


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


def path_of(name: str) -> Path:
    return ABI / f"{name}.json"


if __name__ == "__main__":
    sys.exit(main())
