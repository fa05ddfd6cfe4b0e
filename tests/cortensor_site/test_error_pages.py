"""An unknown URL is a page for browsers and a problem document for programs."""

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory
from pytest_django.fixtures import Settings

from cortensor_site.web import error_pages

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ADDRESSES = ["/mcp", "/mcp/messages", "/.well-known/agent.json", "/api", "/nothing/here/", "/x.php"]


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "text/event-stream"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_program_gets_a_problem(client: Client, address: str, accept: str, method: str) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = client.generic(method, address, "{}", "application/json", headers=headers)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["X-Request-ID"]
    if method != "HEAD":
        assert address in answer.json()["detail"]


@pytest.mark.django_db
def test_a_browser_gets_a_page(client: Client) -> None:
    answer = client.get("/mcp", headers={"Accept": BROWSER})
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_a_host_that_is_not_ours_is_a_problem_as_well(client: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["router.example"]
    answer = client.get("/mcp", headers={"Host": "other.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert "ALLOWED_HOSTS" in answer.json()["detail"]


def test_other_errors_have_both_forms_and_tell_nothing() -> None:
    secret = "the reason within"
    for accept, kind in (("*/*", "application/problem+json"), (BROWSER, "text/html")):
        request = RequestFactory().get("/admin/", headers={"Accept": accept})
        refused = error_pages.forbidden(request, PermissionDenied(secret))
        failed = error_pages.server_error(request)
        for answer, status in ((refused, 403), (failed, 500)):
            assert answer.status_code == status
            assert answer["Content-Type"].startswith(kind)
            assert secret not in answer.content.decode()


def test_health_is_the_probe(client: Client) -> None:
    assert client.get("/health").json() == client.get("/healthz").json()
