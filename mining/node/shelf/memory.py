"""Estimates how much memory a model will take, and how much is available."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mining.node.errors import NodeError
from mining.node.llm.llama import Model

CACHE_VALUE_BYTES = 2
"""The size of a number in the cache, which holds half-precision floats."""
LOGIT_BYTES = 4
OVERHEAD_BYTES = 4 * 2**20
"""What llama.cpp itself takes for each model."""


class NotEnoughMemory(NodeError):
    """A model takes more memory than the budget allows."""


def needed_bytes(model: Model, *, slots: int, context_tokens: int, batch_tokens: int) -> int:
    """Estimate the memory that a loaded model takes: its file, its cache and its work space.

    Args:
        model: the model. It may be loaded without its weights.
        slots: how many sequences the cache holds.
        context_tokens: how many tokens each slot holds.
        batch_tokens: the most tokens in a batch.
    """
    cells = slots * context_tokens
    return (
        OVERHEAD_BYTES
        + model.path.stat().st_size
        + cells * cell_bytes(model)
        + batch_tokens * (model.vocabulary_size * LOGIT_BYTES + _scratch_bytes(model))
    )


def cell_bytes(model: Model) -> int:
    """Return what a token takes in the cache: a key and a value for each layer."""
    heads = model.hyperparameter("attention.head_count", 1)
    width = model.hyperparameter("embedding_length", 0) // heads
    key = model.hyperparameter("attention.key_length", width)
    value = model.hyperparameter("attention.value_length", width)
    kept_heads = model.hyperparameter("attention.head_count_kv", heads)
    layers = model.hyperparameter("block_count", 0)
    return layers * kept_heads * (key + value) * CACHE_VALUE_BYTES


def available_bytes() -> int | None:
    """Return the free memory of this machine, or of the container that the process runs in.

    Return None if it is unknown. A GPU's memory does not count.
    """
    return min(_limits(), default=None)


def in_mib(size: int) -> str:
    """Format a number of bytes in MiB."""
    return f"{size / 2**20:,.0f} MiB"


def _scratch_bytes(model: Model) -> int:
    """Return the size of a token's activations in a layer. The next layer reuses their memory."""
    width = model.hyperparameter("embedding_length", 0)
    return 4 * (4 * width + 2 * model.hyperparameter("feed_forward_length", 4 * width))


def _limits() -> Iterator[int]:
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known = dict(line.split(":") for line in lines)
        yield int(known["MemAvailable"].split()[0]) * 1024
    with suppress(OSError, ValueError):  # the file says "max" if there is no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        yield max(0, limit - int((group / "memory.current").read_text()))
