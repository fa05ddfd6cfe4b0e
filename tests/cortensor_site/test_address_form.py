"""A doubled or trailing slash in a URL does not make another address."""

from typing import Any

import pytest

from cortensor_site.web.address_form import AddressForm, plain


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/api/v1/completions/", "/api/v1/completions"),
        ("/api/v1/tasks/1/2/", "/api/v1/tasks/1/2"),
        ("//api/v1/info", "/api/v1/info"),
        ("/v1//chat/completions/", "/v1/chat/completions"),
        ("/v1/models", "/v1/models"),
        ("/ws/sessions/1/", "/ws/sessions/1"),
    ],
)
def test_an_interfaces_address_may_have_slashes_too_many(asked: str, meant: str) -> None:
    assert plain(asked) == meant


@pytest.mark.parametrize("page", ["/", "/admin/", "/static/app.js", "/sessions/1/"])
def test_a_page_keeps_its_own(page: str) -> None:
    assert plain(page) == page


async def test_nothing_else_of_a_request_is_changed() -> None:
    asked = {"type": "http", "path": "/api/v1/ping/", "query_string": b"a=/b/", "headers": []}
    seen: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)

    await AddressForm(application)(asked, None, None)
    assert seen == [asked | {"path": "/api/v1/ping"}]
