"""The lists of numbers that come with a task, as `Session.submit` takes them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum

from chain.errors import ChainError

MIN_TIMEOUT_S, MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S = 5, 3600, 60


class PromptType(IntEnum):
    """How a model reads a task's prompt, by the numbers that `Session.submit` takes.

    0 to 2 are those of the published interface. Ours begin at 128, out of its way.
    """

    MESSAGE = 0
    """A user's message, put into the model's own chat template."""
    RAW = 1
    """The text as it is, where it holds control tokens of the model's chat template, which its
    client has then written itself; any other text is a user's message."""
    SYSTEM = 2
    """A user's message behind a system message, which `promptTemplate` is."""
    CONTINUATION = 128
    """Plain text that the model continues, without a template."""
    CONVERSATION = 129
    """JSON of a list of messages, put into the model's chat template."""


class InvalidParams(ChainError, ValueError):
    """The numbers do not describe a task that the contract takes."""


@dataclass(frozen=True)
class LlmParams:
    """How a task wants to be answered, in the contract's units (hundredths).

    A `top_p_x100` or `top_k` of 0 filters nothing: it is what a short list on chain says.
    """

    max_tokens: int
    temperature_x100: int = 0
    top_p_x100: int = 0
    top_k: int = 0
    presence_penalty_x100: int = 0
    frequency_penalty_x100: int = 0

    def to_words(self) -> list[int]:
        """The list as it goes on chain."""
        return [getattr(self, field.name) for field in fields(self)]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "LlmParams":
        """Read a list from the chain. What is missing is 0, what is beyond is ignored.

        Raises InvalidParams when there is no `max_tokens`.
        """
        if not words or words[0] == 0:
            raise InvalidParams("llmParams[0]: maxTokens is missing; put at least 1 there")
        return cls(*words[: len(fields(cls))])

    def without_penalties(self) -> "LlmParams":
        """The same, with nothing held against a token for having been drawn before."""
        return replace(self, presence_penalty_x100=0, frequency_penalty_x100=0)


@dataclass(frozen=True)
class AskedParams:
    """`LlmParams` as far as a client names them: None is what it leaves to the model."""

    max_tokens: int | None = None
    temperature_x100: int | None = None
    top_p_x100: int | None = None
    top_k: int | None = None
    presence_penalty_x100: int | None = None
    frequency_penalty_x100: int | None = None

    def filled(self, defaults: LlmParams) -> LlmParams:
        """What is asked, and the defaults for the rest. A 0 that is asked stays a 0."""
        asked = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(defaults, **asked)

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "AskedParams":
        """Read a list from the chain, which names as many as it has words.

        Raises InvalidParams when there is no `max_tokens`.
        """
        LlmParams.from_words(words)
        return cls(*words[: len(fields(cls))])


@dataclass(frozen=True)
class RequestParams:
    """How long a task may take, in seconds."""

    timeout_s: int = DEFAULT_TIMEOUT_S

    def to_words(self) -> list[int]:
        """The list as it goes on chain."""
        return [self.timeout_s]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "RequestParams":
        """Read a list from the chain with the contract's default and bounds."""
        timeout_s = (words[0] if words else 0) or DEFAULT_TIMEOUT_S
        return cls(min(max(timeout_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S))
