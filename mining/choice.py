"""Which miners a task gets: a draw weighted by reputation, the same for the same seed."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

MIN_REPUTATION = -100
"""The lowest reputation that NodePool keeps."""


@dataclass(frozen=True)
class Candidate:
    """A miner that could take a task now. `address` is lower-case hex."""

    address: str
    reputation: int
    dedicated: bool = False


def choose_miners(candidates: Sequence[Candidate], count: int, seed: bytes) -> list[Candidate]:
    """Draw `count` miners without replacement, dedicated ones before all others.

    A miner's chance is proportional to its weight (see `weight`). The draw depends on the set of
    candidates and the seed only. Fewer than `count` come back when there are not enough.
    """
    return sorted(
        candidates,
        key=lambda c: (not c.dedicated, _key(seed, c.address, weight(c)), c.address),
    )[:count]


def weight(candidate: Candidate) -> int:
    """At least 1: a miner that has lost its reputation can still win it back, slowly."""
    return 1 + max(0, candidate.reputation - MIN_REPUTATION)


def _key(seed: bytes, address: str, weight: int) -> float:
    # Efraimidis–Spirakis: the smallest of Exp(weight) draws is a draw weighted by `weight`, and
    # the order of all of them is one without replacement. The noise is a keyed hash.
    digest = hashlib.blake2b(address.encode(), key=seed, digest_size=8).digest()
    uniform = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)
    return -math.log(uniform) / weight
