"""Run forge: `python contracts/forge.py test --offline`, and end as it ends.

The wrapper that npm puts into `node_modules/.bin` exits with 0 whatever forge says, so that a
failed test would pass for a good one.
"""

import os
import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent / "node_modules" / "@foundry-rs"


def main() -> None:
    binary = next(PACKAGES.glob("forge-*/bin/forge*"), None)
    if binary is None:
        raise SystemExit("forge is not installed: run npm ci")
    os.execv(binary, [str(binary), *sys.argv[1:]])  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main()
