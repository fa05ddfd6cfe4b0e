"""The protocol's rule for drawing a token: bias, penalties, temperature, filters, then Gumbel-max.

The filters are top-k, top-p and min-p, in this order.

Gumbel-max draws from the softmax: it adds noise to the logit of every candidate and takes the
largest sum. The noise depends only on the task's seed, the position and the token. So two machines
that compute the same logits draw the same token, whatever else is in their batches and in whatever
order. The last bits of the logits vary with the machine and, if weights are not quantised, with the
other sequences in the batch. They change a draw only if the two largest sums differ by as little.

The noise of token `t` at position `p` is `-log(-log(u))`, with

    key = the first 8 bytes, big-endian, of BLAKE2b-64(seed ‖ p as 8 bytes, big-endian)
    z   = mix(key + (t + 1) × 0x9E3779B97F4A7C15 mod 2^64)          (SplitMix64)
    u   = ((z >> 11) + 0.5) / 2^53

A vocabulary has tens of thousands of tokens, and a step draws for many sequences. So this module
never sorts a whole vocabulary and never takes logarithms of all of it. It estimates from a sample
of the scores which tokens are the head (the likeliest tokens), and leaves out a token only if that
token provably cannot win.
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
"""How many of the likeliest tokens are tried first."""
_STRIDE = 16
"""One token in this many is in the sample that estimates the head's threshold."""
_MOST_NOISE = -math.log(-math.log1p(-(2.0**-54)))
"""The largest noise that a token can have: 37.43."""


@dataclass(frozen=True)
class TokenLogprobs:
    """A token's log-probability in the model, before bias, penalties and temperature.

    `top` holds the likeliest tokens with their log-probabilities, the likeliest first.
    """

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]

    def to_json(self) -> list[object]:
        """Return the token, its log-probability and the likeliest tokens, as a JSON list.

        Log-probabilities are decimal texts, since canonical JSON has no floats.
        """
        top = [[token, f"{value:.4f}"] for token, value in self.top]
        return [self.token, f"{self.logprob:.4f}", top]


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
        logits: one for each token of the vocabulary. They are not changed.
        drawn: how often the answer already has each token.
        seed: the task's digest, or the 8 bytes that its client chose.
        among: the only tokens that may be drawn: at least one, in ascending order. None allows
            every token.
    """
    scores = adjust(logits, params, drawn)
    if among is not None:
        return _draw_among(scores[among], among, params, seed, position)
    if params.temperature <= 0:
        return int(scores.argmax())  # argmax takes the lowest id of equal scores
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
    """Draw as if all other tokens had a score of minus infinity, without looking at them."""
    if len(among) == 1:
        return int(among[0])
    if params.temperature <= 0:
        return int(among[scores.argmax()])
    kept = candidates(scores, params)
    noisy = scores[kept].astype(np.float64) / params.temperature
    noisy += _noise(_mixed(noise_key(seed, position), _steps(among[kept])))
    return int(among[kept[noisy.argmax()]])


def adjust(logits: Scores, params: SamplingParams, drawn: Mapping[int, int]) -> Scores:
    """Return the logits with the bias added and the penalties for repeated tokens subtracted."""
    penalised = drawn and (params.presence_penalty or params.frequency_penalty)
    if not penalised and not params.logit_bias:
        return logits
    scores = logits.copy()
    bias = {token: by for token, by in params.logit_bias.items() if 0 <= token < len(scores)}
    if bias:
        scores[list(bias)] += np.array(list(bias.values()), np.float32)
    if penalised:
        tokens = np.fromiter(drawn.keys(), np.int64, len(drawn))
        counts = np.fromiter(drawn.values(), np.float64, len(drawn))
        penalties = params.presence_penalty + params.frequency_penalty * counts
        scores[tokens] -= penalties.astype(np.float32)
    return scores


def candidates(scores: Scores, params: SamplingParams) -> Tokens:
    """Return the tokens that pass top-k, top-p and min-p, in ascending order. At least one does."""
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
    """Return the ids of the `k` largest scores, in ascending order. On a tie the lowest ids win."""
    if not 0 < k < len(scores):
        return np.arange(len(scores))
    return np.sort(_ranked(scores, k))


def top_p(scores: Scores, p: float, temperature: float = 1.0) -> Tokens:
    """Return the smallest set of likeliest tokens whose probabilities sum to `p` or more.

    The ids are in ascending order.
    """
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
    """Return the log-probabilities of a token and of the `count` likeliest tokens."""
    best = float(logits.max())
    sum_of_all = float(np.exp(logits - np.float32(best)).sum(dtype=np.float64))
    log_total = best + math.log(sum_of_all)
    head = top_k(logits, min(count, len(logits)))
    ranked = head[np.argsort(-logits[head], kind="stable")][:count]
    top = tuple((int(each), float(logits[each]) - log_total) for each in ranked)
    return TokenLogprobs(token, float(logits[token]) - log_total, top)


def noise_key(seed: bytes, position: int) -> np.uint64:
    """Return the key from which the noise of all tokens at a position is computed."""
    digest = hashlib.blake2b(seed + position.to_bytes(8, "big"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "big"))


def gumbel(seed: bytes, position: int, tokens: Tokens) -> Floats:
    """Return the noise of some tokens at a position. The noise of a token is always the same."""
    return _noise(_mixed(noise_key(seed, position), _steps(tokens)))


def _draw_of_all(scores: Scores, temperature: float, key: np.uint64) -> int:
    """Draw from a whole vocabulary by Gumbel-max.

    The leader is the head's token with the largest sum of score and noise. A token outside the head
    can beat the leader only if its noise is above a bound. Whether it is can be seen from the bits
    of `mixed`, without a logarithm.
    """
    head = _head(scores, _HEAD)
    if len(head) == len(scores):
        return _loudest(scores, head, temperature, key)
    leader = _loudest(scores, head, temperature, key)
    lead = float(scores[leader]) / temperature + float(
        _noise(_mixed(key, _steps(np.array([leader]))))[0]
    )
    # Every token outside the head has a score below the head's lowest.
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
    """Return the ids of the `k` largest scores or more, with all that equal the lowest of them."""
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
    """Return the ids of the `k` largest scores, the largest first. Lower ids win a tie."""
    head = _head(scores, k)
    ranked: Tokens = head[(-scores[head]).argsort(kind="stable")[:k]]
    return ranked


def _fewest(weights: npt.NDArray[np.floating], wanted: float) -> Tokens:
    """Return the indices of the fewest weights that sum to `wanted`, in ascending order."""
    order = np.argsort(-weights, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weights[order]), wanted)) + 1
    return np.sort(order[:enough])


def _least(best: float, params: SamplingParams) -> np.float32:
    """Return the score at which a token is `min_p` times as likely as the best one."""
    return np.float32(float(best) + params.temperature * math.log(min(params.min_p, 1.0)))


def _steps(tokens: Tokens) -> Noise:
    return (tokens.astype(np.uint64) + np.uint64(1)) * _GAMMA


@lru_cache(maxsize=8)
def _all_steps(size: int) -> Noise:
    return _steps(np.arange(size))


def _mixed(key: np.uint64, steps: Noise) -> Noise:
    z = steps + key  # NumPy's integer arrays wrap around without a warning
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
