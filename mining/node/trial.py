"""How a model runs on this machine, tried once it is loaded."""

import time

from mining.node.llama import Context, Run

_TOGETHER, _TRIALS = 4, 3


def is_faster_apart(context: Context, slots: int) -> bool:
    """Whether a few sequences take longer together than one after another.

    That depends on the model's format, the processor and the number of threads. The context has
    to be empty, and is left so.
    """
    together = [Run(slot, 0, [0], wants_logits=True) for slot in range(min(_TOGETHER, slots))]
    lone_s, together_s = (
        min(_time(context, runs) for _ in range(_TRIALS)) for runs in (together[:1], together)
    )
    return together_s > len(together) * lone_s


def _time(context: Context, runs: list[Run]) -> float:
    started = time.perf_counter()
    context.decode(runs)
    taken = time.perf_counter() - started
    for run in runs:
        context.cut(run.sequence, 0)
    return taken
