"""Texts to vectors, by a model whose weights are in memory anyway, in a context of their own."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mining.node.llm.llama import Context, Model, Run

SEQUENCES = 16
"""The most texts that are read at once."""

Vector = npt.NDArray[np.float32]


class Embedder:
    """Embeds token sequences. It belongs to one thread.

    A model that is made to embed pools as it says of itself. Of any other, the vector is the mean
    of what its last layer says of each token: good for comparing texts by the same model.

    Args:
        context_tokens: the longest sequence.

    Raises LlamaError: there is no memory for it.
    """

    def __init__(self, model: Model, *, context_tokens: int, threads: int = 1) -> None:
        self._context = Context(
            model,
            sequence_tokens=context_tokens,
            sequences=SEQUENCES,
            batch_tokens=context_tokens,
            threads=threads,
            embeds=True,
        )

    def embed(self, batch: Sequence[Sequence[int]]) -> list[Vector]:
        """One unit vector a sequence, of one of `in_batches`.

        Raises LlamaError when llama.cpp fails.
        """
        self._context.clear()
        self._context.decode([Run(n, 0, tokens, outputs=0) for n, tokens in enumerate(batch)])
        vectors = [self._context.embedding(number) for number in range(len(batch))]
        return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]

    def close(self) -> None:
        """Free the context."""
        self._context.close()


def in_batches(
    prompts: Sequence[Sequence[int]], context_tokens: int
) -> Iterator[list[Sequence[int]]]:
    """Sequences that are embedded at once; none may be empty or longer than the context."""
    batch: list[Sequence[int]] = []
    room = context_tokens
    for prompt in prompts:
        if batch and (len(prompt) > room or len(batch) == SEQUENCES):
            yield batch
            batch, room = [], context_tokens
        batch.append(prompt)
        room -= len(prompt)
    if batch:
        yield batch
