"""Requests as OpenAI's package, LangChain and bots send them are served unchanged."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from pytest_django.fixtures import Settings

from sessions.models import Task
from tests.sessions.faces.openai.conftest import PIECES
from tests.sessions.factories import make_key, make_session
from tests.sessions.ports import CONTEXT_LENGTH

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER = "".join(PIECES)
QUESTION: Any = [{"role": "user", "content": "two words"}]


@pytest.fixture
def sdk(server: str, settings: Settings, miners: None) -> Iterator[openai.OpenAI]:
    settings.MODELS = {1: "/models/tiny-test.gguf"}
    make_session()
    with openai.OpenAI(base_url=f"{server}/v1/", api_key=make_key()[1], max_retries=0) as client:
        yield client


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_default_of_64000_tokens_talks_to_a_small_model(sdk: openai.OpenAI, limit: str) -> None:
    whole = sdk.chat.completions.with_raw_response.create(
        model="tiny-test", messages=QUESTION, **{limit: 64_000}
    )
    task = Task.objects.get()
    assert whole.headers["x-max-tokens"] == str(CONTEXT_LENGTH - task.max_input_tokens)
    assert whole.parse().choices[0].message.content == ANSWER
    stream = sdk.chat.completions.create(
        model="tiny-test", messages=QUESTION, stream=True, **{limit: 4_096}
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER


def test_an_answer_goes_back_into_the_conversation_as_it_came(sdk: openai.OpenAI) -> None:
    said = sdk.chat.completions.create(model="tiny-test", messages=QUESTION).choices[0].message
    refused = said.model_copy(update={"content": None, "refusal": "I may not."})
    turns = [*QUESTION, said.to_dict(), *QUESTION, refused.to_dict(), *QUESTION]
    again = sdk.chat.completions.create(model="tiny-test", messages=turns)
    assert again.choices[0].message.content == ANSWER


def test_log_probabilities_are_the_packages_objects(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny-test", "prompt": "two words", "logprobs": 2}
    whole = sdk.completions.create(**asked).choices[0].logprobs
    assert whole is not None
    told = [
        offset
        for chunk in sdk.completions.create(**asked, stream=True)
        if chunk.choices[0].logprobs
        for offset in chunk.choices[0].logprobs.text_offset or []
    ]
    assert told == whole.text_offset


def test_a_session_may_be_named_by_digits(sdk: openai.OpenAI) -> None:
    session = make_session()
    number = str(session.session_id)
    sdk.chat.completions.create(
        model="tiny-test",
        messages=QUESTION,
        extra_headers={"x-session-id": number},
        extra_body={"session_id": number},
    )
    assert Task.objects.get().session_id == session.session_id


def test_langchain_with_its_defaults(sdk: openai.OpenAI) -> None:
    model = ChatOpenAI(
        base_url=str(sdk.base_url), api_key=sdk.api_key, model="tiny-test", max_tokens=8_192
    )
    assert model.invoke("two words").content == ANSWER
    assert "".join(str(chunk.content) for chunk in model.stream("two words")) == ANSWER


def test_a_bot_of_the_deployed_network(server: str, sdk: openai.OpenAI) -> None:
    """The body that several of them send, with a session from the environment."""
    body = {
        "session_id": str(make_session().session_id),
        "prompt": "two words",
        "prompt_type": 1,
        "prompt_template": "",
        "stream": False,
        "timeout": 60,
        "client_reference": "user-summarize",
        "max_tokens": 5_000,
        "temperature": 0.7,
        "top_p": 0.95,
        "top_k": 40,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "stop": None,
        "node_type": 0,
    }
    headers = {"authorization": f"Bearer {sdk.api_key}", "ACCEPT": "application/json"}
    for _ in range(2):
        answer = httpx.post(f"{server}/api/v1/completions/", json=body, headers=headers, timeout=20)
        assert answer.json()["choices"][0]["text"] == ANSWER
    assert Task.objects.filter(client_reference="user-summarize").count() == 2
