"""The one way to draw a token: bias, penalties, temperature, filters, then Gumbel-max.

The filters are top-k, top-p and min-p, in this order.

Gumbel-max draws from the softmax by adding noise to every candidate's logit and taking the
largest. The noise depends on the task's seed, the position and the token alone, so that whoever
computes the same logits draws the same token, whatever else is in the batch and in whichever order.
Logits themselves differ in their last bits with the machine and, where weights are not quantised,
with the batch's composition; that flips a draw only where two candidates are that close.

The noise of token `t` at position `p` is `-log(-log(u))`, with

    key = the first 8 bytes, big-endian, of BLAKE2b-64(seed ‖ p as 8 bytes, big-endian)
    z   = mix(key + (t + 1) × 0x9E3779B97F4A7C15 mod 2^64)          (SplitMix64)
    u   = ((z >> 11) + 0.5) / 2^53

A vocabulary has tens of thousands of tokens and a step draws for many sequences, so nothing here
sorts or takes logarithms of a whole vocabulary: a sample of it tells where its head begins, and
what is left out is left out only where it provably cannot win.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mining.node.protocol.sampling_params import SamplingParams

Scores = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]
Noise = npt.NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HEAD = 64
"""How many of the likeliest tokens are looked at first."""
_STRIDE = 16
"""Of every so many tokens one tells where the head begins."""
_MOST_NOISE = -math.log(-math.log1p(-(2.0**-54)))
"""No token's noise is more: 37.43."""


@dataclass(frozen=True)
class TokenLogprobs:
    """How likely the model itself found a token, before bias, penalties and temperature.

    `top` has the likeliest tokens and their log-probabilities, the likeliest first.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]

    def to_json(self) -> list[object]:
        """Token, log-probability, rivals; decimals as texts, since canonical JSON has no floats."""
        rivals = [[token, f"{value:.4f}"] for token, value in self.top]
        return [self.token, f"{self.logprob:.4f}", rivals]


def draw(
    logits: Scores,
    params: SamplingParams,
    *,
    drawn: Mapping[int, int],
    seed: bytes,
    position: int,
    among: Tokens | None = None,
) -> int:
    """Draw the token at `position` (0 is the answer's first).

    Args:
        logits: one a token of the vocabulary; left as they are.
        drawn: how often the answer already has each token.
        seed: the task's digest, or the 8 bytes that its client chose.
        among: the only tokens that may be drawn, at least one, in ascending order; any if None.
    """
    scores = adjust(logits, params, drawn)
    if among is not None:
        return _draw_among(scores[among], among, params, seed, position)
    if params.temperature <= 0:
        return int(scores.argmax())  # of equals the first, which is the lowest id
    key = noise_key(seed, position)
    if not 0 < params.top_k < len(scores):
        if not (0 < params.top_p < 1 or params.min_p > 0):
            return _draw_of_all(scores, params.temperature, key)
        if params.top_p <= 0 or params.top_p >= 1:
            tokens = np.flatnonzero(scores >= _least(scores.max(), params))
            return _loudest(scores, tokens, params.temperature, key)
    tokens = candidates(scores, params)
    return _loudest(scores, tokens, params.temperature, key)


def _draw_among(
    scores: Scores, among: Tokens, params: SamplingParams, seed: bytes, position: int
) -> int:
    """Draw as if all other tokens had a score of minus infinity, at the cost of these alone."""
    if len(among) == 1:
        return int(among[0])
    if params.temperature <= 0:
        return int(among[scores.argmax()])
    kept = candidates(scores, params)
    noisy = scores[kept].astype(np.float64) / params.temperature
    noisy += _noise(_mixed(noise_key(seed, position), _steps(among[kept])))
    return int(among[kept[noisy.argmax()]])


def adjust(logits: Scores, params: SamplingParams, drawn: Mapping[int, int]) -> Scores:
    """The logits with their bias, less what tokens pay for having been drawn already."""
    pays = drawn and (params.presence_penalty or params.frequency_penalty)
    if not pays and not params.logit_bias:
        return logits
    scores = logits.copy()
    bias = {token: by for token, by in params.logit_bias.items() if 0 <= token < len(scores)}
    if bias:
        scores[list(bias)] += np.array(list(bias.values()), np.float32)
    if pays:
        tokens = np.fromiter(drawn.keys(), np.int64, len(drawn))
        counts = np.fromiter(drawn.values(), np.float64, len(drawn))
        fees = params.presence_penalty + params.frequency_penalty * counts
        scores[tokens] -= fees.astype(np.float32)
    return scores


def candidates(scores: Scores, params: SamplingParams) -> Tokens:
    """The tokens that top-k, top-p and min-p leave, in ascending order; at least one."""
    tokens: Tokens
    if 0 < params.top_k < len(scores):
        tokens = _ranked(scores, params.top_k)
        if 0 < params.top_p < 1:
            ranked = scores[tokens].astype(np.float64)
            mass = np.exp((ranked - ranked[0]) / params.temperature).cumsum()
            tokens = tokens[: mass.searchsorted(params.top_p * mass[-1]) + 1]
        tokens = np.sort(tokens)
    elif 0 < params.top_p < 1:
        tokens = top_p(scores, params.top_p, params.temperature)
    else:
        tokens = np.arange(len(scores))
    if params.min_p > 0:
        tokens = tokens[scores[tokens] >= _least(scores[tokens].max(), params)]
    return tokens


def top_k(scores: Scores, k: int) -> Tokens:
    """The ids of the `k` largest scores in ascending order; of equals the lowest ids."""
    if not 0 < k < len(scores):
        return np.arange(len(scores))
    return np.sort(_ranked(scores, k))


def top_p(scores: Scores, p: float, temperature: float = 1.0) -> Tokens:
    """The fewest tokens, likeliest first, whose probabilities reach `p`; in ascending order."""
    if not 0 < p < 1:
        return np.arange(len(scores))
    best = scores.max()
    total = float(np.exp((scores - best) / np.float32(temperature)).sum(dtype=np.float64))
    wanted, k = p * total, _HEAD
    while True:
        head = _head(scores, k) if k < len(scores) else np.arange(len(scores))
        weights = np.exp((scores[head].astype(np.float64) - float(best)) / temperature)
        if len(head) == len(scores) or float(weights.sum()) >= wanted:
            found: Tokens = head[_fewest(weights, wanted)]
            return found
        k *= 8


def logprobs(logits: Scores, token: int, count: int) -> TokenLogprobs:
    """How likely the model found a token, and the `count` likeliest ones."""
    best = float(logits.max())
    sum_of_all = float(np.exp(logits - np.float32(best)).sum(dtype=np.float64))
    log_total = best + math.log(sum_of_all)
    head = top_k(logits, min(count, len(logits)))
    ranked = head[np.argsort(-logits[head], kind="stable")][:count]
    top = tuple((int(each), float(logits[each]) - log_total) for each in ranked)
    return TokenLogprobs(token, float(logits[token]) - log_total, top)


def noise_key(seed: bytes, position: int) -> np.uint64:
    """What a position's noise is made of."""
    digest = hashlib.blake2b(seed + position.to_bytes(8, "big"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "big"))


def gumbel(seed: bytes, position: int, tokens: Tokens) -> Floats:
    """The noise of some tokens at a position, each independent of which others are asked for."""
    return _noise(_mixed(noise_key(seed, position), _steps(tokens)))


def _draw_of_all(scores: Scores, temperature: float, key: np.uint64) -> int:
    """Gumbel-max over a whole vocabulary.

    The head's loudest is to be beaten. Of the rest, a token can only do so with noise above a
    bound, and whether it has that much shows before any logarithm is taken.
    """
    head = _head(scores, _HEAD)
    if len(head) == len(scores):
        return _loudest(scores, head, temperature, key)
    leader = _loudest(scores, head, temperature, key)
    lead = float(scores[leader]) / temperature + float(
        _noise(_mixed(key, _steps(np.array([leader]))))[0]
    )
    # The head holds every token of at least this score, so that all the rest are below it.
    needed = lead - float(scores[head].min()) / temperature
    if needed > _MOST_NOISE:
        return leader
    mixed = _mixed(key, _all_steps(len(scores)))
    bound = max(0, math.floor(math.exp(-math.exp(-min(needed, 700.0))) * 2.0**53) - 2**8)
    loud = np.flatnonzero(mixed >= np.uint64(bound << 11))
    return _loudest(scores, np.union1d(loud, [leader]), temperature, key)


def _loudest(scores: Scores, tokens: Tokens, temperature: float, key: np.uint64) -> int:
    noisy = scores[tokens].astype(np.float64) / temperature
    noisy += _noise(_mixed(key, _all_steps(len(scores))[tokens]))
    return int(tokens[noisy.argmax()])


def _head(scores: Scores, k: int) -> Tokens:
    """The ids of at least `k` of the largest scores, and of all that equal the least of them."""
    sample = scores[::_STRIDE]
    rank = 2 * k // _STRIDE + 8
    if rank < len(sample):
        threshold = np.partition(sample, len(sample) - rank)[len(sample) - rank]
        head: Tokens = (scores >= threshold).nonzero()[0]
        if len(head) >= k:
            return head
    if k >= len(scores):
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero(scores >= threshold)


def _ranked(scores: Scores, k: int) -> Tokens:
    """The ids of the `k` largest scores, the largest first; of equals the lowest first."""
    head = _head(scores, k)
    ranked: Tokens = head[(-scores[head]).argsort(kind="stable")[:k]]
    return ranked


def _fewest(weights: npt.NDArray[np.floating], wanted: float) -> Tokens:
    """Indices of the fewest weights, largest first, that reach a sum; in ascending order."""
    order = np.argsort(-weights, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weights[order]), wanted)) + 1
    return np.sort(order[:enough])


def _least(best: float, params: SamplingParams) -> np.float32:
    """The score that a token needs to be `min_p` times as likely as the best one."""
    return np.float32(float(best) + params.temperature * math.log(min(params.min_p, 1.0)))


def _steps(tokens: Tokens) -> Noise:
    return (tokens.astype(np.uint64) + np.uint64(1)) * _GAMMA


@lru_cache(maxsize=8)
def _all_steps(size: int) -> Noise:
    return _steps(np.arange(size))


def _mixed(key: np.uint64, steps: Noise) -> Noise:
    z = steps + key  # arrays of whole numbers wrap around silently
    z ^= z >> _SHIFTS[0]
    z *= _FACTORS[0]
    z ^= z >> _SHIFTS[1]
    z *= _FACTORS[1]
    z ^= z >> _SHIFTS[2]
    return z


def _noise(mixed: Noise) -> Floats:
    u = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    noise: Floats = -np.log(-np.log(u))
    return noise
