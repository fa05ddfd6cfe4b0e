"""Every API accepts the number of a session or a task also as a string of digits."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings
from rest_framework import serializers

from sessions.faces.common.completion_body import read_completion
from sessions.faces.openai.requests.bodies import read_chat, read_text
from sessions.faces.rest.views.validation import ValidationBody
from tests.sessions.factories import OWNER, make_key, make_session

pytestmark = pytest.mark.django_db

CHAT = {"model": "tiny-test", "messages": [{"role": "user", "content": "two words"}]}
BAD = [
    "",
    " 7",
    "7 ",
    "-7",
    "+7",
    "7.0",
    "0x7",
    "seven",
    "٧",
    "9" * 20,
    "9" * 5_000,
    True,
    [7],
    7.5,
]


@pytest.fixture
def post(client: Client, settings: Settings) -> Any:
    settings.MODELS = {1: "/models/tiny-test.gguf"}
    _, secret = make_key(OWNER, scopes=["read", "submit", "manage"])

    def call(path: str, body: dict[str, Any], **headers: str) -> HttpResponse:
        sent = {"Authorization": f"Bearer {secret}", **headers}
        return client.generic("POST", path, json.dumps(body), "application/json", headers=sent)

    return call


@pytest.mark.parametrize("given", [7, "7", "007", 7.0])
def test_digits_are_a_number(given: Any) -> None:
    body = json.dumps({"session_id": given, "prompt": "two words"}).encode()
    assert read_completion(body, None).session_id == 7
    assert read_completion(body, 7).session_id == 7
    chat = json.dumps(CHAT | {"session_id": given}).encode()
    assert read_chat(chat, "").session_id == 7
    text = json.dumps({"model": "m", "prompt": "p", "session_id": given}).encode()
    assert read_text(text, "").session_id == 7
    checked = ValidationBody(data={"session_id": given, "task_id": given, "answer": "four"})
    assert checked.is_valid()
    assert checked.validated_data["task_id"] == 7


@pytest.mark.parametrize("given", BAD)
def test_what_is_no_number_is_an_error_that_names_its_member(given: Any) -> None:
    for read in (lambda body: read_completion(body, None), lambda body: read_text(body, "")):
        body = {"model": "m", "prompt": "two words", "session_id": given}
        with pytest.raises(serializers.ValidationError) as refused:
            read(json.dumps(body).encode())
        assert list(refused.value.detail) == ["session_id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/completions", {"prompt": "two words"}),
        ("/api/v2/completions", {"prompt": "two words"}),
        ("/api/v2/validate", {"prompt": "two words", "answer": "four"}),
        ("/api/v1/webhooks", {"url": "https://example.com/hook", "events": ["task.ended"]}),
        ("/api/v1/keys", {"name": "bot"}),
        ("/v1/chat/completions", CHAT),
        ("/v1/completions", {"model": "tiny-test", "prompt": "two words"}),
    ],
)
def test_every_address_takes_digits(post: Any, path: str, body: dict[str, Any]) -> None:
    session = make_session(deposited_wei=0)
    taken = post(path, body | {"session_id": str(session.session_id)})
    # The session is found: it has no money, or needs none.
    assert taken.status_code in (201, 402, 429), taken.content
    refused = post(path, body | {"session_id": "seven"})
    assert refused.status_code == 400
    assert b"session_id" in refused.content
    if path.startswith("/v1/"):
        header = {"X-Session-ID": str(session.session_id)}
        agreed = post(path, body | {"session_id": str(session.session_id)}, **header)
        assert agreed.status_code == 429


def test_the_address_and_the_body_have_to_name_the_same_session(post: Any) -> None:
    session = make_session(deposited_wei=0)
    body = {"prompt": "two words", "session_id": str(session.session_id)}
    assert post(f"/api/v1/completions/{session.session_id}", body).status_code == 402
    assert post(f"/api/v1/completions/{session.session_id + 1}", body).status_code == 400
