"""The OpenAPI description of `/api/v1/network-tasks`, written by hand."""

from typing import Any

_MINER = "0x403b586e7e81d490fceecd9c3cd3d48ab504e033"
_TASK: dict[str, Any] = {
    "number": 7,
    "state": "ended",
    "creator": _MINER,
    "completers": [{"miner": _MINER, "accuracy_bps": 10_000}],
    "validator": _MINER,
    "verdict_tx": "0x…",
    "created_at": "2026-11-28T01:40:14+00:00",
    "ended_at": "2026-11-28T01:40:31+00:00",
}
_WHOLE: dict[str, Any] = {
    **_TASK,
    "parts": [{"miner": _MINER, "role": "completer", "done_at": "2026-11-28T01:40:24+00:00"}],
    "judgement": {
        "domain": "arithmetic",
        "subdomain": "addition",
        "prompt": "What is 23 + 70?",
        "completions": [{"miner": _MINER, "text": "23 + 70 = 93."}],
        "method": "majority",
    },
}


def _get(summary: str, example: Any, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {
        "get": {
            "operationId": summary.lower().replace(" ", "_"),
            "summary": summary,
            "tags": ["Network tasks"],
            "parameters": parameters,
            "responses": {"200": {"description": "the answer", "content": content}},
        }
    }


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


PATHS: dict[str, dict[str, Any]] = {
    "/api/v1/network-tasks": _get(
        "Network tasks",
        {"network_tasks": [_TASK]},
        [
            _query("limit", {"type": "integer", "minimum": 1, "maximum": 200}),
            _query("offset", {"type": "integer", "minimum": 0}),
            _query("state", {"type": "string"}),
        ],
    ),
    "/api/v1/network-tasks/{number}": _get(
        "One network task",
        _WHOLE,
        [{"name": "number", "in": "path", "required": True, "schema": {"type": "integer"}}],
    ),
}
