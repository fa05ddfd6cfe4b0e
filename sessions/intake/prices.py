"""The highest price of a task. Pure. Amounts are in wei of $COR, computed as the contract does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenPrice:
    """The price of one token of a model, in wei."""

    input_wei: int
    output_wei: int


def worst_case_wei(
    price: TokenPrice, *, redundancy: int, max_input_tokens: int, max_tokens: int
) -> int:
    """Return what the contract reserves: every miner at full length and with full accuracy."""
    return redundancy * (max_input_tokens * price.input_wei + max_tokens * price.output_wei)
