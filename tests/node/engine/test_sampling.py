"""The rule by which all miners of a task draw tokens."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.node.engine.sampling import adjust, candidates, draw, gumbel, logprobs, top_k, top_p
from mining.node.protocol.sampling_params import SamplingParams

SEED = bytes(range(32))
KNOWN_NOISE = [
    0.21651303020014726,
    2.4223200699547025,
    0.16832698900108622,
]  # made by a loop over Python integers
scores = st.lists(
    st.floats(-20, 20).map(lambda score: round(score, 3)), min_size=1, max_size=40
).map(lambda values: np.array(values, np.float32))


def softmax(values: np.ndarray) -> np.ndarray:
    weights = np.exp(values - values.max())
    return weights / weights.sum()


@given(scores, st.integers(0, 5000), st.binary(min_size=32, max_size=32))
def test_the_same_logits_seed_and_position_draw_the_same_token(
    values: np.ndarray, position: int, seed: bytes
) -> None:
    logits = values.astype(np.float32)
    params = SamplingParams(temperature=0.8, top_p=0.9, top_k=5)
    first = draw(logits, params, drawn={}, seed=seed, position=position)
    assert first == draw(logits.copy(), params, drawn={}, seed=seed, position=position)
    assert 0 <= first < len(logits)


@given(st.sets(st.integers(0, 200_000), min_size=1, max_size=50), st.integers(0, 9999))
def test_a_tokens_noise_does_not_depend_on_the_other_candidates(
    tokens: set[int], position: int
) -> None:
    together = gumbel(SEED, position, np.array(sorted(tokens)))
    alone = [gumbel(SEED, position, np.array([token]))[0] for token in sorted(tokens)]
    assert together.tolist() == alone
    assert np.isfinite(together).all()


def test_the_noise_is_the_documented_one() -> None:
    """Known answers: another implementation, or a change of this one, can be held against them."""
    noise = gumbel(SEED, 7, np.array([0, 1, 31_999]))
    assert noise.tolist() == pytest.approx(KNOWN_NOISE, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_draws_follow_the_softmax(temperature: float) -> None:
    logits = np.array([2.0, 1.0, 0.5, 0.0, -0.5, -1.0, -3.0], np.float32)
    params = SamplingParams(temperature=temperature)
    count = 6000
    drawn = [draw(logits, params, drawn={}, seed=SEED, position=n) for n in range(count)]
    observed = np.bincount(drawn, minlength=len(logits))
    expected = softmax(logits.astype(np.float64) / temperature) * count
    chi_squared = float(((observed - expected) ** 2 / expected).sum())
    assert chi_squared < 22.46  # 99.9 % quantile of six degrees of freedom


def test_seeds_are_independent_of_each_other() -> None:
    logits = np.zeros(16, np.float32)
    params = SamplingParams(temperature=1.0)
    drawn = [
        draw(logits, params, drawn={}, seed=n.to_bytes(32, "big"), position=0) for n in range(4000)
    ]
    observed = np.bincount(drawn, minlength=16)
    assert float(((observed - 250) ** 2 / 250).sum()) < 37.70  # 99.9 %, fifteen degrees


def test_no_temperature_takes_the_best_and_of_equals_the_first() -> None:
    logits = np.array([1.0, 3.0, 3.0, 2.0], np.float32)
    assert draw(logits, SamplingParams(), drawn={}, seed=SEED, position=0) == 1


def test_penalties_count_what_was_drawn() -> None:
    params = SamplingParams(presence_penalty=0.5, frequency_penalty=0.25)
    logits = np.array([1.0, 1.0, 1.0], np.float32)
    assert adjust(logits, params, {0: 1, 2: 3}).tolist() == [0.25, 1.0, -0.25]
    assert logits.tolist() == [1.0, 1.0, 1.0]


@given(scores, st.integers(0, 45))
def test_top_k_keeps_the_largest_and_of_equals_the_first(values: np.ndarray, k: int) -> None:
    best_first = sorted(range(len(values)), key=lambda token: (-values[token], token))
    expected = sorted(best_first[:k]) if k else list(range(len(values)))
    assert top_k(values, k).tolist() == expected


@given(scores, st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_it(values: np.ndarray, p: float) -> None:
    kept = top_p(values, p)
    probabilities = softmax(values.astype(np.float64))
    mass = probabilities[kept].sum()
    assert len(kept) >= 1
    assert mass >= p - 1e-6
    assert mass - probabilities[kept].min() < p + 1e-6
    dropped = np.setdiff1d(np.arange(len(values)), kept)
    if len(dropped):
        assert probabilities[kept].min() >= probabilities[dropped].max()


def test_filters_that_are_off_keep_everything() -> None:
    values = np.array([0.0, 5.0, -5.0], np.float32)
    for p in (0.0, 1.0, 1.5):
        assert len(top_p(values, p)) == 3
    assert len(top_k(values, 0)) == 3


def plainly(logits: np.ndarray, params: SamplingParams, position: int) -> int:
    """The rule as it is written down, over the whole vocabulary and without a shortcut."""
    scores = logits.astype(np.float64)
    order = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    if params.top_k:
        order = order[: params.top_k]
    if 0 < params.top_p < 1:
        mass = np.cumsum(softmax(scores[order] / params.temperature))
        order = order[: int(np.searchsorted(mass, params.top_p)) + 1]
    if params.min_p:
        chances = np.exp((scores[order] - scores[order[0]]) / params.temperature)
        order = [
            token for token, chance in zip(order, chances, strict=True) if chance >= params.min_p
        ]
    noisy = scores[order] / params.temperature + gumbel(SEED, position, np.array(order))
    return order[int(np.argmax(noisy))]


@pytest.mark.parametrize("spread", [0.0, 1.0, 6.0])
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(0.8, 0.95, 40),
        SamplingParams(1.2, 0.9, 0),
        SamplingParams(1.0),
        SamplingParams(0.3),
        SamplingParams(0.7, min_p=0.1),
        SamplingParams(1.5, 0.99, 2000, min_p=0.01),
    ],
    ids=str,
)
def test_the_shortcuts_never_change_a_draw(params: SamplingParams, spread: float) -> None:
    random = np.random.default_rng(7)
    for position in range(25):
        logits = (random.standard_normal(5000) * spread).astype(np.float32)
        drawn = draw(logits, params, drawn={}, seed=SEED, position=position)
        assert drawn == plainly(logits, params, position)


def test_min_p_keeps_what_is_likely_enough() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    kept = candidates(logits, SamplingParams(temperature=1.0, min_p=0.2))
    assert kept.tolist() == [0, 1, 2]


def test_a_bias_moves_single_tokens_and_foreign_ones_do_nothing() -> None:
    logits = np.array([1.0, 2.0], np.float32)
    params = SamplingParams(logit_bias={0: 5.0, 99: 5.0, -1: 5.0})
    assert adjust(logits, params, {}).tolist() == [6.0, 2.0]
    assert logits.tolist() == [1.0, 2.0]


def test_log_probabilities_of_the_likeliest() -> None:
    told = logprobs(np.log(np.array([0.2, 0.5, 0.3], np.float32)), 0, 2)
    assert told.logprob == pytest.approx(np.log(0.2))
    assert [token for token, _ in told.top] == [1, 2]
    assert [value for _, value in told.top] == pytest.approx(np.log([0.5, 0.3]).tolist())


@pytest.mark.parametrize("count", [1, 2, 50, 900])
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(),
        SamplingParams(0.8),
        SamplingParams(0.8, 0.9),
        SamplingParams(1.2, 0.9, 7, 0.3, 0.4, 0.01, {3: 2.0}),
    ],
)
def test_among_some_tokens_a_draw_is_as_if_the_others_were_impossible(
    count: int, params: SamplingParams
) -> None:
    generator = np.random.default_rng(count)
    logits = generator.normal(0, 3, 1_000).astype(np.float32)
    among = np.sort(generator.choice(1_000, count, replace=False))
    masked = np.full(1_000, -np.inf, np.float32)
    masked[among] = logits[among]
    drawn = {int(among[0]): 2, 5: 1}
    for position in range(50):
        given: dict[str, Any] = {"drawn": drawn, "seed": b"s", "position": position}
        token = draw(logits, params, among=among, **given)
        assert token == draw(masked, params, **given)
        assert token in among
