"""Cookies, forms and frame headers concern pages only; API requests skip them."""

from django.core.checks import run_checks
from django.http import HttpRequest
from django.test import AsyncClient, Client

from cortensor_site.web.page_middleware import is_programs

KEY = {"Authorization": "Bearer cor_wrong"}


def test_djangos_own_checks_are_content() -> None:
    assert run_checks() == []


def test_a_page_is_not_framed_and_a_form_of_another_site_is_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.get("/api/v1/about")["X-Frame-Options"] == "DENY"
    assert client.post("/admin/login/", {"username": "a"}).status_code == 403


async def test_a_form_of_another_site_is_refused_behind_asgi_as_well() -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    assert (await client.post("/admin/login/", {"username": "a"})).status_code == 403
    # An Authorization header does not make a page of the site the API's.
    refused = await client.post("/admin/login/", {"username": "a"}, headers=KEY)
    assert refused.status_code == 403


async def test_a_program_has_none_of_it_but_the_length_of_its_answer() -> None:
    response = await AsyncClient().get("/v1/chat/completions", headers=KEY)
    assert response.status_code == 405
    assert int(response["Content-Length"]) == len(response.content)
    assert "X-Frame-Options" not in response
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Request-ID"]


def test_only_the_apis_addresses_with_credentials_of_their_own_are_a_programs() -> None:
    for path, key, expected in (
        ("/v1/models", True, True),
        ("/api/v1/sessions", True, True),
        ("/v1/models", False, False),
        ("/admin/", True, False),
        ("/v1", True, False),
    ):
        request = HttpRequest()
        request.path_info = path
        request.META = {"HTTP_AUTHORIZATION": "Bearer x"} if key else {}
        assert is_programs(request) == expected, path
