"""Distributes this machine's processors to the parts of a benchmark (Linux)."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Processors:
    """The processors of the miners, or of the engines in their place, and those of the rest."""

    miners: frozenset[int]
    rest: frozenset[int]


def shared() -> Processors:
    """Let both sides use all processors."""
    everyone = frozenset(os.sched_getaffinity(0))
    return Processors(everyone, everyone)


def apart() -> Processors:
    """Give half of the processors to each side. A single processor is shared."""
    everyone = sorted(os.sched_getaffinity(0))
    half = len(everyone) // 2
    if not half:
        return shared()
    return Processors(frozenset(everyone[:half]), frozenset(everyone[half:]))


def confine(pid: int, processors: Collection[int]) -> None:
    """Confine a process to some processors: its threads, and all that they start later."""
    confined: set[str] = set()
    # Repeat this, since a thread that was not confined yet may have started others.
    while found := {thread.name for thread in Path(f"/proc/{pid}/task").iterdir()} - confined:
        for thread in found:
            with suppress(ProcessLookupError):  # the thread has just ended
                os.sched_setaffinity(int(thread), processors)
        confined |= found
