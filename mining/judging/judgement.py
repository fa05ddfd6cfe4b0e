"""Computes what each miner's answer is worth, by agreement. The functions are pure.

Honest miners draw their tokens by the same rule and seed, so their texts differ only by the effects
of floating-point noise. A text that differs has to be very close to the majority's text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sessions.logprobs import TokenLogprob, agree

Matrix = NDArray[np.float64]
Embed = Callable[[Sequence[str]], Matrix]
"""Computes the embeddings of texts: one row for each text, scaled to length 1."""

FULL_BPS = 10_000
SHORT_CHARACTERS = 48
"""Answers shorter than this must be equal: embeddings do not tell them apart ("yes" and "no")."""
TOLERANCE = 0.10
"""The largest cosine distance at which two longer answers count as the same."""
LOGPROB_TOLERANCE = 0.25
"""The largest difference of log-probabilities that counts as noise.

Other batches and processors change them by about 0.01, another model by more.
"""
Logprobs = Sequence[TokenLogprob]


@dataclass(frozen=True)
class Judgement:
    """The worth of each answer in basis points, and the distances that it results from.

    `distances` are the cosine distances between the answers. `to_centre` are their distances to
    the text that they were compared with: the medoid, whose index is `centre`, or the text of a
    re-run, where `centre` is None.
    """

    accuracies_bps: list[int]
    distances: list[list[float]]
    to_centre: list[float]
    centre: int | None


def judge(texts: Sequence[str], embed: Embed) -> Judgement | None:
    """Judge answers by majority.

    Return None if not more than half of the answers agree; a re-run then has to decide.
    """
    if not texts:
        return None
    distances = _distances(texts, embed)
    agree = [
        [_agree(a, b, distances[i, j]) for j, b in enumerate(texts)] for i, a in enumerate(texts)
    ]
    centre = min(
        range(len(texts)),
        # The text itself breaks the last tie, so that the answers' order has no influence.
        key=lambda i: (-sum(agree[i]), _exact_sum(distances[i]), texts[i]),
    )
    if 2 * sum(agree[centre]) <= len(texts):
        return None
    accuracies = [
        _accuracy_bps(text, texts[centre], distances[centre, i]) for i, text in enumerate(texts)
    ]
    return Judgement(accuracies, distances.tolist(), distances[centre].tolist(), centre)


def judge_by_reference(texts: Sequence[str], reference: str, embed: Embed) -> Judgement:
    """Judge answers by the text of the validator's own run of the task."""
    distances = _distances([*texts, reference], embed)
    to_reference = distances[-1, :-1]
    accuracies = [_accuracy_bps(text, reference, to_reference[i]) for i, text in enumerate(texts)]
    return Judgement(accuracies, distances[:-1, :-1].tolist(), to_reference.tolist(), None)


def judge_logprobs(told: Sequence[Logprobs], reference: Logprobs | None) -> list[bool] | None:
    """Decide which answers' log-probabilities are credible.

    Args:
        told: the log-probabilities of each answer that counts.
        reference: those of the validator's own run. Without them the majority decides.

    Returns:
        A decision for each answer, or None if not more than half agree; a re-run then has to
        decide.
    """
    if reference is not None:
        return [agree(each, reference, LOGPROB_TOLERANCE) for each in told]
    votes = [sum(agree(each, other, LOGPROB_TOLERANCE) for other in told) for each in told]
    believed = [2 * count > len(told) for count in votes]
    return believed if any(believed) or not told else None


def _distances(texts: Sequence[str], embed: Embed) -> Matrix:
    if len(set(texts)) == 1:
        # Honest miners' answers are nearly always equal. This saves the embedding, which takes
        # the most time.
        return np.zeros((len(texts), len(texts)))
    vectors = embed(texts)
    # Round the distances: their last bits depend on the batch, and would decide ties.
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
    # A wrong number in a right sentence hardly changes the embedding.
    if _figures(text) != _figures(centre):
        return 0
    return int(FULL_BPS * (1.0 - distance))


def _figures(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))
