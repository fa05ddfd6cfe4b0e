"""The `openai` package raises the right exception for each refusal.

It retries only if a retry can help and nothing is charged twice.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest
from pytest_django.fixtures import Settings

from sessions.errors import NoMiners
from sessions.models import SessionRouter, SessionState, Task
from tests.sessions.factories import OWNER, STRANGER, make_key, make_session
from tests.sessions.ports import no_miners_online, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)

HELLO: dict[str, Any] = {
    "model": "tiny-test",
    "messages": [{"role": "user", "content": "two words"}],
    "max_tokens": 16,
}


class Sdk:
    """A client with a key, and how often it has called."""

    def __init__(self, client: openai.OpenAI, calls: list[httpx.Request]) -> None:
        self.client, self._calls = client, calls

    @property
    def calls(self) -> int:
        return len(self._calls)

    def chat(self, **changes: Any) -> Any:
        return self.client.chat.completions.create(**(HELLO | changes))


@pytest.fixture
def sdk(server: str, settings: Settings) -> Iterator[Callable[..., Sdk]]:
    """Makes clients; the terms are those of their key."""
    settings.MODELS = {1: "/models/tiny-test.gguf"}
    with ExitStack() as opened:

        def make(owner: str = OWNER, secret: str = "", **terms: Any) -> Sdk:
            secret = secret or make_key(owner, **terms)[1]
            calls: list[httpx.Request] = []
            http = httpx.Client(event_hooks={"request": [calls.append]})
            client = openai.OpenAI(
                base_url=f"{server}/v1", api_key=secret, http_client=http, max_retries=1
            )
            return Sdk(opened.enter_context(client), calls)

        yield make


def refused(ask: Callable[[], Any], kind: type[openai.APIStatusError]) -> openai.APIStatusError:
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    assert caught.value.request_id
    return caught.value


def test_a_wrong_key_is_an_authentication_error(sdk: Callable[..., Sdk]) -> None:
    stranger = sdk(secret="cor_wrong")
    error = refused(stranger.chat, openai.AuthenticationError)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error")
    assert stranger.calls == 1


def test_a_key_that_may_not_submit_is_a_permission_error(sdk: Callable[..., Sdk]) -> None:
    make_session()
    reader = sdk(scopes=["read"])
    error = refused(reader.chat, openai.PermissionDeniedError)
    assert error.code == "scope_missing"
    assert "submit" in error.message
    assert reader.calls == 1


def test_a_session_that_does_not_trust_this_router_is_a_permission_error(
    sdk: Callable[..., Sdk],
) -> None:
    session = make_session()
    SessionRouter.objects.update(removed=True)
    headers = {"X-Session-ID": str(session.session_id)}
    error = refused(lambda: sdk().chat(extra_headers=headers), openai.PermissionDeniedError)
    assert error.code == "router_not_listed"


@pytest.mark.parametrize(
    ("deposited_wei", "terms"),
    [(10, {}), (10**18, {"daily_wei": 10}), (10**18, {"daily_tokens": 10})],
)
def test_no_money_and_a_spent_budget_are_an_insufficient_quota_not_tried_again(
    sdk: Callable[..., Sdk], deposited_wei: int, terms: dict[str, int]
) -> None:
    make_session(deposited_wei=deposited_wei)
    spender = sdk(**terms)
    error = refused(spender.chat, openai.RateLimitError)
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert spender.calls == 1
    assert Task.objects.count() == 0


def test_a_rate_limit_says_when_to_come_back_and_the_package_does(
    sdk: Callable[..., Sdk], miners: None
) -> None:
    make_session()
    hasty = sdk(requests_per_minute=60)
    raw = hasty.client.chat.completions.with_raw_response.create(**HELLO)
    assert raw.headers["x-ratelimit-limit-requests"] == "60"
    assert raw.headers["x-ratelimit-remaining-requests"] == "59"
    assert raw.headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) > 0
    once = hasty.client.with_options(max_retries=0)

    def hurry() -> None:
        for _ in range(80):
            once.models.list()

    limited = refused(hurry, openai.RateLimitError)
    assert (limited.code, limited.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert int(limited.response.headers["retry-after"]) >= 1
    before = hasty.calls
    assert hasty.client.with_options(max_retries=3).models.list().data
    assert hasty.calls > before


@pytest.mark.parametrize(
    ("changes", "kind", "code", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model_not_found", "model"),
        ({"temperature": 3}, openai.BadRequestError, "invalid_value", "temperature"),
        ({"modalities": ["audio"]}, openai.BadRequestError, "unsupported_parameter", "modalities"),
        ({"extra_body": {"colour": 1}}, openai.BadRequestError, "unknown_parameter", "colour"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}},
            openai.BadRequestError,
            "invalid_value",
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_wrong_request_names_its_parameter_and_is_not_tried_again(
    sdk: Callable[..., Sdk],
    changes: dict[str, Any],
    kind: type[openai.APIStatusError],
    code: str,
    param: str,
) -> None:
    make_session()
    client = sdk()
    error = refused(lambda: client.chat(**changes), kind)
    assert (error.code, error.param) == (code, param)
    assert client.calls == 1


def test_without_a_session_nobody_pays(sdk: Callable[..., Sdk]) -> None:
    make_session()
    error = refused(sdk(STRANGER).chat, openai.NotFoundError)
    assert error.code == "no_session"


def test_conflicts_are_not_tried_again(sdk: Callable[..., Sdk], miners: None) -> None:
    session = make_session()
    client = sdk()
    under_key = {"extra_headers": {"Idempotency-Key": "order-7"}}
    first = client.chat(**under_key)
    assert client.chat(**under_key).id == first.id
    error = refused(lambda: client.chat(temperature=1, **under_key), openai.ConflictError)
    assert error.code == "idempotency_key_taken"
    session.state = SessionState.INACTIVE
    session.save()
    named = {"extra_headers": {"X-Session-ID": str(session.session_id)}}
    error = refused(lambda: client.chat(**named), openai.ConflictError)
    assert error.code == "session_inactive"
    assert client.calls == 4


def test_what_passes_is_tried_again(
    sdk: Callable[..., Sdk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NoMiners, "retry_after_s", 1)
    make_session()
    replace_ports(miners_online=no_miners_online)
    client = sdk()
    client.client = client.client.with_options(timeout=30)
    error = refused(client.chat, openai.InternalServerError)
    assert error.code == "no_miners"
    assert error.response.headers["retry-after"] == "1"
    assert client.calls == 2
