"""Measures how a model runs best on this machine, once it is loaded."""

import os
import time

from mining.node.llm.llama import Context, Run

_TOGETHER, _TRIALS = 4, 3
LONG_STEP_S = 0.05
"""In a step that takes this long, the waiting of threads for each other is negligible."""
WORTH_IT = 1.1
"""Twice the threads must make a step this many times faster.

Otherwise the processors are of more use to other processes.
"""


def fastest_threads(context: Context, slots: int) -> int:
    """Return the number of threads with which a step is fastest, and make the context use it.

    The result is at most the number of processors. For a small model it is 1, since threads wait
    for each other longer than they compute. The context must be empty, and is empty afterwards.
    """
    threads = processors()
    runs = [Run(slot, 0, [0], outputs=1) for slot in range(min(_TOGETHER, slots))]
    fastest_s = _time_with(context, threads, runs)
    fewer = threads // 2
    while fewer and fastest_s < LONG_STEP_S:
        seconds = _time_with(context, fewer, runs)
        if seconds < fastest_s * WORTH_IT:
            threads, fastest_s = fewer, seconds
        fewer //= 2
    context.use_threads(threads)
    return threads


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_faster_apart(context: Context, slots: int) -> bool:
    """Tell whether a few sequences take longer in one batch than one after another.

    This depends on the model's format, the processor and the number of threads. The context must
    be empty, and is empty afterwards.
    """
    together = [Run(slot, 0, [0], outputs=1) for slot in range(min(_TOGETHER, slots))]
    lone_s, together_s = (_best_time(context, runs) for runs in (together[:1], together))
    return together_s > len(together) * lone_s


def _time_with(context: Context, threads: int, runs: list[Run]) -> float:
    context.use_threads(threads)
    return _best_time(context, runs)


def _best_time(context: Context, runs: list[Run]) -> float:
    return min(_time(context, runs) for _ in range(_TRIALS))


def _time(context: Context, runs: list[Run]) -> float:
    started = time.perf_counter()
    context.decode(runs)
    taken = time.perf_counter() - started
    for run in runs:
        context.cut(run.sequence, 0)
    return taken
