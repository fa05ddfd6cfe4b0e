"""A chat request, a response format, and functions that read responses and contents."""

import json
from typing import Any

from django.http import HttpResponse

from chain import storage
from sessions.models import Task

HELLO: dict[str, Any] = {
    "model": "tiny-test",
    "messages": [{"role": "user", "content": "two words"}],
}


def assert_error(
    response: HttpResponse, status: int, code: str | None, param: str | None = None
) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(response.content)["error"]
    assert response.status_code == status, error
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), error
    assert error["message"]
    return error


def events(response: HttpResponse) -> list[Any]:
    text = b"".join(response).decode()
    bodies = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [body if body == "[DONE]" else json.loads(body) for body in bodies]


def schema_of(value: Any, **settings: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": value} | settings}


def content_of(task: Task) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(storage.get(task.prompt_cid))
    return content
