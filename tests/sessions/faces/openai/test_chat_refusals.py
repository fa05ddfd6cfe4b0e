"""Every refusal of a chat has OpenAI's error form, and names what is wrong."""

from typing import Any

import pytest

from sessions.models import Task
from tests.sessions.faces.openai.answers import HELLO, assert_error, schema_of
from tests.sessions.faces.openai.conftest import Api
from tests.sessions.factories import make_session
from tests.sessions.ports import no_miners_online, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_wrong_key_is_an_authentication_error(api: Api) -> None:
    for key in (None, "cor_wrong"):
        response = api("POST", "chat/completions", HELLO, key=key)
        error = assert_error(response, 401, "invalid_api_key")
        assert error["type"] == "invalid_request_error"
        assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_prompt_beyond_the_context_is_named_as_openai_does(api: Api) -> None:
    make_session()
    long = HELLO | {"messages": [{"role": "user", "content": "w " * 100}]}
    assert_error(api("POST", "chat/completions", long), 400, "context_length_exceeded", "messages")


def test_without_miners_a_client_is_told_when_to_come_back(api: Api) -> None:
    make_session()
    replace_ports(miners_online=no_miners_online)
    response = api("POST", "chat/completions", HELLO)
    assert assert_error(response, 503, "no_miners")["type"] == "server_error"
    assert int(response["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"colour": "blue"}, "unknown_parameter", "colour"),
        ({"tools": [{"type": "function"}]}, "invalid_value", "tools[0].function"),
        ({"functions": [{"name": "add"}]}, "unsupported_parameter", "functions"),
        ({"logprobs": 3}, "invalid_value", "logprobs"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "invalid_value", "top_logprobs"),
        ({"logit_bias": {"yes": 1}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"5": 101}}, "invalid_value", "logit_bias"),
        ({"logit_bias": [5]}, "invalid_value", "logit_bias"),
        ({"response_format": "json_object"}, "invalid_value", "response_format"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format"),
        (
            {"response_format": schema_of({"type": "array", "uniqueItems": True}, strict=True)},
            "unsupported_parameter",
            "response_format.json_schema.schema.uniqueItems",
        ),
        (
            {"response_format": schema_of({"const": "unreadable"})},
            "invalid_value",
            "response_format",
        ),
        ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
        ({"messages": None}, "missing_required_parameter", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": "hello"}, "invalid_value", "messages"),
        ({"messages": ["hello"]}, "invalid_value", "messages[0]"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "invalid_value", "messages[0].role"),
        (
            {"messages": [{"role": "function", "content": "x"}]},
            "unsupported_parameter",
            "messages[0].role",
        ),
        ({"messages": [{"role": "tool"}]}, "invalid_value", "messages[0].content"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
            "invalid_value",
            "messages[0].tool_calls[0]",
        ),
        ({"messages": [{"role": "user"}]}, "invalid_value", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "unsupported_parameter",
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "invalid_value",
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": "nul \x00"}]},
            "invalid_value",
            "messages[0].content",
        ),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "invalid_value", "messages"),
        ({"model": None}, "missing_required_parameter", "model"),
        ({"model": 7}, "invalid_value", "model"),
        ({"session_id": "one"}, "invalid_value", "session_id"),
        ({"stream": True, "stream_options": "x"}, "invalid_value", "stream_options"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 17}, "invalid_value", "n"),
        ({"temperature": 2.5}, "invalid_value", "temperature"),
        ({"temperature": "hot"}, "invalid_value", "temperature"),
        ({"top_p": 1.5}, "invalid_value", "top_p"),
        ({"presence_penalty": -1}, "invalid_value", "presence_penalty"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "invalid_value", "stop"),
        ({"stop": ["a", ""]}, "invalid_value", "stop[1]"),
        ({"stop": {"a": 1}}, "invalid_value", "stop"),
        ({"stream": "yes"}, "invalid_value", "stream"),
        ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "invalid_value",
            "stream_options.include_obfuscation",
        ),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_completion_tokens": "8"}, "invalid_value", "max_completion_tokens"),
    ],
)
def test_a_wrong_value_is_a_400_that_names_its_parameter(
    api: Api, change: dict[str, Any], code: str, param: str
) -> None:
    make_session()
    error = assert_error(api("POST", "chat/completions", HELLO | change), 400, code, param)
    assert error["type"] == "invalid_request_error"
    assert Task.objects.count() == 0


@pytest.mark.parametrize("body", ["", "{", "[]", b"\xff\xfe", '{"a":' * 100_000])
def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: str | bytes) -> None:
    assert_error(api("POST", "chat/completions", body), 400, "parse_error")


def test_unknown_addresses_and_methods_are_openais_errors_too(api: Api) -> None:
    assert_error(api("POST", "responses", {}), 404, "unknown_url")
    assert_error(api("GET", "chat/completions"), 405, "method_not_allowed")
