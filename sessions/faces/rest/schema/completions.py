"""The hand-written description of the paths that are plain asynchronous views."""

from typing import Any

from chain.protocol.params import PromptType
from sessions.faces.common.completion_body import (
    MAX_PROMPT_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    MAX_TEMPLATE_CHARACTERS,
)
from sessions.faces.common.idempotency import MAX_KEY_BYTES
from sessions.faces.openapi import examples
from sessions.faces.openapi.terms import number_or_digits
from sessions.faces.rest.views.validation import MAX_ANSWER_CHARACTERS
from sessions.intake.request import (
    DEFAULT_TIMEOUT_S,
    IDEMPOTENCY_KEY,
    MAX_STOP_CHARACTERS,
    MAX_STOPS,
)

TAG = "Completions"
_PARAMETER = {
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
}
_SESSION = {"name": "session_id"} | _PARAMETER
_TASK = {"name": "task_id"} | _PARAMETER
_KEY = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "description": "the client's name for this request, which makes it safe to send again",
    "schema": {"type": "string", "maxLength": MAX_KEY_BYTES},
}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}


_SESSION_NUMBER = number_or_digits(1, 2**63 - 1)
_ADDRESSED_BY = {"session_id": _SESSION_NUMBER | {"type": [*_SESSION_NUMBER["type"], "null"]}}


REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["prompt"],
    "description": (
        "Unknown members are ignored, and null is the same as a missing member. If a sampling"
        " parameter or `max_tokens` is missing, the model's default applies, which"
        " `GET /api/v1/info` shows."
    ),
    "properties": _ADDRESSED_BY
    | {
        "prompt": {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARACTERS},
        **{
            name: _or_null(schema)
            for name, schema in {
                "prompt_type": {
                    "type": "integer",
                    "enum": [*map(int, PromptType), None],
                    "default": int(PromptType.MESSAGE),
                    "description": (
                        "0: a user's message for the model's chat template. 1: a prompt that"
                        " its client has already put into the template; without the template's"
                        " control tokens it is a message like 0. 2: a message after the"
                        " system message `prompt_template`. 128: text that the model continues."
                        " 129: JSON of a list of messages, each with `role` and `content`."
                    ),
                },
                "prompt_template": {"type": "string", "maxLength": MAX_TEMPLATE_CHARACTERS},
                "stream": {"type": "boolean", "default": False},
                "timeout": {"type": "integer", "minimum": 1, "default": DEFAULT_TIMEOUT_S},
                "client_reference": {
                    "type": "string",
                    "maxLength": MAX_REFERENCE_CHARACTERS,
                    "description": "a label, stored on chain; many tasks may share it",
                },
                "max_tokens": {"type": "integer", "minimum": 1},
                "max_miners": {"type": "integer", "minimum": 1},
                "temperature": {"type": "number", "minimum": 0, "maximum": 2},
                "top_p": {"type": "number", "minimum": 0.01, "maximum": 1},
                "top_k": {"type": "integer", "minimum": 0},
                "presence_penalty": {"type": "number", "minimum": 0, "maximum": 2},
                "frequency_penalty": {"type": "number", "minimum": 0, "maximum": 2},
                "stop": {
                    "type": "array",
                    "maxItems": MAX_STOPS,
                    "items": {"type": "string", "minLength": 1, "maxLength": MAX_STOP_CHARACTERS},
                },
            }.items()
        },
    },
}
COMPLETION: dict[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "session_id", "task_id", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "text_completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "session_id": {"type": "integer"},
        "task_id": {"type": "integer"},
        "choices": {
            "type": "array",
            "description": "one for every miner whose result counts, best first",
            "items": {
                "type": "object",
                "required": ["index", "text", "finish_reason", "logprobs", "address"],
                "properties": {
                    "index": {"type": "integer"},
                    "text": {"type": "string"},
                    "finish_reason": {"enum": ["stop", "length", "cancelled"]},
                    "logprobs": {},
                    "address": {"type": "string"},
                },
            },
        },
        "usage": {
            "type": "object",
            "properties": {
                name: {"type": "integer"}
                for name in ("prompt_tokens", "completion_tokens", "total_tokens")
            },
        },
    },
}
VALIDATION_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["session_id", "answer"],
    "description": (
        "With `task_id`, the answer is compared with that task's results. With `prompt` and any"
        " other member of a completion request, the network answers the prompt first and is paid."
    ),
    "properties": REQUEST["properties"]
    | {
        "session_id": _SESSION_NUMBER,
        "task_id": number_or_digits(0, 2**53 - 1),
        "answer": {"type": "string", "maxLength": MAX_ANSWER_CHARACTERS},
    },
}
_WORTH = {
    "accuracy_bps": {"type": "integer", "minimum": 0, "maximum": 10_000},
    "distance": {"type": "number", "minimum": 0},
}
VALIDATION: dict[str, Any] = {
    "type": "object",
    "required": ["session_id", "task_id", "valid", "accuracy_bps", "distance", "references"],
    "properties": {
        "session_id": {"type": "integer"},
        "task_id": {"type": "integer"},
        "valid": {"type": "boolean"},
        **_WORTH,
        "references": {
            "type": "array",
            "description": "the results that it was compared with, the nearest first",
            "items": {
                "type": "object",
                "required": ["address", "accuracy_bps", "distance"],
                "properties": {"address": {"type": "string"}, **_WORTH},
            },
        },
    },
}
CANCELLATION: dict[str, Any] = {
    "type": "object",
    "required": ["session_id", "task_id", "cancelled"],
    "properties": {
        "session_id": {"type": "integer"},
        "task_id": {"type": "integer"},
        "cancelled": {"type": "boolean", "description": "false: there was nothing left to end"},
    },
}
COMPONENTS = {
    "CompletionRequest": REQUEST,
    "Completion": COMPLETION,
    "ValidationRequest": VALIDATION_REQUEST,
    "Validation": VALIDATION,
    "Cancellation": CANCELLATION,
}
_EVENTS = {"schema": {"description": "server-sent events"}, "example": examples.EVENTS}


def _json(description: str, name: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"description": description, "content": content}


def _complete(operation_id: str, summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": (
            "`stream: true` answers with server-sent events, each piece with an id, ended by"
            " `data: [DONE]`. The same request with the same `Idempotency-Key` is the same task."
        ),
        "tags": [TAG],
        "parameters": [*parameters, _KEY],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/CompletionRequest"},
                    "example": examples.COMPLETION_REQUEST,
                }
            },
        },
        "responses": {
            "200": {
                "description": "the answer",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Completion"},
                        "example": examples.COMPLETION,
                    },
                    "text/event-stream": _EVENTS,
                },
            }
        },
    }


PATHS: dict[str, Any] = {
    "/api/v1/completions": {"post": _complete("completions_create", "Send a prompt")},
    "/api/v1/completions/{session_id}": {
        "post": _complete("completions_create_in", "Send a prompt in this session", _SESSION)
    },
    "/api/v2/completions": {"post": _complete("v2_completions_create", "Send a prompt")},
    "/api/v2/completions/{session_id}": {
        "post": _complete("v2_completions_create_in", "Send a prompt in this session", _SESSION)
    },
    "/api/v2/validate": {
        "post": {
            "operationId": "v2_validate",
            "summary": "Whether a given answer is what the network says",
            "tags": [TAG],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/ValidationRequest"},
                        "example": examples.VALIDATION_REQUEST,
                    }
                },
            },
            "responses": {"200": _json("what it is worth", "Validation", examples.VALIDATION)},
        }
    },
    "/api/v1/tasks/{session_id}/{task_id}/cancel": {
        "post": {
            "operationId": "tasks_cancel",
            "summary": "End an answer where it is",
            "description": (
                "Its miners stop within a second and are paid for the answer so far. A task"
                " that no miner has begun costs nothing."
            ),
            "tags": [TAG],
            "parameters": [_SESSION, _TASK],
            "responses": {"200": _json("whether", "Cancellation", examples.CANCELLATION)},
        }
    },
    "/api/v1/tasks/{session_id}/{task_id}/stream": {
        "get": {
            "operationId": "tasks_stream",
            "summary": "Follow a task's answer, from its start or from behind an event",
            "tags": [TAG],
            "parameters": [
                _SESSION,
                _TASK,
                {
                    "name": "Last-Event-ID",
                    "in": "header",
                    "description": "the id of the last event that the client has",
                    "schema": {"type": "string"},
                    "example": "11-8f0d2a3c",
                },
            ],
            "responses": {
                "200": {
                    "description": "the live answer",
                    "content": {"text/event-stream": _EVENTS},
                },
                "204": {"description": "nothing follows that event"},
            },
        }
    },
}
