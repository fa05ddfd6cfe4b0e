"""The support of every parameter of OpenAI's API. The tables here are the only definition.

`docs/openai.md` has a copy of these tables; a test compares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sessions.faces.openai.errors import OpenAIError, unsupported


class Treatment(Enum):
    """How this interface treats a parameter."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    """The parameter is accepted and has no effect, as OpenAI's specification allows."""
    REFUSED = "refused"
    """The parameter results in 400 `unsupported_parameter`, unless its value has no effect."""


@dataclass(frozen=True)
class OpenAIParameter:
    """One parameter. `harmless` has the values of a refused parameter that have no effect."""

    name: str
    treatment: Treatment
    note: str = ""
    harmless: tuple[Any, ...] = ()

    def asks_for_nothing(self, value: Any) -> bool:
        return value is None or any(
            type(value) is type(other) and value == other for other in self.harmless
        )


def _honoured(name: str, note: str = "") -> OpenAIParameter:
    return OpenAIParameter(name, Treatment.HONOURED, note)


def _ignored(name: str, note: str = "") -> OpenAIParameter:
    return OpenAIParameter(name, Treatment.IGNORED, note)


def _refused(name: str, note: str = "", harmless: tuple[Any, ...] = ()) -> OpenAIParameter:
    return OpenAIParameter(name, Treatment.REFUSED, note, harmless)


_SAMPLING = (
    _honoured("n", "each is a task of its own; prompts × n is at most 16"),
    _honoured("stream"),
    _honoured("stream_options", "`include_usage`; `include_obfuscation` may be false"),
    _honoured("stop", "a string or a list of 1 to 4, each of 1 to 64 characters"),
    _honoured("temperature", "0 … 2 in hundredths; the model's own if left out (OpenAI: 1)"),
    _honoured("top_p", "0.01 … 1 in hundredths; the model's own if left out"),
    _honoured("presence_penalty", "0 … 2 in hundredths, below 0 is refused; the model's own"),
    _honoured("frequency_penalty", "as `presence_penalty`"),
    _honoured("seed", "64 bits; the same seed and request draw the same answer (above)"),
    _honoured("logit_bias", "at most 1,024 of the model's own token ids, each -100 … 100"),
    _ignored("user"),
)
_OURS = (
    _honoured("top_k", "an extension; 0 is all; the model's own if left out"),
    _honoured("timeout", "an extension: seconds that the task has, 5 … 3600, 60 if left out"),
    _honoured("session_id", "an extension: the session that pays, like the header `X-Session-ID`"),
)

CHAT = (
    _honoured("model", "an id of `GET /v1/models`, or the number of a `modelIdentifier`"),
    _honoured("messages", "text only; roles `developer`, `system`, `user`, `assistant`, `tool`"),
    _honoured(
        "max_completion_tokens",
        "cut to what the context has room for (`X-Max-Tokens`); the model's own",
    ),
    _honoured("max_tokens", "the older name"),
    *_SAMPLING,
    _honoured("logprobs", "of the tokens that are shown, before bias, penalties and temperature"),
    _honoured("top_logprobs", "0 … 20, with `logprobs` only; fewer above 1,489 tokens"),
    _honoured(
        "response_format",
        "`text`, `json_object`, or `json_schema` as far as a grammar can hold it (below)",
    ),
    _honoured("tools", "at most 32 functions; one call an answer, by grammar (below)"),
    _honoured("tool_choice", "`none`, `auto`, `required`, or a function"),
    _ignored("parallel_tool_calls", "an answer has one call"),
    _refused("functions", "the older name; use `tools`", ([],)),
    _refused("function_call", "the older name; use `tool_choice`", ("none", "auto")),
    _refused("modalities", "text only", (["text"],)),
    _refused("audio", "text only"),
    _refused("web_search_options", "miners reach nothing but their mailbox"),
    _refused("reasoning_effort", "no model here reasons apart", ("none",)),
    _refused("verbosity", "no model here has it", ("medium",)),
    _ignored("prediction", "it only makes answers faster"),
    _ignored("metadata"),
    _refused("store", "answers are kept with their task, not as chat completions", (False,)),
    _ignored("service_tier", "there is one"),
    _ignored("safety_identifier"),
    _ignored("prompt_cache_key"),
    _ignored("prompt_cache_options"),
    _ignored("prompt_cache_retention"),
    _refused("moderation", "nothing is moderated here"),
    *_OURS,
)

TEXT = (
    _honoured("model", "as for chat"),
    _honoured("prompt", "a string or a list of strings; token ids are refused"),
    _honoured(
        "max_tokens", "cut to what the context has room for (`X-Max-Tokens`); 16 if left out"
    ),
    *_SAMPLING,
    _honoured("echo", "the prompt before its answer"),
    _honoured("logprobs", "0 … 5; not with `echo`"),
    _refused("best_of", "every answer is returned; use `n`", (1,)),
    _refused("suffix", "no model here fills in", ("",)),
    *_OURS,
)

EMBEDDINGS = (
    _honoured("model", "the embedding model of `GET /v1/models`"),
    _honoured("input", "a string, or a list of 1 to 64; token ids are refused"),
    _honoured("encoding_format", "`float` or `base64`"),
    _honoured("dimensions", "the model's own only"),
    _ignored("user"),
)


def check(members: Mapping[str, Any], table: Sequence[OpenAIParameter]) -> dict[str, Any]:
    """Return the supported members of a body that are not null.

    Raises:
        OpenAIError: a parameter is unsupported or unknown.
    """
    known = {parameter.name: parameter for parameter in table}
    honoured: dict[str, Any] = {}
    for name, value in members.items():
        parameter = known.get(name)
        if parameter is None:
            raise OpenAIError(
                f"Unknown parameter: '{name[:64]}'.", param=name[:64], code="unknown_parameter"
            )
        if parameter.treatment is Treatment.HONOURED and value is not None:
            honoured[name] = value
        if parameter.treatment is Treatment.REFUSED and not parameter.asks_for_nothing(value):
            raise unsupported(name, parameter.note)
    return honoured


def markdown(table: Sequence[OpenAIParameter]) -> str:
    """Return a table in the form of the documentation."""
    rows = [f"| `{p.name}` | {p.treatment.value} | {p.note} |" for p in table]
    return "\n".join(["| parameter | | |", "|---|---|---|", *rows])
