"""Parsing of completion requests. Types are checked strictly; unknown members are ignored."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from rest_framework import serializers
from rest_framework.exceptions import ParseError

from chain.protocol.params import MAX_TIMEOUT_S, MIN_TIMEOUT_S, AskedParams, PromptType
from sessions.faces.common.fields import Flag, Hundredths, Text, Whole, json_type, session_number
from sessions.intake.request import (
    DEFAULT_TIMEOUT_S,
    MAX_STOP_CHARACTERS,
    MAX_STOPS,
    CompletionRequest,
)

MAX_PROMPT_CHARACTERS = 1_000_000
MAX_TEMPLATE_CHARACTERS = 4_096
MAX_REFERENCE_CHARACTERS = 128
LARGEST = 2**31 - 1
"""The largest value of any number in a request."""
MAX_DEPTH = 32
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NOT_BELOW_ZERO = "penalties below 0 are not served yet; send a number from 0 to 2"


class AnswerSerializer(serializers.Serializer):
    """The members that completion requests share: sampling, streaming, timeout and payer.

    An omitted sampling parameter or `max_tokens` takes the model's default.
    """

    session_id = session_number(required=False)
    stream = Flag(default=False)
    timeout = Whole(min_value=1, max_value=LARGEST, default=DEFAULT_TIMEOUT_S)
    max_tokens = Whole(min_value=1, max_value=LARGEST, required=False)
    temperature = Hundredths(least=0, most=2, required=False)
    top_p = Hundredths(least=0.01, most=1, required=False)
    top_k = Whole(min_value=0, max_value=LARGEST, required=False)
    presence_penalty = Hundredths(least=0, most=2, too_low=_NOT_BELOW_ZERO, required=False)
    frequency_penalty = Hundredths(least=0, most=2, too_low=_NOT_BELOW_ZERO, required=False)


def asked_params(values: Mapping[str, Any], max_tokens: int | None) -> AskedParams:
    """Return the sampling parameters that a client asked for, from an `AnswerSerializer`."""
    return AskedParams(
        max_tokens=max_tokens,
        temperature_x100=values.get("temperature"),
        top_p_x100=values.get("top_p"),
        top_k=values.get("top_k"),
        presence_penalty_x100=values.get("presence_penalty"),
        frequency_penalty_x100=values.get("frequency_penalty"),
    )


def timeout_s(values: Mapping[str, Any]) -> int:
    """Return the timeout that a client asked for, limited to the contract's bounds."""
    return int(min(max(values["timeout"], MIN_TIMEOUT_S), MAX_TIMEOUT_S))


class CompletionSerializer(AnswerSerializer):
    """The members of a completion request, with their bounds and defaults."""

    prompt = Text(max_length=MAX_PROMPT_CHARACTERS)
    prompt_type = Whole(default=int(PromptType.MESSAGE))
    prompt_template = Text(max_length=MAX_TEMPLATE_CHARACTERS, allow_blank=True, default="")
    client_reference = Text(max_length=MAX_REFERENCE_CHARACTERS, allow_blank=True, default="")
    max_miners = Whole(min_value=1, max_value=LARGEST, default=0)
    stop = serializers.ListField(
        child=Text(max_length=MAX_STOP_CHARACTERS), max_length=MAX_STOPS, default=list
    )

    def validate_prompt_type(self, value: int) -> int:
        if value not in set(PromptType):
            known = ", ".join(str(int(each)) for each in PromptType)
            raise serializers.ValidationError(f"must be one of {known}")
        return value

    def validate_client_reference(self, value: str) -> str:
        if len(value.encode()) > MAX_REFERENCE_CHARACTERS:
            raise serializers.ValidationError(f"more than {MAX_REFERENCE_CHARACTERS} bytes")
        return value


@dataclass(frozen=True)
class CompletionBody:
    """A validated request: the session that pays, the task, and whether to stream the answer."""

    session_id: int
    stream: bool
    request: CompletionRequest


# Shared by all requests: constructing a serializer copies each of its fields.
_BODY = CompletionSerializer()


def read_completion(
    body: bytes,
    session_id: int | None,
    default_session_id: int | None = None,
    *,
    key: str = "",
) -> CompletionBody:
    """Parse and validate the body of a completion request.

    Args:
        session_id: the session in the URL, if the URL names one.
        default_session_id: the session to use when neither URL nor body name one.
        key: the request's idempotency key, or an empty string.

    Raises:
        ParseError: the body is not a JSON object.
        ValidationError: a member is invalid; the error names it.
    """
    members = json_object(body)
    # Treat null like a missing member.
    given = {name: value for name, value in members.items() if value is not None}
    values: dict[str, Any] = dict(_BODY.run_validation(given))
    return CompletionBody(
        session_id=_agreed(session_id, values.get("session_id"), default_session_id),
        stream=values["stream"],
        request=CompletionRequest(
            prompt=values["prompt"],
            prompt_type=values["prompt_type"],
            prompt_template=values["prompt_template"],
            timeout_s=timeout_s(values),
            client_reference=values["client_reference"],
            idempotency_key=key,
            max_miners=values["max_miners"],
            params=asked_params(values, values.get("max_tokens")),
            stop=tuple(values["stop"]),
        ),
    )


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a request's body as a JSON object of at most `MAX_DEPTH` levels.

    Raises:
        ParseError: the body is not a JSON object, or it is nested too deeply.
    """
    _require_shallow(body)
    try:
        members = json.loads(body, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ParseError(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:
        raise ParseError("the body is not JSON that this router reads") from error
    if not isinstance(members, dict):
        raise ParseError(f"the body must be a JSON object, not {json_type(members)}")
    return members


def _require_shallow(body: bytes) -> None:
    # The JSON parser recurses once a level, so deep nesting could overflow this process's stack.
    depth = 0
    for token in _STRUCTURE.finditer(body):
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise ParseError(f"the body is nested deeper than {MAX_DEPTH} levels")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _agreed(in_address: int | None, in_body: int | None, default: int | None) -> int:
    if in_address is None and in_body is None:
        if default is not None:
            return default
        raise serializers.ValidationError({"session_id": "is missing; send it in the body"})
    if None not in (in_address, in_body) and in_address != in_body:
        raise serializers.ValidationError(
            {"session_id": f"is {in_body} in the body and {in_address} in the address"}
        )
    return in_address if in_address is not None else int(in_body or 0)
