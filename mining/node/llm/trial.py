"""How a model runs on this machine, tried once it is loaded."""

import os
import time

from mining.node.llm.llama import Context, Run

_TOGETHER, _TRIALS = 4, 3
LONG_STEP_S = 0.05
"""Threads that wait for each other a few hundred times do not show in a step that takes so long."""
WORTH_IT = 1.1
"""Twice the threads have to make a step so many times as fast, or others need them more."""


def fastest_threads(context: Context, slots: int) -> int:
    """With how many threads, of as many as there are processors, a step is fastest.

    Of a small model it is one: threads wait for each other longer than they compute. The context
    has to be empty, and is left so.
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
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_faster_apart(context: Context, slots: int) -> bool:
    """Whether a few sequences take longer together than one after another.

    That depends on the model's format, the processor and the number of threads. The context has
    to be empty, and is left so.
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
