"""Which miners a task gets: a draw weighted by reputation and speed, the same for the same seed."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIN_REPUTATION = -100
"""The lowest reputation that NodePool keeps."""
SPEED_FACTOR = 2.0
"""How much speed can raise or lower a chance. Miners tell it of themselves: a lie gains no more."""
LOADING_FACTOR = 0.25
"""The chance of a miner that has the model on disk, against one that has it in memory."""


@dataclass(frozen=True)
class Candidate:
    """A miner that could take a task now. `address` is lower-case hex.

    `speed` is the tokens a second that it says to make with the task's model, 0 when it does not
    know yet, and None when it would have to load the model first.
    """

    address: str
    reputation: int
    dedicated: bool = False
    speed: float | None = 0.0


def choose_miners(candidates: Sequence[Candidate], count: int, seed: bytes) -> list[Candidate]:
    """Draw `count` miners without replacement, dedicated ones before all others.

    A miner's chance is proportional to its weight (see `weight`) and its readiness (see
    `readiness`). The draw depends on the set of candidates and the seed only. Fewer than `count`
    come back when there are not enough.
    """
    speeds = [c.speed for c in candidates if c.speed]
    usual = median(speeds) if speeds else 0.0
    return sorted(
        candidates,
        key=lambda c: (
            not c.dedicated,
            _key(seed, c.address, weight(c) * readiness(c, usual)),
            c.address,
        ),
    )[:count]


def readiness(candidate: Candidate, usual_speed: float) -> float:
    """How soon a miner is done, as a factor of its chance; 1 for the usual speed."""
    if candidate.speed is None:
        return LOADING_FACTOR
    if not candidate.speed or not usual_speed:
        return 1.0
    return min(max(candidate.speed / usual_speed, 1 / SPEED_FACTOR), SPEED_FACTOR)


def weight(candidate: Candidate) -> int:
    """At least 1: a miner that has lost its reputation can still win it back, slowly."""
    return 1 + max(0, candidate.reputation - MIN_REPUTATION)


def _key(seed: bytes, address: str, weight: float) -> float:
    # Efraimidis–Spirakis: the smallest of Exp(weight) draws is a draw weighted by `weight`, and
    # the order of all of them is one without replacement. The noise is a keyed hash.
    digest = hashlib.blake2b(address.encode(), key=seed, digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -math.log(uniform) / weight
