"""What a task can cost. Pure; amounts are wei of $COR, by the contract's own rule."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenPrice:
    """The price of one token of a model, in wei."""

    input_wei: int
    output_wei: int


def worst_case_wei(
    price: TokenPrice, *, redundancy: int, max_input_tokens: int, max_tokens: int
) -> int:
    """What the contract reserves for a task: every miner at full length and full accuracy."""
    return redundancy * (max_input_tokens * price.input_wei + max_tokens * price.output_wei)
