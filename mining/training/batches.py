"""Batches of conversations as tensors, with little padding."""

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
    """Rows of tokens. `learn` marks the positions whose next token belongs to an answer."""

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
    """Yield batches of about `tokens` tokens without end.

    The conversations of a batch have about the same length: `pool` conversations at a time are
    sorted by length, split into batches, and the batches are shuffled.
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
    """Return questions as one batch, with a row for each."""
    return _padded([encode(tokenizer, example) for example in questions])


def _padded(rows: list[tuple[list[int], list[int]]]) -> Batch:
    # The padding follows the tokens, so causal attention never reads it.
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    learn = torch.tensor([learn + [0] * (width - len(learn)) for _, learn in rows])
    return Batch(ids[:, :-1], ids[:, 1:], learn[:, 1:].bool())
