"""Which of this machine's processors do what (Linux)."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processors:
    """Those of the miners, or of the engines that they are compared with, and those of the rest."""

    miners: frozenset[int]
    rest: frozenset[int]


def shared() -> Processors:
    """All of them for everybody."""
    everyone = frozenset(os.sched_getaffinity(0))
    return Processors(everyone, everyone)


def apart() -> Processors:
    """Half of them for each side; a lone processor is shared."""
    everyone = sorted(os.sched_getaffinity(0))
    half = len(everyone) // 2
    if not half:
        return shared()
    return Processors(frozenset(everyone[:half]), frozenset(everyone[half:]))


def confine(pid: int, processors: Collection[int]) -> None:
    """Have all threads of a process, and whatever they start, run on these processors alone."""
    confined: set[str] = set()
    # Again, for those that a thread which was not yet confined has started meanwhile.
    while found := {thread.name for thread in Path(f"/proc/{pid}/task").iterdir()} - confined:
        for thread in found:
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(int(thread), processors)
        confined |= found
