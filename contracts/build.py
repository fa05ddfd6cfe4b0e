"""Compile the contracts and write what Python needs of them to `contracts/abi/`.

`python contracts/build.py` writes; with `--check` it only compares, and fails when a checked-in
file is not what the sources give.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "contracts" / "out"
ABI = ROOT / "contracts" / "abi"
CONTRACTS = (
    *("Roles", "CortensorToken", "NodePool", "SessionPayment", "SessionQueue", "Session"),
    *("NodeStats", "NodeReputation", "NetworkRewards", "Cognitive"),
)


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
    forge = ROOT / "node_modules" / ".bin" / "forge"
    if not forge.exists():
        raise SystemExit("forge is not installed: run npm ci")
    subprocess.run([forge, "build", "contracts/src"], cwd=ROOT, check=True, stdout=sys.stderr)


def up_to_date(name: str) -> bool:
    path = path_of(name)
    return path.exists() and path.read_text() == artifact(name)


def artifact(name: str) -> str:
    """The checked-in form: one item of the ABI a line, so that a change reads well in a diff."""
    built = json.loads((OUT / f"{name}.sol" / f"{name}.json").read_text())
    items = sorted(built["abi"], key=lambda item: (item["type"], item.get("name", "")))
    lines = ",\n    ".join(json.dumps(item, sort_keys=True) for item in items)
    bytecode = built["bytecode"]["object"]
    return (
        f'{{\n  "contractName": "{name}",\n  "abi": [\n    {lines}\n  ],\n'
        f'  "bytecode": "{bytecode}"\n}}\n'
    )


def path_of(name: str) -> Path:
    return ABI / f"{name}.json"


if __name__ == "__main__":
    sys.exit(main())
