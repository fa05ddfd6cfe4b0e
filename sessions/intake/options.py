"""Sampling options that the chain's `llmParams` cannot express. Pure.

They are stored in the prompt's content block beside `stop`, so the task's digest covers them. An
inline prompt has no options.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

from sessions.logprobs import MAX_LOGPROBS

GRAMMAR_LIBRARY = "llguidance"
GRAMMAR_VERSION = version(GRAMMAR_LIBRARY)
MAX_GRAMMAR_CHARACTERS = 65_536
MAX_VERSION_CHARACTERS = 40
MAX_BIASES = 1_024
LARGEST_BIAS = 100
SMALLEST_SEED, LARGEST_SEED = -(2**63), 2**63 - 1


class OptionsUnreadable(ValueError):
    """A content block has an invalid option. The text names the member."""


@dataclass(frozen=True)
class BoundGrammar:
    """The grammar of an answer, and the library and version with which all miners read it."""

    lark: str
    library: str = GRAMMAR_LIBRARY
    version: str = GRAMMAR_VERSION

    @property
    def reader(self) -> str:
        """What reads it, as nodes name their software."""
        return f"{self.library}/{self.version}"


@dataclass(frozen=True)
class GenerationOptions:
    """The options that a miner must apply.

    Args:
        grammar: the grammar that the answer must match, or None for free text.
        logprobs: how many of the likeliest tokens to report at each position; 0 reports none.
        logit_bias: numbers from -100 to 100 to add to logits, by token id.
        seed: the seed of the sampling noise. If it is None, the task's digest seeds it.
        min_p: a token is sampled only if its probability is at least this fraction of the
            likeliest token's; 0 excludes none.
    """

    grammar: BoundGrammar | None = None
    logprobs: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    min_p: float = 0.0

    @property
    def grammar_reader(self) -> str:
        """What reads the grammar; empty where there is none."""
        return "" if self.grammar is None else self.grammar.reader

    @property
    def seed_bytes(self) -> bytes:
        """The seed as 8 bytes, or no bytes if there is no seed."""
        return b"" if self.seed is None else self.seed.to_bytes(8, "big", signed=True)

    def of_choice(self, index: int) -> "GenerationOptions":
        """Return the options of one of several choices. Each choice gets a seed of its own."""
        if self.seed is None:
            return self
        range_ = LARGEST_SEED - SMALLEST_SEED + 1
        return replace(self, seed=(self.seed + index - SMALLEST_SEED) % range_ + SMALLEST_SEED)

    def to_content(self) -> dict[str, Any]:
        """Return the members for the content block. Options with their default are omitted."""
        members = {
            "grammar": asdict(self.grammar) if self.grammar else {},
            "logprobs": self.logprobs,
            "logit_bias": {str(token): bias for token, bias in self.logit_bias.items()},
            "min_p": self.min_p,
        }
        seed = {} if self.seed is None else {"seed": self.seed}
        return {name: value for name, value in members.items() if value} | seed

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "GenerationOptions":
        """Read the options in a content block, which may come from an untrusted client.

        Raises:
            OptionsUnreadable: an option has the wrong type or is out of bounds.
        """
        grammar = _grammar(content["grammar"]) if "grammar" in content else None
        logprobs = content.get("logprobs", 0)
        if type(logprobs) is not int or not 0 <= logprobs <= MAX_LOGPROBS:
            raise OptionsUnreadable(f"'logprobs' may be a whole number from 0 to {MAX_LOGPROBS}")
        seed = content.get("seed")
        if seed is not None and not (type(seed) is int and SMALLEST_SEED <= seed <= LARGEST_SEED):
            raise OptionsUnreadable("'seed' may be a whole number of 64 bits")
        min_p = content.get("min_p", 0.0)
        if type(min_p) not in (int, float) or not 0 <= min_p <= 1:
            raise OptionsUnreadable("'min_p' may be a number from 0 to 1")
        biases = read_biases(content.get("logit_bias", {}))
        return cls(grammar, logprobs, biases, seed, float(min_p))


def _grammar(value: object) -> BoundGrammar:
    if not isinstance(value, dict):
        raise OptionsUnreadable(
            f"'grammar' may be an object of 'library' ({GRAMMAR_LIBRARY}), 'version' and 'lark'"
        )
    limits = {
        "lark": MAX_GRAMMAR_CHARACTERS,
        "library": MAX_VERSION_CHARACTERS,
        "version": MAX_VERSION_CHARACTERS,
    }
    for name, limit in limits.items():
        member = value.get(name)
        if not isinstance(member, str) or not 0 < len(member) <= limit:
            raise OptionsUnreadable(f"'grammar.{name}' may be a string of 1 to {limit} characters")
    return BoundGrammar(**{name: value[name] for name in limits})


def read_biases(value: object) -> dict[int, float]:
    """Read `{"<token id>": bias}`.

    Raises:
        OptionsUnreadable: the value has another shape, or a bias is out of bounds.
    """
    if not isinstance(value, dict) or len(value) > MAX_BIASES:
        raise OptionsUnreadable(f"'logit_bias' may be an object of {MAX_BIASES} members")
    biases: dict[int, float] = {}
    for token, bias in value.items():
        if not (isinstance(token, str) and token.isascii() and token.isdecimal()):
            raise OptionsUnreadable(f"'logit_bias' has the member {token[:20]!r}, not a token id")
        if len(token) > 9:
            raise OptionsUnreadable(
                f"'logit_bias' has the token id {token[:20]}…, which is not one"
            )
        if type(bias) not in (int, float) or not -LARGEST_BIAS <= bias <= LARGEST_BIAS:
            raise OptionsUnreadable(
                f"'logit_bias' of token {token} may be a number from -{LARGEST_BIAS}"
                f" to {LARGEST_BIAS}"
            )
        biases[int(token)] = bias
    return biases
