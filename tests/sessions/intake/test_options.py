"""Options are a part of the content block, and only valid ones are read from it."""

from typing import Any

import pytest

from sessions.intake.options import (
    GRAMMAR_VERSION,
    MAX_GRAMMAR_CHARACTERS,
    BoundGrammar,
    GenerationOptions,
    OptionsUnreadable,
)

BOUND = {"library": "llguidance", "version": GRAMMAR_VERSION, "lark": "start: /a/"}


def test_options_come_back_as_they_were_put() -> None:
    options = GenerationOptions(BoundGrammar('start: "a"'), 3, {5: -100, 17: 0.5}, min_p=0.05)
    content = options.to_content()
    assert content == {
        "grammar": {"library": "llguidance", "version": GRAMMAR_VERSION, "lark": 'start: "a"'},
        "logprobs": 3,
        "logit_bias": {"5": -100, "17": 0.5},
        "min_p": 0.05,
    }
    assert GenerationOptions.from_content(content | {"prompt": "x"}) == options


@pytest.mark.parametrize("seed", [0, 7, -1, 2**63 - 1, -(2**63)])
def test_a_seed_is_64_bits_and_0_is_one(seed: int) -> None:
    options = GenerationOptions(seed=seed)
    assert options.to_content() == {"seed": seed}
    assert GenerationOptions.from_content({"seed": seed}) == options
    assert int.from_bytes(options.seed_bytes, "big", signed=True) == seed
    assert len(options.seed_bytes) == 8


def test_choices_have_seeds_of_their_own_if_any() -> None:
    assert GenerationOptions().of_choice(3).seed_bytes == b""
    assert [GenerationOptions(seed=7).of_choice(n).seed for n in range(3)] == [7, 8, 9]
    assert GenerationOptions(seed=2**63 - 1).of_choice(1).seed == -(2**63)


def test_what_says_nothing_is_left_out() -> None:
    assert GenerationOptions().to_content() == {}
    assert GenerationOptions.from_content({"prompt": "x"}) == GenerationOptions()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grammar", 5),
        ("grammar", 'root ::= "a"'),
        ("grammar", {}),
        ("grammar", BOUND | {"version": 1}),
        ("grammar", BOUND | {"library": "x" * 41}),
        ("grammar", BOUND | {"lark": ""}),
        ("grammar", BOUND | {"lark": "x" * (MAX_GRAMMAR_CHARACTERS + 1)}),
        ("logprobs", True),
        ("logprobs", 21),
        ("logprobs", -1),
        ("seed", 2**63),
        ("seed", -(2**63) - 1),
        ("seed", 1.0),
        ("seed", True),
        ("seed", "7"),
        ("min_p", 1.01),
        ("min_p", -0.1),
        ("min_p", float("nan")),
        ("min_p", True),
        ("min_p", "0.1"),
        ("logit_bias", [1]),
        ("logit_bias", {"the": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"1" * 10: 1}),
        ("logit_bias", {"1": 101}),
        ("logit_bias", {"1": float("nan")}),
        ("logit_bias", {"1": True}),
        ("logit_bias", {str(n): 1 for n in range(1025)}),
    ],
)
def test_what_a_stranger_makes_up_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(OptionsUnreadable, match=name):
        GenerationOptions.from_content({name: value})
