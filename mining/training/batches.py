"""Conversations as tensors: little padding, many tokens a batch."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from mining.training.data.corpus import WEIGHTS, Example, examples
from mining.training.tokenizer import encode


@dataclass(frozen=True)
class Batch:
    """Rows of tokens; `learn` marks the positions whose next token is a part of an answer."""

    tokens: Tensor
    targets: Tensor
    learn: Tensor


def training_batches(
    tokenizer: Tokenizer,
    seed: int,
    tokens: int,
    pool: int,
    weights: Mapping[str, float] = WEIGHTS,
) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens, each of conversations of about one length.

    Lengths are sorted within a pool of conversations, and the pool's batches are shuffled.
    """
    stream = examples(seed, "train", weights)
    random = torch.Generator().manual_seed(seed)
    while True:
        rows = [encode(tokenizer, example) for example in itertools.islice(stream, pool)]
        rows.sort(key=lambda row: len(row[0]))
        batches: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in rows:
            if len(row[0]) * (len(batches[-1]) + 1) > tokens and batches[-1]:
                batches.append([])
            batches[-1].append(row)
        for index in torch.randperm(len(batches), generator=random).tolist():
            yield _padded(batches[index])


def evaluation_batch(tokenizer: Tokenizer, questions: list[Example]) -> Batch:
    """Held-out questions in one batch, a row each."""
    return _padded([encode(tokenizer, example) for example in questions])


def _padded(rows: list[tuple[list[int], list[int]]]) -> Batch:
    # Padding stands behind everything that is learnt, where no causal attention sees it.
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    learn = torch.tensor([learn + [0] * (width - len(learn)) for _, learn in rows])
    return Batch(ids[:, :-1], ids[:, 1:], learn[:, 1:].bool())
