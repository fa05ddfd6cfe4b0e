"""`/v1` in the router's OpenAPI description, from the tables of its parameters."""

from typing import Any

from sessions.api.schema import examples
from sessions.completion import DEFAULT_TIMEOUT_S, MAX_STOP_CHARACTERS, MAX_STOPS
from sessions.openai.bodies import (
    CHAT_MAX_TOKENS,
    MAX_CHOICES,
    MAX_TEXT_LOGPROBS,
    TEXT_MAX_TOKENS,
)
from sessions.openai.conversation import MAX_MESSAGES
from sessions.openai.embedding_views import MAX_CHARACTERS, MAX_TEXTS
from sessions.openai.parameters import CHAT, EMBEDDINGS, TEXT, Parameter, Treatment
from sessions.openai.tools import MAX_DESCRIPTION_CHARACTERS, MAX_FUNCTIONS, NAME
from sessions.options import LARGEST_BIAS, MAX_BIASES, MAX_LOGPROBS

TAG = "OpenAI's interface"
Schema = dict[str, Any]


def _text(**bounds: Any) -> Schema:
    return {"type": "string"} | bounds


def _whole(least: int, most: int | None = None, **more: Any) -> Schema:
    return (
        {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most}) | more
    )


def _decimal(least: float, most: float, **more: Any) -> Schema:
    return {"type": "number", "minimum": least, "maximum": most} | more


def _list(items: Schema, **bounds: Any) -> Schema:
    return {"type": "array", "items": items} | bounds


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    members = {"type": "object", "properties": required | optional}
    return members | ({"required": list(required)} if required else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_NULL = {"type": "null"}
_STOP = _text(minLength=1, maxLength=MAX_STOP_CHARACTERS)
_STREAM_OPTIONS = _object(
    {}, include_usage={"type": "boolean"}, include_obfuscation={"type": "boolean", "const": False}
)
_MESSAGE = _object(
    {
        "role": {"enum": ["developer", "system", "user", "assistant", "tool"]},
        "content": {
            "oneOf": [
                _text(),
                _list(_object({"type": {"const": "text"}, "text": _text()}), minItems=1),
            ]
        },
    }
)
_RESPONSE_FORMAT = {
    "oneOf": [
        _object({"type": {"enum": ["text", "json_object"]}}),
        _object(
            {
                "type": {"const": "json_schema"},
                "json_schema": _object(
                    {"name": _text(), "schema": {"type": "object"}}, strict={"type": "boolean"}
                ),
            }
        ),
    ]
}
_FUNCTION_NAME = f"^{NAME.pattern}$"
_TOOL = _object(
    {
        "type": {"const": "function"},
        "function": _object(
            {"name": _text(pattern=_FUNCTION_NAME)},
            description=_text(maxLength=MAX_DESCRIPTION_CHARACTERS),
            parameters={"type": "object"},
            strict={"type": "boolean"},
        ),
    }
)
_COMMON: dict[str, Schema] = {
    "model": _text(minLength=1, maxLength=256),
    "n": _whole(1, MAX_CHOICES, default=1),
    "stream": {"type": "boolean", "default": False},
    "stream_options": _STREAM_OPTIONS,
    "stop": {"oneOf": [_STOP, _list(_STOP, maxItems=MAX_STOPS)]},
    "temperature": _decimal(0, 2, default=0),
    "top_p": _decimal(0, 1, default=1),
    "presence_penalty": _decimal(0, 2, default=0),
    "frequency_penalty": _decimal(0, 2, default=0),
    "logit_bias": {
        "type": "object",
        "propertyNames": {"pattern": "^[0-9]{1,9}$"},
        "maxProperties": MAX_BIASES,
        "additionalProperties": _decimal(-LARGEST_BIAS, LARGEST_BIAS),
    },
    "top_k": _whole(0, default=0),
    "timeout": _whole(1, default=DEFAULT_TIMEOUT_S),
    "session_id": _whole(1, 2**63 - 1),
}
_OF_CHAT = _COMMON | {
    "messages": _list(_MESSAGE, minItems=1, maxItems=MAX_MESSAGES),
    "max_completion_tokens": _whole(1, default=CHAT_MAX_TOKENS),
    "max_tokens": _whole(1),
    "logprobs": {"type": "boolean", "default": False},
    "top_logprobs": _whole(0, MAX_LOGPROBS),
    "response_format": _RESPONSE_FORMAT,
    "tools": _list(_TOOL, maxItems=MAX_FUNCTIONS),
    "tool_choice": {
        "oneOf": [
            {"enum": ["none", "auto", "required"]},
            _object(
                {
                    "type": {"const": "function"},
                    "function": _object({"name": _text(pattern=_FUNCTION_NAME)}),
                }
            ),
        ]
    },
}
_OF_TEXT = _COMMON | {
    "prompt": {
        "oneOf": [_text(minLength=1), _list(_text(minLength=1), minItems=1, maxItems=MAX_CHOICES)]
    },
    "max_tokens": _whole(1, default=TEXT_MAX_TOKENS),
    "echo": {"type": "boolean", "default": False},
    "logprobs": _whole(0, MAX_TEXT_LOGPROBS),
}
_INPUT = _text(minLength=1, maxLength=MAX_CHARACTERS)
_OF_EMBEDDINGS = {
    "model": _text(minLength=1, maxLength=256),
    "input": {"oneOf": [_INPUT, _list(_INPUT, minItems=1, maxItems=MAX_TEXTS)]},
    "encoding_format": {"enum": ["float", "base64"], "default": "float"},
    "dimensions": _whole(1),
}


def _request(table: tuple[Parameter, ...], types: dict[str, Schema], *required: str) -> Schema:
    """A request's body: what is not refused, with the notes of the table."""
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
    return {"anyOf": [schema, _NULL]} | default


_USAGE = _object(
    {name: _whole(0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
)
_REASON = {"enum": ["stop", "length", "tool_calls"]}
_OR_NULL = {"type": ["string", "null"]}
_ADDRESS = _text(description="the miner whose words these are")


def _choice(words: Schema) -> Schema:
    return _object(
        {
            "index": _whole(0),
            **words,
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": _REASON,
            "address": _ADDRESS,
        }
    )


def _completion(kind: str, words: Schema) -> Schema:
    return _object(
        {
            "id": _text(),
            "object": {"const": kind},
            "created": _whole(0),
            "model": _text(),
            "session_id": _whole(1, description="the session that pays"),
            "task_ids": _list(_whole(0), description="one a choice"),
            "choices": _list(_choice(words)),
            "usage": _USAGE,
        }
    )


_MODEL = _object(
    {"id": _text(), "object": {"const": "model"}, "created": _whole(0), "owned_by": _text()},
    model_identifier=_whole(0),
    context_length=_whole(1),
    input_price_wei=_text(),
    output_price_wei=_text(),
)
COMPONENTS: dict[str, Schema] = {
    "ChatRequest": _request(CHAT, _OF_CHAT, "model", "messages"),
    "TextRequest": _request(TEXT, _OF_TEXT, "model", "prompt"),
    "EmbeddingsRequest": _request(EMBEDDINGS, _OF_EMBEDDINGS, "model", "input"),
    "ChatCompletion": _completion(
        "chat.completion",
        {
            "message": _object(
                {"role": {"const": "assistant"}, "content": _OR_NULL, "refusal": _NULL},
                tool_calls=_list({"type": "object"}),
            )
        },
    ),
    "TextCompletion": _completion("text_completion", {"text": _text()}),
    "Embeddings": _object(
        {
            "object": {"const": "list"},
            "model": _text(),
            "data": _list(
                _object(
                    {
                        "object": {"const": "embedding"},
                        "index": _whole(0),
                        "embedding": {"oneOf": [_list({"type": "number"}), _text()]},
                    }
                )
            ),
            "usage": _object({"prompt_tokens": _whole(0), "total_tokens": _whole(0)}),
        }
    ),
    "ServedModel": _MODEL,
    "ServedModels": _object({"object": {"const": "list"}, "data": _list(_ref("ServedModel"))}),
    "OpenAIError": _object(
        {
            "error": _object(
                {"message": _text(), "type": _text(), "param": _OR_NULL, "code": _OR_NULL}
            )
        }
    ),
}
_ERROR = {
    "description": "an error, in OpenAI's form",
    "content": {
        "application/json": {"schema": _ref("OpenAIError"), "example": examples.OPENAI_ERROR}
    },
}
_HEADERS = [
    {
        "name": "X-Session-ID",
        "in": "header",
        "description": "the session that pays; without it, the newest that can",
        "schema": _whole(1, 10**18 - 1),
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same request under the same key is the same task, and paid once",
        "schema": _text(maxLength=125),
    },
]


def _answer(name: str, example: Any, events: str = "") -> Schema:
    content: dict[str, Any] = {"application/json": {"schema": _ref(name), "example": example}}
    if events:
        content["text/event-stream"] = {
            "schema": {"description": "server-sent events, ended by `data: [DONE]`"},
            "example": events,
        }
    return {"description": "the answer", "content": content}


def _operation(operation_id: str, summary: str, answer: Schema, **more: Any) -> Schema:
    operation = {"operationId": operation_id, "summary": summary, "tags": [TAG]}
    return operation | more | {"responses": {"200": answer, "4XX": _ERROR, "5XX": _ERROR}}


def _body(name: str, example: Any) -> Schema:
    content = {"application/json": {"schema": _ref(name), "example": example}}
    return {"required": True, "content": content}


PATHS: dict[str, Any] = {
    "/v1/models": {
        "get": _operation(
            "v1_models",
            "The models, by the names that OpenAI's clients use",
            _answer("ServedModels", {"object": "list", "data": [examples.SERVED_MODEL]}),
        )
    },
    "/v1/models/{name}": {
        "get": _operation(
            "v1_model",
            "One model",
            _answer("ServedModel", examples.SERVED_MODEL),
            parameters=[
                {"name": "name", "in": "path", "required": True, "schema": _text(minLength=1)}
            ],
        )
    },
    "/v1/chat/completions": {
        "post": _operation(
            "v1_chat_completions",
            "An answer to a conversation",
            _answer("ChatCompletion", examples.CHAT_COMPLETION, examples.CHAT_EVENTS),
            parameters=_HEADERS,
            requestBody=_body("ChatRequest", examples.CHAT_REQUEST),
        )
    },
    "/v1/completions": {
        "post": _operation(
            "v1_completions",
            "Continuations of texts",
            _answer("TextCompletion", examples.TEXT_COMPLETION, examples.TEXT_EVENTS),
            parameters=_HEADERS,
            requestBody=_body("TextRequest", examples.TEXT_REQUEST),
        )
    },
    "/v1/embeddings": {
        "post": _operation(
            "v1_embeddings",
            "Texts as vectors, by the router's own model",
            _answer("Embeddings", examples.EMBEDDINGS),
            requestBody=_body("EmbeddingsRequest", examples.EMBEDDINGS_REQUEST),
        )
    },
}
