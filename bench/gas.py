"""The gas of a task, by stage, redundancy and the way its operations are sent.

Forge's tests (`contracts/test/Gas.t.sol`) measure the gas. They run again here and must reproduce
the figures in `contracts/gas/`, since gas does not depend on the machine. The figures include the
transactions of the miners and the validator, and the 21,000 gas and the calldata of every
transaction.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.report import publish

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOTS = ROOT / "contracts" / "gas"
REDUNDANCIES = (1, 3, 5)
WAYS = ("b1", "b10", "b50", "direct")
RATIOS = ("r3_b50", "r3_b1", "r3_direct", "r1_b50", "r5_b50")


def main() -> int:
    measured = subprocess.run(
        [sys.executable, ROOT / "contracts/forge.py", "test", "--offline"]
        + ["--match-contract", "GasTest"],
        cwd=ROOT,
        env=os.environ | {"FORGE_SNAPSHOT_CHECK": "true"},
        stdout=sys.stderr,
        check=False,
    )
    if measured.returncode:
        print("the gas has changed: run forge test and check contracts/gas", file=sys.stderr)
        return measured.returncode
    cases = [f"r{redundancy}_{way}" for redundancy in REDUNDANCIES for way in WAYS]
    figures = {case: figures_of(case) for case in cases}
    stages = list(figures[cases[0]])
    rows = [[case, *(f"{figures[case][stage]:,}" for stage in stages)] for case in cases]
    ratios = {f"gas_{case}": float(figures[case]["total"]) for case in RATIOS}
    publish("gas", ["redundancy and batch", *stages], rows, ratios)
    return 0


def figures_of(case: str) -> dict[str, int]:
    """Return the gas of one task by stage, with its total."""
    stages = json.loads((SNAPSHOTS / f"{case}.json").read_text())
    return {stage: int(gas) for stage, gas in stages.items()}


if __name__ == "__main__":
    sys.exit(main())
