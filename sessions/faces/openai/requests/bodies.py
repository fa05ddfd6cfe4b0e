"""Reading the bodies of `/v1`: what is asked, as the intake understands it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rest_framework import serializers

from chain.protocol.params import MAX_TIMEOUT_S, MIN_TIMEOUT_S, AskedParams, PromptType
from sessions.faces.common.completion_body import (
    MAX_MAX_TOKENS,
    MAX_PROMPT_CHARACTERS,
    NOT_BELOW_ZERO,
    json_object,
)
from sessions.faces.common.fields import Flag, Hundredths, Text, Whole, session_number
from sessions.faces.openai.errors import OpenAIError
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
from sessions.intake.request import (
    DEFAULT_TIMEOUT_S,
    MAX_STOP_CHARACTERS,
    MAX_STOPS,
    CompletionRequest,
)
from sessions.logprobs import MAX_LOGPROBS

MAX_CHOICES = 16
"""The most tasks that one request may be."""
TEXT_MAX_TOKENS = 16
"""Of a text completion where the client names no number, as at OpenAI; a chat has the model's."""
LARGEST_DEFAULT_TOKENS = 1_024
"""No model's own limit is more; the figures of so many tokens can be reported."""
MAX_TEXT_LOGPROBS = 5
MAX_FIGURES = 32_768
"""Log-probabilities of an answer: about 32 bytes each, sealed, in a report of 1 MiB."""


class OneOrMany(serializers.ListField):
    """A string, or a list of some."""

    def __init__(self, *, max_characters: int, max_length: int, **kwargs: Any) -> None:
        super().__init__(child=Text(max_length=max_characters), max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        return list(super().to_internal_value([data] if isinstance(data, str) else data))


class StreamOptions(serializers.Serializer):
    """What a stream has beside the answer."""

    include_usage = Flag(default=False, allow_null=True)
    include_obfuscation = Flag(default=False, allow_null=True)

    def validate_include_obfuscation(self, value: bool | None) -> bool | None:
        if value:
            raise serializers.ValidationError("is not served here; pad the stream with TLS")
        return value


class Sampling(serializers.Serializer):
    """What chat and text completions have in common."""

    model = Text(max_length=256)
    n = Whole(min_value=1, max_value=MAX_CHOICES, default=1)
    stream = Flag(default=False)
    stream_options = StreamOptions(required=False)
    stop = OneOrMany(max_characters=MAX_STOP_CHARACTERS, max_length=MAX_STOPS, default=list)
    temperature = Hundredths(least=0, most=2, required=False)
    top_p = Hundredths(least=0, most=1, required=False)
    top_k = Whole(min_value=0, max_value=2**31 - 1, required=False)
    presence_penalty = Hundredths(least=0, most=2, too_low=NOT_BELOW_ZERO, required=False)
    frequency_penalty = Hundredths(least=0, most=2, too_low=NOT_BELOW_ZERO, required=False)
    seed = Whole(min_value=SMALLEST_SEED, max_value=LARGEST_SEED, required=False)
    timeout = Whole(min_value=1, max_value=2**31 - 1, default=DEFAULT_TIMEOUT_S)
    session_id = session_number(required=False)
    max_tokens = Whole(min_value=1, max_value=MAX_MAX_TOKENS, required=False)
    max_completion_tokens = Whole(min_value=1, max_value=MAX_MAX_TOKENS, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "stream_options" in attrs and not attrs["stream"]:
            raise serializers.ValidationError(
                {"stream_options": "is allowed only with 'stream': true"}
            )
        return attrs


class ChatBody(Sampling):
    """What chat completions have of their own; their messages are read apart."""

    logprobs = Flag(default=False)
    top_logprobs = Whole(min_value=0, max_value=MAX_LOGPROBS, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("top_logprobs") and not attrs["logprobs"]:
            raise serializers.ValidationError(
                {"top_logprobs": "is allowed only with 'logprobs': true"}
            )
        return super().validate(attrs)


class TextBody(Sampling):
    """What text completions have of their own."""

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
        return super().validate(attrs)


@dataclass(frozen=True)
class Asked:
    """A well-formed request.

    Args:
        requests: one a choice, in the order of the choices.
        shown_before: what each choice begins with, before the model's own words.
        tools: what an answer may call.
        top_logprobs: how many of the likeliest tokens are told with each that was drawn; None
            tells of neither.
        names: what the endpoint calls the intake's members, for its errors.
        logprobs_name: what it calls the number of log-probabilities.
        passed_over: the paths of members of a schema to which no answer is held.
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


# Made once: to make a serializer is to copy each of its fields.
_CHAT_BODY, _TEXT_BODY = ChatBody(), TextBody()


def read_chat(body: bytes, key: str) -> Asked:
    """Read the body of `POST /chat/completions`.

    Args:
        key: the idempotency key, or nothing.

    Raises:
        OpenAIError, ParseError, ValidationError: it is not well-formed, or asks for what is not
            served.
    """
    members = check(json_object(body), CHAT)
    if "messages" not in members:
        raise OpenAIError(
            "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
        )
    tools = read_tools(members)
    prompt = conversation(members["messages"], tools.instruction if tools else "")
    values = dict(_CHAT_BODY.run_validation(members))
    top_logprobs = values.get("top_logprobs", 0) if values["logprobs"] else None
    limit = "max_completion_tokens" if "max_completion_tokens" in values else "max_tokens"
    options = _options(members, top_logprobs, values.get("seed"))
    asked_format = _format(members)
    if tools is not None and asked_format is not None:
        raise OpenAIError(
            "Invalid 'response_format': it does not go with 'tools'; send one of them.",
            "response_format",
            "invalid_value",
        )
    grammar = tools.grammar if tools is not None else asked_format
    if grammar is not None:
        options = replace(options, grammar=BoundGrammar(grammar.lark))
    request = _request(values, limit, None, options)
    request = replace(request, prompt=prompt, prompt_type=PromptType.CONVERSATION)
    requests = _numbered(_choices(request, values["n"]), key)
    names = {"prompt": "messages", "max_tokens": limit}
    asked = _asked(values, requests, [""] * len(requests), top_logprobs)
    passed_over = tuple(grammar.passed_over) if grammar is not None else ()
    told = replace(asked, names=names, tools=tools, passed_over=passed_over)
    return replace(told, logprobs_name="top_logprobs")


def read_text(body: bytes, key: str) -> Asked:
    """Read the body of `POST /completions`; as `read_chat`."""
    members = check(json_object(body), TEXT)
    values = dict(_TEXT_BODY.run_validation(members))
    prompts = values["prompt"]
    if len(prompts) * values["n"] > MAX_CHOICES:
        raise OpenAIError(
            f"'n' × prompts may be at most {MAX_CHOICES}.", param="n", code="invalid_value"
        )
    options = _options(members, values.get("logprobs"), values.get("seed"))
    request = _request(values, "max_tokens", TEXT_MAX_TOKENS, options)
    each = [
        replace(request, prompt=prompt, prompt_type=PromptType.CONTINUATION) for prompt in prompts
    ]
    requests = [choice for one in each for choice in _choices(one, values["n"])]
    shown = [one.prompt if values["echo"] else "" for one in requests]
    return _asked(values, _numbered(requests, key), shown, values.get("logprobs"))


def require_reportable(asked: Asked, context_tokens: int) -> None:
    """A miner's report has a size, and the figures of each token of the answer take some of it.

    Raises:
        OpenAIError: not all figures that are asked for fit.
    """
    for request in asked.requests:
        logprobs = request.options.logprobs
        tokens = min(request.params.max_tokens or LARGEST_DEFAULT_TOKENS, context_tokens)
        if logprobs and tokens * (logprobs + 2) > MAX_FIGURES:
            most = max(MAX_FIGURES // tokens - 2, 0)
            raise OpenAIError(
                f"Invalid '{asked.logprobs_name}': with {tokens} tokens of answer, at most {most}"
                " fit into a miner's report; ask for fewer of either.",
                param=asked.logprobs_name,
                code="invalid_value",
            )


def _request(
    values: Mapping[str, Any],
    limit: str,
    default_max_tokens: int | None,
    options: GenerationOptions,
) -> CompletionRequest:
    top_p = values.get("top_p")
    return CompletionRequest(
        prompt="",
        timeout_s=min(max(values["timeout"], MIN_TIMEOUT_S), MAX_TIMEOUT_S),
        params=AskedParams(
            max_tokens=values.get(limit, default_max_tokens),
            temperature_x100=values.get("temperature"),
            # Nothing is left of a nucleus of 0 but the likeliest token, which 0.01 leaves as well.
            top_p_x100=None if top_p is None else max(top_p, 1),
            top_k=values.get("top_k"),
            presence_penalty_x100=values.get("presence_penalty"),
            frequency_penalty_x100=values.get("frequency_penalty"),
        ),
        stop=tuple(values["stop"]),
        options=options,
    )


def _choices(request: CompletionRequest, count: int) -> list[CompletionRequest]:
    return [replace(request, options=request.options.of_choice(index)) for index in range(count)]


def _options(
    members: Mapping[str, Any], top_logprobs: int | None, seed: int | None
) -> GenerationOptions:
    """What goes to the miners with the prompt; `parameters` decides what gets this far."""
    try:
        biases = read_biases(members.get("logit_bias", {}))
    except OptionsUnreadable as error:
        raise OpenAIError(str(error), param="logit_bias", code="invalid_value") from error
    # Miners tell of no token without a rival; the likeliest is then not shown.
    logprobs = 0 if top_logprobs is None else max(top_logprobs, 1)
    return GenerationOptions(None, logprobs, biases, seed)


def _format(members: Mapping[str, Any]) -> AnswerGrammar | None:
    return grammar_of(members["response_format"]) if "response_format" in members else None


def _numbered(requests: Sequence[CompletionRequest], key: str) -> list[CompletionRequest]:
    """The requests under one idempotency key, each with a key of its own."""
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
