"""What each miner's answer is worth, by agreement. Pure: the embedding is passed in.

Honest miners draw their tokens by one rule and one seed, so their texts are equal but for
floating-point noise. What is not equal has to be very close to what the majority says.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sessions.logprobs import TokenLogprob, agree

Matrix = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Matrix]
"""Texts to unit vectors, one row a text."""

FULL_BPS = 10_000
SHORT_CHARACTERS = 48
"""Below this, embeddings say little ('yes' is near 'no'): such answers must be equal."""
TOLERANCE = 0.10
"""The largest cosine distance at which two long answers say the same."""


LOGPROB_TOLERANCE = 0.25
"""Batches and processors move log-probabilities by a hundredth, another model by more."""
Logprobs = Sequence[TokenLogprob]


@dataclass(frozen=True)
class Judgement:
    """The worth of each answer in basis points, and what it rests on.

    `distances` are cosine distances between the answers, `to_centre` those to the text that was
    the measure: the medoid, or a re-run (`centre` is None then).
    """

    accuracies_bps: list[int]
    distances: list[list[float]]
    to_centre: list[float]
    centre: int | None


def judge(texts: Sequence[str], embed: Embed) -> Judgement | None:
    """Judge by majority; None when more than half do not agree, and a re-run has to decide."""
    if not texts:
        return None
    distances = _distances(texts, embed)
    agree = [
        [_agree(a, b, distances[i, j]) for j, b in enumerate(texts)] for i, a in enumerate(texts)
    ]
    centre = min(
        range(len(texts)),
        # The exact text decides the last tie, so that the order of arrival does not.
        key=lambda i: (-sum(agree[i]), _exact_sum(distances[i]), texts[i]),
    )
    if 2 * sum(agree[centre]) <= len(texts):
        return None
    accuracies = [
        _accuracy_bps(text, texts[centre], distances[centre, i]) for i, text in enumerate(texts)
    ]
    return Judgement(accuracies, distances.tolist(), distances[centre].tolist(), centre)


def judge_by_reference(texts: Sequence[str], reference: str, embed: Embed) -> Judgement:
    """Judge by what the validator's own run of the task says."""
    distances = _distances([*texts, reference], embed)
    to_reference = distances[-1, :-1]
    accuracies = [_accuracy_bps(text, reference, to_reference[i]) for i, text in enumerate(texts)]
    return Judgement(accuracies, distances[:-1, :-1].tolist(), to_reference.tolist(), None)


def judge_logprobs(told: Sequence[Logprobs], reference: Logprobs | None) -> list[bool] | None:
    """Whose log-probabilities are to be believed.

    Args:
        told: those of the answers that count.
        reference: those of the validator's own run; without one the majority decides.

    Returns:
        One a miner; None when more than half do not agree, and a re-run has to decide.
    """
    if reference is not None:
        return [agree(each, reference, LOGPROB_TOLERANCE) for each in told]
    votes = [sum(agree(each, other, LOGPROB_TOLERANCE) for other in told) for each in told]
    believed = [2 * count > len(told) for count in votes]
    return believed if any(believed) or not told else None


def _distances(texts: Sequence[str], embed: Embed) -> Matrix:
    if len(set(texts)) == 1:
        # As honest miners' answers are, nearly always: nothing to embed, which costs the most.
        return np.zeros((len(texts), len(texts)))
    vectors = embed(texts)
    # Rounded, since the last bits depend on the batch and would decide ties.
    cosines: Matrix = vectors @ vectors.T
    distances = np.asarray(np.round(np.clip(1.0 - cosines, 0.0, 2.0), 6), dtype=np.float64)
    np.fill_diagonal(distances, 0.0)
    return distances


def _exact_sum(distances: Matrix) -> int:
    return sum(round(float(distance) * 1_000_000) for distance in distances)


def _agree(text: str, other: str, distance: float) -> bool:
    return _accuracy_bps(text, other, distance) > 0


def _accuracy_bps(text: str, centre: str, distance: float) -> int:
    if text == centre:
        return FULL_BPS
    if min(len(text), len(centre)) < SHORT_CHARACTERS or distance > TOLERANCE:
        return 0
    # A wrong figure in the right sentence hardly moves an embedding.
    if _figures(text) != _figures(centre):
        return 0
    return int(FULL_BPS * (1.0 - distance))


def _figures(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))
