"""The parameters of a task, read from and written to the lists that `Session.submit` takes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum

from chain.errors import ChainError

MIN_TIMEOUT_S, MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S = 5, 3600, 60


class PromptType(IntEnum):
    """How a model reads a task's prompt: the `promptType` of `Session.submit`.

    0 to 2 are the values of the published interface. Values of this project start at 128, so that
    they do not collide with later published ones.
    """

    MESSAGE = 0
    """A user message, rendered by the model's own chat template."""
    RAW = 1
    """Text that may contain control tokens of the model's chat template.

    If it does, the client has applied the template itself, and the model reads the text unchanged.
    Otherwise the text is a user message.
    """
    SYSTEM = 2
    """A user message after a system message. `promptTemplate` is the system message."""
    CONTINUATION = 128
    """Plain text that the model continues without a template."""
    CONVERSATION = 129
    """A JSON list of messages, rendered by the model's chat template."""


class InvalidParams(ChainError, ValueError):
    """The numbers do not describe a task that the contract accepts."""


@dataclass(frozen=True)
class LlmParams:
    """The sampling parameters of a task, in the contract's units.

    Fields that end in `_x100` are in hundredths. A `top_p_x100` or `top_k` of 0 disables that
    filter, since a list on chain that is too short to contain the parameter reads as 0.
    """

    max_tokens: int
    temperature_x100: int = 0
    top_p_x100: int = 0
    top_k: int = 0
    presence_penalty_x100: int = 0
    frequency_penalty_x100: int = 0

    def to_words(self) -> list[int]:
        """Return the list for the chain."""
        return [getattr(self, field.name) for field in fields(self)]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "LlmParams":
        """Read a list from the chain. Missing values are 0; values beyond the known are ignored.

        Raises:
            InvalidParams: the list has no `max_tokens`.
        """
        if not words or words[0] == 0:
            raise InvalidParams("llmParams[0]: maxTokens is missing; put at least 1 there")
        return cls(*words[: len(fields(cls))])

    def without_penalties(self) -> "LlmParams":
        """Return the same parameters without presence and frequency penalty."""
        return replace(self, presence_penalty_x100=0, frequency_penalty_x100=0)


@dataclass(frozen=True)
class AskedParams:
    """The `LlmParams` that a client has given. None leaves the value to the model."""

    max_tokens: int | None = None
    temperature_x100: int | None = None
    top_p_x100: int | None = None
    top_k: int | None = None
    presence_penalty_x100: int | None = None
    frequency_penalty_x100: int | None = None

    def filled(self, defaults: LlmParams) -> LlmParams:
        """Return the given values, with defaults for the rest. A given 0 stays 0."""
        asked = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(defaults, **asked)

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "AskedParams":
        """Read a list from the chain. Parameters beyond the end of the list are None.

        Raises:
            InvalidParams: the list has no `max_tokens`.
        """
        LlmParams.from_words(words)
        return cls(*words[: len(fields(cls))])


@dataclass(frozen=True)
class RequestParams:
    """The time limit of a task, in seconds."""

    timeout_s: int = DEFAULT_TIMEOUT_S

    def to_words(self) -> list[int]:
        """Return the list for the chain."""
        return [self.timeout_s]

    @classmethod
    def from_words(cls, words: Sequence[int]) -> "RequestParams":
        """Read a list from the chain, and apply the contract's default and bounds."""
        timeout_s = (words[0] if words else 0) or DEFAULT_TIMEOUT_S
        return cls(min(max(timeout_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S))
