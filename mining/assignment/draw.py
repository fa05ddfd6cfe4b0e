"""Draws a task's miners, weighted by reputation and speed. The same seed gives the same draw."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIN_REPUTATION = -100
"""The lowest reputation that the contract NodePool stores."""
SPEED_FACTOR = 2.0
"""The most by which speed multiplies or divides a miner's chance.

Miners report their own speed; the factor limits what a miner gains by a false report.
"""
LOADING_FACTOR = 0.25
"""The factor for a miner that has the model on disk only, not in memory."""


@dataclass(frozen=True)
class Candidate:
    """A miner that could take a task now.

    Args:
        address: the miner's address in lower-case hex.
        reputation: the miner's reputation on chain.
        dedicated: whether the miner belongs to the task's session.
        speed: tokens per second with the task's model, as the miner reports it. 0 if the miner has
            not measured it, None if the miner has to load the model first.
    """

    address: str
    reputation: int
    dedicated: bool = False
    speed: float | None = 0.0


def choose_miners(candidates: Sequence[Candidate], count: int, seed: bytes) -> list[Candidate]:
    """Draw `count` miners without replacement, dedicated miners before all others.

    A miner's chance is proportional to its `weight` and its `readiness`. The draw depends only on
    the set of candidates and the seed. If there are fewer candidates than `count`, all are
    returned.
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
    """Return the factor by which a miner's speed changes its chance; 1 for the usual speed.

    Args:
        candidate: the miner.
        usual_speed: the median of the candidates' speeds, or 0 if none is known.
    """
    if candidate.speed is None:
        return LOADING_FACTOR
    if not candidate.speed or not usual_speed:
        return 1.0
    return min(max(candidate.speed / usual_speed, 1 / SPEED_FACTOR), SPEED_FACTOR)


def weight(candidate: Candidate) -> int:
    """Return the weight of a miner's reputation.

    The weight is at least 1, so a miner with the lowest reputation still gets tasks and can win its
    reputation back.
    """
    return 1 + max(0, candidate.reputation - MIN_REPUTATION)


def _key(seed: bytes, address: str, weight: float) -> float:
    # Efraimidis–Spirakis: sorting by samples of Exp(weight) gives a weighted draw without
    # replacement. A keyed hash is the source of the samples.
    digest = hashlib.blake2b(address.encode(), key=seed, digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -math.log(uniform) / weight
