"""A client of `/api/v1`, and a check of its errors."""

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.test import Client

Api = Callable[..., HttpResponse]


def api_client(client: Client) -> Api:
    """Return a function that calls `/api/v1` with a key."""

    def call(
        method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> HttpResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        return client.generic(
            method, f"/api/v1/{path}", data, content_type="application/json", headers=sent
        )

    return call


def problem_of(response: HttpResponse, status: int) -> dict[str, Any]:
    """Assert that a response is a problem document with this status, and return it."""
    document: dict[str, Any] = json.loads(response.content)
    assert response.status_code == status, document
    assert response["Content-Type"] == "application/problem+json"
    return document
