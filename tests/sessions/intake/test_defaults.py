"""A model's default parameters apply at every API if the client sets none."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from eth_utils.conversions import to_bytes

from chain.models import Operation
from chain.protocol.digests import task_digest
from chain.protocol.params import LlmParams
from sessions.faces.common.completion_body import read_completion
from sessions.intake import acceptance, prices
from sessions.intake.options import BoundGrammar, GenerationOptions
from sessions.intake.prices import TokenPrice
from sessions.models import OnChainTask, Session, Task
from tests.sessions.faces.openai.conftest import miners
from tests.sessions.factories import (
    INPUT_PRICE_WEI,
    OUTPUT_PRICE_WEI,
    make_key,
    make_request,
    make_session,
)
from tests.sessions.news import news
from tests.sessions.ports import DEFAULTS

__all__ = ["miners"]

pytestmark = pytest.mark.django_db(transaction=True)

PLAINEST: dict[str, Any] = {
    "temperature": 0,
    "top_p": 1,
    "top_k": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "max_tokens": 5,
}
DOORS = ("/api/v1/completions", "/api/v2/completions", "/v1/chat/completions", "/v1/completions")


def ask(client: Client, path: str, session: Session, **members: Any) -> HttpResponse:
    _, secret = make_key()
    body = {"session_id": session.session_id, "model": "1"} | members
    body |= (
        {"messages": [{"role": "user", "content": "two words"}]}
        if "chat" in path
        else {"prompt": "two words"}
    )
    return client.post(
        path, json.dumps(body), "application/json", headers={"Authorization": f"Bearer {secret}"}
    )


def params_of(task: Task) -> LlmParams:
    return LlmParams(
        task.max_tokens,
        task.temperature_x100,
        task.top_p_x100,
        task.top_k,
        task.presence_penalty_x100,
        task.frequency_penalty_x100,
    )


def on_chain(session: Session, words: list[int]) -> Task:
    OnChainTask.objects.create(
        session_id=session.session_id,
        task_id=0,
        digest="0x" + "34" * 32,
        task_data="two words",
        llm_params=list(map(str, words)),
        request_params=[],
        max_input_tokens=100,
        reserved_wei=500,
        created_at=timezone.now(),
    )
    news()
    return Task.objects.get()


@pytest.mark.parametrize("path", DOORS)
def test_who_says_nothing_gets_the_models_own_parameters(
    client: Client, miners: None, path: str
) -> None:
    assert ask(client, path, make_session()).status_code == 200
    used = params_of(Task.objects.get())
    # OpenAI's clients of the old endpoint know that 16 tokens are its default.
    limit = 16 if path == "/v1/completions" else DEFAULTS.max_tokens
    assert used == LlmParams(limit, *DEFAULTS.to_words()[1:])


@pytest.mark.parametrize("path", DOORS)
def test_what_a_client_says_wins_a_zero_as_well(client: Client, miners: None, path: str) -> None:
    assert ask(client, path, make_session(), **PLAINEST).status_code == 200
    assert params_of(Task.objects.get()) == LlmParams(5, 0, 100, 0, 0, 0)


@pytest.mark.parametrize("path", DOORS)
def test_null_says_nothing(client: Client, miners: None, path: str) -> None:
    nulls = dict.fromkeys(PLAINEST)
    assert ask(client, path, make_session(), **nulls).status_code == 200
    assert params_of(Task.objects.get()).to_words()[1:] == DEFAULTS.to_words()[1:]


def test_the_chain_is_told_what_is_used_and_the_digest_binds_it() -> None:
    session = make_session()
    request = read_completion(b'{"prompt": "two words"}', session.session_id).request
    task = acceptance.accept(request, session=session, api_key=None)
    [submission] = Operation.objects.filter(kind="submit_task")
    assert [int(word) for word in submission.payload["llm_params"]] == DEFAULTS.to_words()
    digest = task_digest(
        to_bytes(hexstr=session.sid),
        task.task_id,
        task.task_data,
        task.prompt_type,
        "",
        DEFAULTS.to_words(),
        [task.timeout_s],
        "",
        task.max_input_tokens,
    )
    assert task.task_digest == "0x" + digest.hex()


def test_the_models_limit_is_what_is_reserved_and_quoted() -> None:
    session = make_session(redundancy=2)
    request = read_completion(b'{"prompt": "two words"}', session.session_id).request
    worst_wei = prices.worst_case_wei(
        TokenPrice(INPUT_PRICE_WEI, OUTPUT_PRICE_WEI),
        redundancy=2,
        max_input_tokens=3,
        max_tokens=DEFAULTS.max_tokens,
    )
    quote = acceptance.quote(request, session)
    assert (quote.reserve_wei, quote.max_tokens) == (worst_wei, DEFAULTS.max_tokens)
    task = acceptance.accept(request, session=session, api_key=None)
    assert task.reserve_wei == worst_wei


def test_the_models_limit_is_cut_to_the_room_that_is_left() -> None:
    session = make_session()
    body = json.dumps({"prompt": " ".join(["w"] * 50)}).encode()
    request = read_completion(body, session.session_id).request
    assert acceptance.accept(request, session=session, api_key=None).max_tokens == 64 - 51


def test_an_answer_that_a_grammar_holds_pays_no_penalty_unless_asked() -> None:
    session = make_session()
    held = make_request(
        options=GenerationOptions(grammar=BoundGrammar('start: "a"')),
        frequency_penalty_x100=30,
    )
    task = acceptance.accept(held, session=session, api_key=None)
    assert (task.presence_penalty_x100, task.frequency_penalty_x100) == (0, 30)
    assert task.temperature_x100 == DEFAULTS.temperature_x100


def test_a_short_list_on_chain_leaves_the_rest_to_the_model() -> None:
    assert params_of(on_chain(make_session(), [8, 0])) == LlmParams(8, 0, *DEFAULTS.to_words()[2:])


def test_a_whole_list_on_chain_is_taken_at_its_word() -> None:
    words = [8, 0, 0, 0, 0, 0]
    assert params_of(on_chain(make_session(), words)).to_words() == words


@pytest.mark.parametrize(("path", "place"), [("/api/v1/info", "models"), ("/v1/models", "data")])
def test_a_models_parameters_are_told(client: Client, path: str, place: str) -> None:
    make_session()
    _, secret = make_key()
    answer = client.get(path, headers={"Authorization": f"Bearer {secret}"}).json()
    told = [row["defaults"] for row in answer[place] if "defaults" in row]
    assert told == [
        {
            "max_tokens": 48,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": 40,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
        }
    ]
