"""The paths and answers of `/v1` in the OpenAPI description."""

from typing import Any

from sessions.faces.openai.openapi.requests import REQUESTS
from sessions.faces.openai.responses.passed_over import PASSED_OVER
from sessions.faces.openapi import examples
from sessions.faces.openapi.terms import (
    NULL,
    Schema,
    decimal,
    list_of,
    object_of,
    reference,
    text,
    whole,
)

TAG = "OpenAI's interface"
_USAGE = object_of(
    {name: whole(0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
)
_REASON = {"enum": ["stop", "length", "tool_calls"]}
_OR_NULL = {"type": ["string", "null"]}
_ADDRESS = text(description="the miner whose words these are")


def _choice(words: Schema) -> Schema:
    return object_of(
        {
            "index": whole(0),
            **words,
            "logprobs": {"type": ["object", "null"]},
            "finish_reason": _REASON,
            "address": _ADDRESS,
        }
    )


def _completion(kind: str, words: Schema) -> Schema:
    return object_of(
        {
            "id": text(),
            "object": {"const": kind},
            "created": whole(0),
            "model": text(),
            "session_id": whole(1, description="the session that pays"),
            "task_ids": list_of(whole(0), description="one a choice"),
            "choices": list_of(_choice(words)),
            "usage": _USAGE,
        }
    )


_MODEL = object_of(
    {"id": text(), "object": {"const": "model"}, "created": whole(0), "owned_by": text()},
    model_identifier=whole(0),
    context_length=whole(1),
    defaults=object_of(
        {
            "max_tokens": whole(1),
            "temperature": decimal(0, 2),
            "top_p": decimal(0, 1),
            "top_k": whole(0),
            "presence_penalty": decimal(0, 2),
            "frequency_penalty": decimal(0, 2),
        }
    ),
    input_price_wei=text(),
    output_price_wei=text(),
)
COMPONENTS: dict[str, Schema] = {
    **REQUESTS,
    "ChatCompletion": _completion(
        "chat.completion",
        {
            "message": object_of(
                {"role": {"const": "assistant"}, "content": _OR_NULL, "refusal": NULL},
                tool_calls=list_of({"type": "object"}),
            )
        },
    ),
    "TextCompletion": _completion("text_completion", {"text": text()}),
    "Embeddings": object_of(
        {
            "object": {"const": "list"},
            "model": text(),
            "data": list_of(
                object_of(
                    {
                        "object": {"const": "embedding"},
                        "index": whole(0),
                        "embedding": {"oneOf": [list_of({"type": "number"}), text()]},
                    }
                )
            ),
            "usage": object_of({"prompt_tokens": whole(0), "total_tokens": whole(0)}),
        }
    ),
    "ServedModel": _MODEL,
    "ServedModels": object_of(
        {"object": {"const": "list"}, "data": list_of(reference("ServedModel"))}
    ),
    "OpenAIError": object_of(
        {
            "error": object_of(
                {"message": text(), "type": text(), "param": _OR_NULL, "code": _OR_NULL}
            )
        }
    ),
}
_ERROR = {
    "description": "an error, in OpenAI's form",
    "content": {
        "application/json": {"schema": reference("OpenAIError"), "example": examples.OPENAI_ERROR}
    },
}
_HEADERS = [
    {
        "name": "X-Session-ID",
        "in": "header",
        "description": "the session that pays; without it, the newest that can",
        "schema": whole(1, 10**18 - 1),
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "the same request under the same key is the same task, and paid once",
        "schema": text(maxLength=125),
    },
]


_PASSED_OVER = {
    PASSED_OVER: {
        "description": "the members of `response_format` and `tools` that a grammar does not hold"
        " and that are not strict: their paths, separated by commas",
        "schema": text(),
    }
}


def _answer(name: str, example: Any, events: str = "", **more: Any) -> Schema:
    content: dict[str, Any] = {"application/json": {"schema": reference(name), "example": example}}
    if events:
        content["text/event-stream"] = {
            "schema": {"description": "server-sent events, ended by `data: [DONE]`"},
            "example": events,
        }
    return {"description": "the answer", "content": content} | more


def _operation(operation_id: str, summary: str, answer: Schema, **more: Any) -> Schema:
    operation = {"operationId": operation_id, "summary": summary, "tags": [TAG]}
    return operation | more | {"responses": {"200": answer, "4XX": _ERROR, "5XX": _ERROR}}


def _body(name: str, example: Any) -> Schema:
    content = {"application/json": {"schema": reference(name), "example": example}}
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
                {"name": "name", "in": "path", "required": True, "schema": text(minLength=1)}
            ],
        )
    },
    "/v1/chat/completions": {
        "post": _operation(
            "v1_chat_completions",
            "An answer to a conversation",
            _answer(
                "ChatCompletion",
                examples.CHAT_COMPLETION,
                examples.CHAT_EVENTS,
                headers=_PASSED_OVER,
            ),
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
