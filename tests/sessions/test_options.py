"""Options travel in the content block, and only well-formed ones leave it."""

from typing import Any

import pytest

from sessions.options import MAX_GRAMMAR_CHARACTERS, GenerationOptions, OptionsUnreadable


def test_options_come_back_as_they_were_put() -> None:
    options = GenerationOptions('root ::= "a"', 3, {5: -100, 17: 0.5})
    content = options.to_content()
    assert content == {
        "grammar": 'root ::= "a"',
        "logprobs": 3,
        "logit_bias": {"5": -100, "17": 0.5},
    }
    assert GenerationOptions.from_content(content | {"prompt": "x"}) == options


def test_what_says_nothing_is_left_out() -> None:
    assert GenerationOptions().to_content() == {}
    assert GenerationOptions.from_content({"prompt": "x"}) == GenerationOptions()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grammar", 5),
        ("grammar", "x" * (MAX_GRAMMAR_CHARACTERS + 1)),
        ("logprobs", True),
        ("logprobs", 21),
        ("logprobs", -1),
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
