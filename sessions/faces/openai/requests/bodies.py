"""Parsing of the bodies of `/v1` into the intake's requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework import serializers

from chain.protocol.params import PromptType
from sessions.faces.common.completion_body import (
    LARGEST,
    MAX_PROMPT_CHARACTERS,
    AnswerSerializer,
    asked_params,
    json_object,
    timeout_s,
)
from sessions.faces.common.fields import Flag, Hundredths, Text, Whole
from sessions.faces.openai.errors import OpenAIError, invalid
from sessions.faces.openai.requests.conversation import conversation
from sessions.faces.openai.requests.grammars import AnswerGrammar, grammar_of
from sessions.faces.openai.requests.parameters import CHAT, TEXT, check
from sessions.faces.openai.requests.tools import Tools, read_tools
from sessions.intake.options import (
    LARGEST_SEED,
    SMALLEST_SEED,
    BoundGrammar,
    GenerationOptions,
    OptionsUnreadable,
    read_biases,
)
from sessions.intake.request import MAX_STOP_CHARACTERS, MAX_STOPS, CompletionRequest
from sessions.logprobs import MAX_LOGPROBS

MAX_CHOICES = 16
"""The most tasks that one request may create."""
TEXT_MAX_TOKENS = 16
"""The default of a text completion, as at OpenAI. A chat completion has the model's default."""
LARGEST_DEFAULT_TOKENS = 1_024
"""An upper bound of all models' default limits, to compute the size of a miner's report."""
MAX_TEXT_LOGPROBS = 5
MAX_FIGURES = 32_768
"""The most log-probabilities of an answer: each has about 32 sealed bytes in a report of 1 MiB."""


class OneOrMany(serializers.ListField):
    """A string or a list of strings."""

    def __init__(self, *, max_characters: int, max_length: int, **kwargs: Any) -> None:
        super().__init__(child=Text(max_length=max_characters), max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        return list(super().to_internal_value([data] if isinstance(data, str) else data))


class StreamOptions(serializers.Serializer):
    """The members of `stream_options`."""

    include_usage = Flag(default=False, allow_null=True)
    include_obfuscation = Flag(default=False, allow_null=True)

    def validate_include_obfuscation(self, value: bool | None) -> bool | None:
        if value:
            raise serializers.ValidationError("is not served here; pad the stream with TLS")
        return value


class JsonValue(serializers.Field):
    """A member of any JSON type, which a method of the serializer parses."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class CommonBody(AnswerSerializer):
    """The members that chat and text completions share."""

    model = Text(max_length=256)
    n = Whole(min_value=1, max_value=MAX_CHOICES, default=1)
    stream_options = StreamOptions(required=False)
    stop = OneOrMany(max_characters=MAX_STOP_CHARACTERS, max_length=MAX_STOPS, default=list)
    top_p = Hundredths(least=0, most=1, required=False)
    seed = Whole(min_value=SMALLEST_SEED, max_value=LARGEST_SEED, required=False)
    logit_bias = JsonValue(default=dict)

    def validate_top_p(self, value: int) -> int:
        # A nucleus of 0 keeps only the likeliest token, and so does one of 0.01.
        return max(value, 1)

    def validate_logit_bias(self, value: Any) -> dict[int, float]:
        try:
            return read_biases(value)
        except OptionsUnreadable as error:
            raise OpenAIError(str(error), param="logit_bias", code="invalid_value") from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "stream_options" in attrs and not attrs["stream"]:
            raise serializers.ValidationError(
                {"stream_options": "is allowed only with 'stream': true"}
            )
        return attrs


class ChatBody(CommonBody):
    """The members of chat completions only.

    `validate` stores the conversation in `prompt`, the callable functions in `tools`, and the
    answer's grammar in `grammar`.
    """

    messages = JsonValue()
    max_completion_tokens = Whole(min_value=1, max_value=LARGEST, required=False)
    logprobs = Flag(default=False)
    top_logprobs = Whole(min_value=0, max_value=MAX_LOGPROBS, required=False)
    response_format = JsonValue(required=False)
    tools = JsonValue(default=list)
    tool_choice = JsonValue(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("top_logprobs") and not attrs["logprobs"]:
            raise serializers.ValidationError(
                {"top_logprobs": "is allowed only with 'logprobs': true"}
            )
        attrs = super().validate(attrs)
        # Make the grammar last, since it is the most work: everything else is valid by then.
        tools = read_tools(attrs)
        prompt = conversation(attrs["messages"], "" if tools is None else tools.instruction)
        return attrs | {"tools": tools, "prompt": prompt, "grammar": _grammar(attrs, tools)}


def _grammar(attrs: Mapping[str, Any], tools: Tools | None) -> AnswerGrammar | None:
    asked = grammar_of(attrs["response_format"]) if "response_format" in attrs else None
    if tools is None:
        return asked
    if asked is not None:
        raise invalid("response_format", "it does not go with 'tools'; send one of them")
    return tools.grammar


class TextBody(CommonBody):
    """The members of text completions only."""

    prompt = OneOrMany(
        max_characters=MAX_PROMPT_CHARACTERS, max_length=MAX_CHOICES, allow_empty=False
    )
    echo = Flag(default=False)
    logprobs = Whole(min_value=0, max_value=MAX_TEXT_LOGPROBS, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["echo"] and "logprobs" in attrs:
            raise serializers.ValidationError(
                {"logprobs": "is not served with 'echo': miners do not tell those of the prompt"}
            )
        if len(attrs["prompt"]) * attrs["n"] > MAX_CHOICES:
            raise OpenAIError(
                f"'n' × prompts may be at most {MAX_CHOICES}.", param="n", code="invalid_value"
            )
        return super().validate(attrs)


@dataclass(frozen=True)
class Asked:
    """A validated request.

    Args:
        requests: one for each choice, in the order of the choices.
        shown_before: a text for each choice to show before the model's text.
        tools: the functions that an answer may call.
        top_logprobs: how many of the likeliest tokens to report with each sampled token, or None
            to report no log-probabilities.
        names: the endpoint's names of the intake's members, for errors.
        logprobs_name: the endpoint's name of the number of log-probabilities.
        passed_over: the paths of a schema's members that are not enforced.
    """

    model: str
    requests: Sequence[CompletionRequest]
    stream: bool
    include_usage: bool
    session_id: int | None
    shown_before: Sequence[str]
    top_logprobs: int | None = None
    tools: Tools | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    logprobs_name: str = "logprobs"
    passed_over: Sequence[str] = ()


# Shared by all requests: constructing a serializer copies each of its fields.
_CHAT_BODY, _TEXT_BODY = ChatBody(), TextBody()


def read_chat(body: bytes, key: str) -> Asked:
    """Parse the body of `POST /chat/completions`.

    Args:
        key: the idempotency key, or an empty string.

    Raises:
        OpenAIError, ParseError, ValidationError: the body is not valid, or asks for something
            unsupported.
    """
    values: dict[str, Any] = dict(_CHAT_BODY.run_validation(check(json_object(body), CHAT)))
    grammar: AnswerGrammar | None = values["grammar"]
    top_logprobs = values.get("top_logprobs", 0) if values["logprobs"] else None
    limit = "max_completion_tokens" if "max_completion_tokens" in values else "max_tokens"
    options = _options(values, top_logprobs)
    if grammar is not None:
        options = replace(options, grammar=BoundGrammar(grammar.lark))
    request = CompletionRequest(
        prompt=values["prompt"],
        prompt_type=PromptType.CONVERSATION,
        timeout_s=timeout_s(values),
        params=asked_params(values, values.get(limit)),
        stop=tuple(values["stop"]),
        options=options,
    )
    requests = _numbered(_choices(request, values["n"]), key)
    asked = _asked(values, requests, [""] * len(requests), top_logprobs)
    return replace(
        asked,
        names={"prompt": "messages", "max_tokens": limit},
        logprobs_name="top_logprobs",
        tools=values["tools"],
        passed_over=() if grammar is None else tuple(grammar.passed_over),
    )


def read_text(body: bytes, key: str) -> Asked:
    """Parse the body of `POST /completions`. Otherwise it is like `read_chat`."""
    values: dict[str, Any] = dict(_TEXT_BODY.run_validation(check(json_object(body), TEXT)))
    options = _options(values, values.get("logprobs"))
    each = [
        CompletionRequest(
            prompt=prompt,
            prompt_type=PromptType.CONTINUATION,
            timeout_s=timeout_s(values),
            params=asked_params(values, values.get("max_tokens", TEXT_MAX_TOKENS)),
            stop=tuple(values["stop"]),
            options=options,
        )
        for prompt in values["prompt"]
    ]
    requests = [choice for one in each for choice in _choices(one, values["n"])]
    shown = [one.prompt if values["echo"] else "" for one in requests]
    return _asked(values, _numbered(requests, key), shown, values.get("logprobs"))


def require_reportable(asked: Asked, context_tokens: int) -> None:
    """Check that the requested log-probabilities fit into a miner's report.

    Raises:
        OpenAIError: an answer of the requested length could have too many.
    """
    for request in asked.requests:
        logprobs = request.options.logprobs
        tokens = min(request.params.max_tokens or LARGEST_DEFAULT_TOKENS, context_tokens)
        if logprobs and tokens * (logprobs + 2) > MAX_FIGURES:
            most = max(MAX_FIGURES // tokens - 2, 0)
            raise invalid(
                asked.logprobs_name,
                f"with {tokens} tokens of answer, at most {most} fit into a miner's report; ask for"
                " fewer of either",
            )


def _choices(request: CompletionRequest, count: int) -> list[CompletionRequest]:
    return [replace(request, options=request.options.of_choice(index)) for index in range(count)]


def _options(values: Mapping[str, Any], top_logprobs: int | None) -> GenerationOptions:
    """Return the options that miners get with the prompt."""
    # Miners report a sampled token only with at least one likeliest token. For 0, hide that one.
    logprobs = 0 if top_logprobs is None else max(top_logprobs, 1)
    return GenerationOptions(None, logprobs, values["logit_bias"], values.get("seed"))


def _numbered(requests: Sequence[CompletionRequest], key: str) -> list[CompletionRequest]:
    """Give each request a key of its own, derived from the client's idempotency key."""
    if not key or len(requests) == 1:
        return [replace(request, idempotency_key=key) for request in requests]
    return [
        replace(request, idempotency_key=f"{key}#{index}") for index, request in enumerate(requests)
    ]


def _asked(
    values: Mapping[str, Any],
    requests: Sequence[CompletionRequest],
    shown_before: Sequence[str],
    top_logprobs: int | None,
) -> Asked:
    return Asked(
        model=values["model"],
        requests=requests,
        stream=values["stream"],
        include_usage=bool(values.get("stream_options", {}).get("include_usage")),
        session_id=values.get("session_id"),
        shown_before=shown_before,
        top_logprobs=top_logprobs,
    )
