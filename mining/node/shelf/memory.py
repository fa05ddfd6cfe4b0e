"""How much memory a model takes, known before it is loaded, and how much there is."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mining.node.errors import NodeError
from mining.node.llm.llama import Model

CACHE_VALUE_BYTES = 2
"""The cache holds half floats."""
LOGIT_BYTES = 4
OVERHEAD_BYTES = 4 * 2**20
"""Of llama.cpp itself, for each model."""


class NotEnoughMemory(NodeError):
    """A model takes more than it may have."""


def needed_bytes(model: Model, *, slots: int, context_tokens: int, batch_tokens: int) -> int:
    """About what a model takes once it is loaded: its file, its cache, and room to compute in.

    Args:
        model: its vocabulary is enough.
        context_tokens: what one of its `slots` holds.
    """
    cells = slots * context_tokens
    return (
        OVERHEAD_BYTES
        + model.path.stat().st_size
        + cells * cell_bytes(model)
        + batch_tokens * (model.vocabulary_size * LOGIT_BYTES + _scratch_bytes(model))
    )


def cell_bytes(model: Model) -> int:
    """What one token takes in the cache: a key and a value a layer."""
    heads = model.hyperparameter("attention.head_count", 1)
    width = model.hyperparameter("embedding_length", 0) // heads
    key = model.hyperparameter("attention.key_length", width)
    value = model.hyperparameter("attention.value_length", width)
    kept_heads = model.hyperparameter("attention.head_count_kv", heads)
    layers = model.hyperparameter("block_count", 0)
    return layers * kept_heads * (key + value) * CACHE_VALUE_BYTES


def available_bytes() -> int | None:
    """What may still be taken of this machine, or of the container that this is; None if unknown.

    A GPU's memory is not in it.
    """
    return min(_limits(), default=None)


def in_mib(size: int) -> str:
    """A size as people read it."""
    return f"{size / 2**20:,.0f} MiB"


def _scratch_bytes(model: Model) -> int:
    """A token's activations on its way through a layer, which are reused by the next one."""
    width = model.hyperparameter("embedding_length", 0)
    return 4 * (4 * width + 2 * model.hyperparameter("feed_forward_length", 4 * width))


def _limits() -> Iterator[int]:
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known = dict(line.split(":") for line in lines)
        yield int(known["MemAvailable"].split()[0]) * 1024
    with suppress(OSError, ValueError):  # "max" where there is no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        yield max(0, limit - int((group / "memory.current").read_text()))
