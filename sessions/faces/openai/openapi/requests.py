"""The request bodies of `/v1` in the OpenAPI description, made from the parameters' tables."""

from sessions.faces.openai.embedding_views import MAX_CHARACTERS, MAX_TEXTS
from sessions.faces.openai.requests.bodies import (
    MAX_CHOICES,
    MAX_TEXT_LOGPROBS,
    TEXT_MAX_TOKENS,
)
from sessions.faces.openai.requests.conversation import MAX_MESSAGES
from sessions.faces.openai.requests.parameters import (
    CHAT,
    EMBEDDINGS,
    TEXT,
    OpenAIParameter,
    Treatment,
)
from sessions.faces.openai.requests.tools import MAX_DESCRIPTION_CHARACTERS, MAX_FUNCTIONS, NAME
from sessions.faces.openapi.terms import (
    NULL,
    Schema,
    decimal,
    list_of,
    number_or_digits,
    object_of,
    text,
    whole,
)
from sessions.intake.options import LARGEST_BIAS, LARGEST_SEED, MAX_BIASES, SMALLEST_SEED
from sessions.intake.request import DEFAULT_TIMEOUT_S, MAX_STOP_CHARACTERS, MAX_STOPS
from sessions.logprobs import MAX_LOGPROBS

_STOP = text(minLength=1, maxLength=MAX_STOP_CHARACTERS)
_STREAM_OPTIONS = object_of(
    {}, include_usage={"type": "boolean"}, include_obfuscation={"type": "boolean", "const": False}
)
_MESSAGE = object_of(
    {
        "role": {"enum": ["developer", "system", "user", "assistant", "tool"]},
        "content": {
            "oneOf": [
                text(),
                list_of(object_of({"type": {"const": "text"}, "text": text()}), minItems=1),
            ]
        },
    }
)
_CLIENT_SCHEMA = {
    "type": "object",
    "description": "a JSON Schema, draft 2020-12. With `strict`, a member that a grammar does not"
    " hold is a 400 that names it; without, it is passed over and named in a header",
}
_RESPONSE_FORMAT = {
    "oneOf": [
        object_of({"type": {"enum": ["text", "json_object"]}}),
        object_of(
            {
                "type": {"const": "json_schema"},
                "json_schema": object_of(
                    {"name": text(), "schema": _CLIENT_SCHEMA}, strict={"type": "boolean"}
                ),
            }
        ),
    ]
}
_FUNCTION_NAME = f"^{NAME.pattern}$"
_TOOL = object_of(
    {
        "type": {"const": "function"},
        "function": object_of(
            {"name": text(pattern=_FUNCTION_NAME)},
            description=text(maxLength=MAX_DESCRIPTION_CHARACTERS),
            parameters=_CLIENT_SCHEMA,
            strict={"type": "boolean"},
        ),
    }
)
_COMMON: dict[str, Schema] = {
    "model": text(minLength=1, maxLength=256),
    "n": whole(1, MAX_CHOICES, default=1),
    "stream": {"type": "boolean", "default": False},
    "stream_options": _STREAM_OPTIONS,
    "stop": {"oneOf": [_STOP, list_of(_STOP, maxItems=MAX_STOPS)]},
    "temperature": decimal(0, 2),
    "top_p": decimal(0, 1),
    "presence_penalty": decimal(0, 2),
    "frequency_penalty": decimal(0, 2),
    "logit_bias": {
        "type": "object",
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "maxProperties": MAX_BIASES,
        "additionalProperties": decimal(-LARGEST_BIAS, LARGEST_BIAS),
    },
    "seed": whole(SMALLEST_SEED, LARGEST_SEED),
    "top_k": whole(0),
    "timeout": whole(1, default=DEFAULT_TIMEOUT_S),
    "session_id": number_or_digits(1, 2**63 - 1),
}
_OF_CHAT = _COMMON | {
    "messages": list_of(_MESSAGE, minItems=1, maxItems=MAX_MESSAGES),
    "max_completion_tokens": whole(1),
    "max_tokens": whole(1),
    "logprobs": {"type": "boolean", "default": False},
    "top_logprobs": whole(0, MAX_LOGPROBS),
    "response_format": _RESPONSE_FORMAT,
    "tools": list_of(_TOOL, maxItems=MAX_FUNCTIONS),
    "tool_choice": {
        "oneOf": [
            {"enum": ["none", "auto", "required"]},
            object_of(
                {
                    "type": {"const": "function"},
                    "function": object_of({"name": text(pattern=_FUNCTION_NAME)}),
                }
            ),
        ]
    },
}
_OF_TEXT = _COMMON | {
    "prompt": {
        "oneOf": [text(minLength=1), list_of(text(minLength=1), minItems=1, maxItems=MAX_CHOICES)]
    },
    "max_tokens": whole(1, default=TEXT_MAX_TOKENS),
    "echo": {"type": "boolean", "default": False},
    "logprobs": whole(0, MAX_TEXT_LOGPROBS),
}
_INPUT = text(minLength=1, maxLength=MAX_CHARACTERS)
_OF_EMBEDDINGS = {
    "model": text(minLength=1, maxLength=256),
    "input": {"oneOf": [_INPUT, list_of(_INPUT, minItems=1, maxItems=MAX_TEXTS)]},
    "encoding_format": {"enum": ["float", "base64"], "default": "float"},
    "dimensions": whole(1),
}


def _request(
    table: tuple[OpenAIParameter, ...], types: dict[str, Schema], *required: str
) -> Schema:
    """Return the schema of a body: its supported and ignored members with their notes."""
    properties = {
        parameter.name: _nullable(types.get(parameter.name, {}), parameter.name in required)
        | ({"description": parameter.note} if parameter.note else {})
        for parameter in table
        if parameter.treatment is not Treatment.REFUSED
    }
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
        "description": "What is not listed here is refused, unless it asks for nothing.",
    }


def _nullable(schema: Schema, required: bool) -> Schema:
    if required or not schema:
        return dict(schema)
    default = {name: schema[name] for name in ("default",) if name in schema}
    return {"anyOf": [schema, NULL]} | default


REQUESTS: dict[str, Schema] = {
    "ChatRequest": _request(CHAT, _OF_CHAT, "model", "messages"),
    "TextRequest": _request(TEXT, _OF_TEXT, "model", "prompt"),
    "EmbeddingsRequest": _request(EMBEDDINGS, _OF_EMBEDDINGS, "model", "input"),
}
"""The request bodies, by component name."""
