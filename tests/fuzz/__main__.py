"""`make fuzz-engine`: runs hostile input for some time, and reports whether a process died."""

import argparse
import os
import sys

from tests.fuzz.campaign import KINDS, Campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FUZZ_S", "600")))
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--case", help="one case again, as in grammar:17")
    given = parser.parse_args()
    with Campaign() as campaign:
        if given.case:
            kind, _, number = given.case.partition(":")
            print(campaign.run(kind, int(number)))
        else:
            print(f"seed {given.seed}, {given.seconds:.0f} s, kinds: {', '.join(KINDS)}")
            campaign.run_for(given.seconds, given.seed)
        print(campaign.table())
    return 1 if campaign.died or campaign.hung or campaign.unnamed else 0


if __name__ == "__main__":
    sys.exit(main())
