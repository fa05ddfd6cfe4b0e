"""Reading the body of a completion request: strict about types, deaf to unknown members."""

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
"""The largest number of anything that a client may ask for."""
MAX_DEPTH = 32
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NOT_BELOW_ZERO = "penalties below 0 are not served yet; send a number from 0 to 2"


class AnswerSerializer(serializers.Serializer):
    """What every face's completions have in common: how an answer is drawn, sent and paid.

    How tokens are drawn, and how many at most, is left to the model where a client does not say.
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
    """How an answer is to be drawn, from the values of an `AnswerSerializer`."""
    return AskedParams(
        max_tokens=max_tokens,
        temperature_x100=values.get("temperature"),
        top_p_x100=values.get("top_p"),
        top_k=values.get("top_k"),
        presence_penalty_x100=values.get("presence_penalty"),
        frequency_penalty_x100=values.get("frequency_penalty"),
    )


def timeout_s(values: Mapping[str, Any]) -> int:
    """How long the task may take: what the client asks, within the contract's bounds."""
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
    """A well-formed request: which session, what, and whether the answer is to be streamed."""

    session_id: int
    stream: bool
    request: CompletionRequest


# Made once: to make a serializer is to copy each of its fields.
_BODY = CompletionSerializer()


def read_completion(
    body: bytes,
    session_id: int | None,
    default_session_id: int | None = None,
    *,
    key: str = "",
) -> CompletionBody:
    """Read a request's body.

    Args:
        session_id: the one in the address, if there is one.
        default_session_id: the one that is meant where neither address nor body name one.
        key: what the client calls this request, to send it again.

    Raises:
        ParseError: it is no JSON object.
        ValidationError: a member is wrong; the error names it.
    """
    members = json_object(body)
    # A member that is null says no more than one that is missing.
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
    """A request's body as a JSON object of bounded depth.

    Raises:
        ParseError: it is none.
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
    # The parser calls itself for each level: a body of brackets only could crash this process.
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
