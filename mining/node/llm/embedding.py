"""Computes embeddings with a model that is loaded already, in a llama.cpp context of their own."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mining.node.llm.llama import Context, Model, Run

SEQUENCES = 16
"""The most texts in a batch."""

Vector = npt.NDArray[np.float32]


class Embedder:
    """Computes embeddings of token sequences. Only one thread may use it.

    An embedding model pools as its file says. With any other model, the embedding is the mean of
    the last layer's outputs over the tokens. Such embeddings can be compared with each other, but
    not with those of another model.

    Args:
        model: the loaded model.
        context_tokens: the length of the longest sequence.
        threads: the number of llama.cpp's threads.

    Raises:
        LlamaError: there is no memory for the context.
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
        """Return the embedding of each sequence, scaled to length 1.

        Args:
            batch: a batch that `in_batches` has made.

        Raises:
            LlamaError: llama.cpp fails.
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
    """Yield the sequences in batches that can be embedded at once.

    No sequence may be empty or longer than the context.
    """
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
