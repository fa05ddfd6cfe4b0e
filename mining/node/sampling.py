"""The one way to draw a token: penalties, temperature, top-k, top-p, then Gumbel-max.

Gumbel-max draws from the softmax by adding noise to every candidate's logit and taking the
largest. The noise depends on the task's seed, the position and the token alone, so that whoever
computes the same logits draws the same token, whatever else is in the batch and in whichever order.
Logits themselves differ in their last bits with the batch's composition and the machine;
that flips a draw only where two candidates are that close, which is rare.

The noise of token `t` at position `p` is `-log(-log(u))`, with

    key = the first 8 bytes, big-endian, of BLAKE2b-64(seed ‖ p as 8 bytes, big-endian)
    z   = mix(key + (t + 1) × 0x9E3779B97F4A7C15 mod 2^64)          (SplitMix64)
    u   = ((z >> 11) + 0.5) / 2^53
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SamplingParams:
    """How a task wants its tokens drawn, in natural units.

    `top_k` 0 and `top_p` 0 (or 1 and more) filter nothing; `temperature` 0 is argmax.
    Penalties are subtracted from the logits of tokens that the answer already has: `presence` once,
    `frequency` once an occurrence.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


def draw(
    logits: npt.NDArray[np.float32],
    params: SamplingParams,
    *,
    drawn: Mapping[int, int],
    seed: bytes,
    position: int,
) -> int:
    """Draw the token at `position` (0 is the answer's first).

    Args:
        logits: one a token of the vocabulary; left as they are.
        drawn: how often the answer already has each token.
        seed: the task's digest.
    """
    scores = penalise(logits, params, drawn)
    if params.temperature <= 0:
        return int(np.argmax(scores))  # of equals the first, which is the lowest id
    scores = scores / params.temperature
    candidates = top_p(scores, top_k(scores, params.top_k), params.top_p)
    noisy = scores[candidates] + gumbel(seed, position, candidates)
    return int(candidates[np.argmax(noisy)])


def penalise(
    logits: npt.NDArray[np.float32], params: SamplingParams, drawn: Mapping[int, int]
) -> Floats:
    """The logits, less what tokens pay for having been drawn already."""
    scores = logits.astype(np.float64)
    if drawn and (params.presence_penalty or params.frequency_penalty):
        tokens = np.fromiter(drawn.keys(), np.int64, len(drawn))
        counts = np.fromiter(drawn.values(), np.float64, len(drawn))
        scores[tokens] -= params.presence_penalty + params.frequency_penalty * counts
    return scores


def top_k(scores: Floats, k: int) -> Tokens:
    """The ids of the `k` largest scores in ascending order; of equals the lowest ids."""
    if not 0 < k < len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > threshold)
    equal = np.flatnonzero(scores == threshold)[: k - len(above)]
    return np.sort(np.concatenate([above, equal]))


def top_p(scores: Floats, candidates: Tokens, p: float) -> Tokens:
    """The fewest candidates, likeliest first, whose probabilities reach `p`; in ascending order."""
    if not 0 < p < 1:
        return candidates
    weights = np.exp(scores[candidates] - scores[candidates].max())
    probabilities = weights / weights.sum()
    # All that are below this have less than 1 - p together, so none of them is needed.
    likely = np.flatnonzero(probabilities >= (1 - p) / len(candidates))
    order = likely[np.argsort(-probabilities[likely], kind="stable")]
    enough = int(np.searchsorted(np.cumsum(probabilities[order]), p)) + 1
    return np.sort(candidates[order[:enough]])


def gumbel(seed: bytes, position: int, tokens: Tokens) -> Floats:
    """The noise of some tokens at a position, each independent of which others are asked for."""
    digest = hashlib.blake2b(seed + position.to_bytes(8, "big"), digest_size=8).digest()
    key = np.uint64(int.from_bytes(digest, "big"))
    with np.errstate(over="ignore"):
        z = key + (tokens.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = ((z >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    noise: Floats = -np.log(-np.log(u))
    return noise
