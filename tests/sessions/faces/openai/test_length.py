"""A requested length beyond the context is cut, and the client is told."""

import json

import pytest

from sessions.faces.openai.errors import OpenAIError
from sessions.faces.openai.requests.bodies import read_chat, read_text, require_reportable
from sessions.models import Task
from tests.sessions.faces.openai.answers import HELLO, events
from tests.sessions.faces.openai.conftest import Api
from tests.sessions.factories import INPUT_PRICE_WEI, OUTPUT_PRICE_WEI, make_session
from tests.sessions.ports import CONTEXT_LENGTH

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = {"model": "tiny-test", "prompt": ["two words", "a prompt of five words"]}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("asked", [4_096, 64_000, CONTEXT_LENGTH])
def test_a_chat_is_cut_to_the_room_behind_its_prompt(
    api: Api, miners: None, name: str, asked: int
) -> None:
    make_session()
    response = api("POST", "chat/completions", HELLO | {name: asked})
    assert response.status_code == 200
    task = Task.objects.get()
    room = CONTEXT_LENGTH - task.max_input_tokens
    assert (task.max_tokens, response["X-Max-Tokens"]) == (room, str(room))
    paid_for = task.max_input_tokens * INPUT_PRICE_WEI + room * OUTPUT_PRICE_WEI
    assert task.reserve_wei == paid_for


def test_a_stream_says_so_too_with_a_number_a_choice(api: Api, miners: None) -> None:
    make_session()
    response = api("POST", "completions", TEXT | {"max_tokens": 64_000, "stream": True})
    assert response["X-Max-Tokens"] == f"{CONTEXT_LENGTH - 2}, {CONTEXT_LENGTH - 5}"
    assert events(response)[-1] == "[DONE]"


def test_what_is_not_cut_is_not_told(api: Api, miners: None) -> None:
    make_session()
    for stream in (False, True):
        body = HELLO | {"max_tokens": CONTEXT_LENGTH - 3, "stream": stream}
        response = api("POST", "chat/completions", body)
        assert response.status_code == 200
        assert not response.has_header("X-Max-Tokens")


@pytest.mark.parametrize(("top", "context", "fits"), [(20, 1_489, True), (20, 1_490, False)])
def test_figures_are_counted_for_the_answer_that_there_is_room_for(
    top: int, context: int, fits: bool
) -> None:
    body = HELLO | {"max_tokens": 64_000, "logprobs": True, "top_logprobs": top}
    asked = read_chat(json.dumps(body).encode(), "")
    if fits:
        require_reportable(asked, context)
        return
    with pytest.raises(OpenAIError) as refused:
        require_reportable(asked, context)
    assert refused.value.param == "top_logprobs"


def test_figures_of_a_text_are_called_by_their_name() -> None:
    asked = read_text(json.dumps(TEXT | {"max_tokens": 64_000, "logprobs": 5}).encode(), "")
    with pytest.raises(OpenAIError) as refused:
        require_reportable(asked, 8_192)
    assert refused.value.param == "logprobs"
