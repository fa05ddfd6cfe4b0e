"""Clients of OpenAI's API use the network unmodified: the SDK, LangChain, and plain HTTP."""

import asyncio
import json
import time
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from cortensor_site.stack.example import Answer
from tests.system.conftest import HONEST, TIMEOUT_S, Client

MODEL, EMBEDDING_MODEL = "cortensor-mini", "all-MiniLM-L6-v2"
ASKED = "What is the capital of France?"
QUESTION: Any = [{"role": "user", "content": ASKED}]
ANSWER = "The capital of France is Paris."
"""The cheap model says the same: with one miner a task, this network's cheat may be drawn."""

NO_END = {"1": -100}
"""The token that ends an answer of this model is never drawn."""


def test_the_sdk_chats(sdk: openai.OpenAI, session_id: int) -> None:
    completion = sdk.chat.completions.create(model=MODEL, messages=QUESTION)
    [choice] = completion.choices
    assert choice.message.content == ANSWER
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert completion.model == MODEL
    assert completion.usage
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    assert completion._request_id
    assert completion.id.startswith(f"chatcmpl-{session_id}-")


def test_the_sdk_streams_with_usage(sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == ANSWER
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens > 2


def test_the_sdk_has_the_first_words_while_the_others_are_made(sdk: openai.OpenAI) -> None:
    """What a fast model says within 10 ms comes together, a long answer never at once."""
    count: Any = [{"role": "user", "content": "Count from 3 to 40."}]
    stream = sdk.chat.completions.create(model=MODEL, messages=count, max_tokens=300, stream=True)
    said = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert sum(map(bool, said)) > 2


async def test_the_asynchronous_sdk_chats_and_streams_at_once(options: dict[str, Any]) -> None:
    async with openai.AsyncOpenAI(**options) as sdk:

        async def streamed() -> str:
            stream = await sdk.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
            return "".join(
                [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            )

        whole, *streams = await asyncio.gather(
            sdk.chat.completions.create(model=MODEL, messages=QUESTION), streamed(), streamed()
        )
    assert whole.choices[0].message.content == ANSWER
    assert streams == [ANSWER, ANSWER]


def test_the_sdks_options_are_heeded(sdk: openai.OpenAI) -> None:
    completion = sdk.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You count."},
            {"role": "user", "content": "Name the months."},
        ],
        n=2,
        max_completion_tokens=3,
        seed=7,
        user="alice",
    )
    assert [choice.finish_reason for choice in completion.choices] == ["length", "length"]
    assert completion.usage
    assert completion.usage.completion_tokens == 6
    [choice] = sdk.chat.completions.create(model=MODEL, messages=QUESTION, stop=" is ").choices
    assert choice.message.content == "The capital of France"
    assert choice.finish_reason == "stop"


def test_the_sdk_completes_text(sdk: openai.OpenAI) -> None:
    completion = sdk.completions.create(
        model=MODEL, prompt=["What is", "Name the"], max_tokens=4, echo=True
    )
    assert [choice.index for choice in completion.choices] == [0, 1]
    assert completion.choices[0].text.startswith("What is")
    chunks = list(sdk.completions.create(model=MODEL, prompt="What is", max_tokens=4, stream=True))
    assert chunks
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")


def test_the_sdk_lists_models_and_embeds(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == [MODEL, EMBEDDING_MODEL]
    assert sdk.models.retrieve(MODEL).owned_by == "cortensor"
    texts = ["A cat sits on the mat.", "A kitten is on the rug.", "Interest rates rise."]
    answer = sdk.embeddings.create(model=EMBEDDING_MODEL, input=texts)
    cat, kitten, rates = [item.embedding for item in answer.data]
    assert len(cat) == 384
    assert _dot(cat, kitten) > _dot(cat, rates) + 0.2


def test_the_sdk_raises_its_own_errors(sdk: openai.OpenAI, options: dict[str, Any]) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong_key:
        openai.OpenAI(**(options | {"api_key": "cor_wrong"})).models.list()
    assert wrong_key.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as no_model:
        sdk.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert (no_model.value.code, no_model.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as too_long:
        sdk.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello " * 2000}]
        )
    assert (too_long.value.code, too_long.value.param) == ("context_length_exceeded", "messages")
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model=MODEL, messages=QUESTION, modalities=["text", "audio"])
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "modalities")


@pytest.mark.parametrize("redundancy", [1, 3])
def test_who_leaves_ends_the_generation_and_pays_for_what_there_was(
    client: Client, options: Any, redundancy: int, request: pytest.FixtureRequest
) -> None:
    if redundancy == 1:  # it must be an honest one, which is all that is looked at below
        request.getfixturevalue("without_cheat")
    session_id = client.session(redundancy)
    before_wei = client.balance_wei(session_id)
    with openai.OpenAI(**options | {"default_headers": {"X-Session-ID": str(session_id)}}) as sdk:
        stream = sdk.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Count from 3 to 9."}],
            max_tokens=ENDLESS_TOKENS,
            logit_bias=NO_END,
            stream=True,
        )
        read = 0
        for chunk in stream:
            read += bool(chunk.choices[0].delta.content)
            if read == 3:
                break
        stream.close()
    [row] = client.router.tasks(session_id)
    with client.router.notices() as notices:
        answer = Answer(session_id, row["task_id"], "", 0.0, time.monotonic())
        task = client.router.wait_until_ended(notices, answer, lambda _: None)
    assert task["outcome"]["code"] == "settled"
    honest = [m for m in task["miners"] if client.miner(m["address"]).model == HONEST]
    assert {m["finish_reason"] for m in honest} == {"cancelled"}
    [tokens] = {m["tokens"] for m in honest}
    assert 3 <= tokens < ENDLESS_TOKENS
    paid_wei = before_wei - client.balance_wei(session_id)
    assert 0 < paid_wei < int(task["reserve_wei"])


ENDLESS_TOKENS = 450


def test_langchain_chats_streams_and_embeds(client: Client, session_id: int) -> None:
    address = {"base_url": f"{client.network.router_url}/v1", "api_key": client.network.api_key}
    chat = ChatOpenAI(
        model=MODEL, temperature=0, default_headers={"X-Session-ID": str(session_id)}, **address
    )
    answer = chat.invoke([HumanMessage(ASKED)])
    assert answer.content == ANSWER
    assert answer.response_metadata["finish_reason"] == "stop"
    pieces = list(chat.stream([SystemMessage("Be exact."), HumanMessage(ASKED)]))
    assert len(pieces) > 2
    assert all(isinstance(piece.content, str) for piece in pieces)
    embeddings = OpenAIEmbeddings(
        model=EMBEDDING_MODEL, check_embedding_ctx_length=False, **address
    )
    assert len(embeddings.embed_query("Hello")) == 384


def test_plain_http_is_enough(client: Client, options: dict[str, Any]) -> None:
    """What curl sends: no SDK, no content type that says JSON."""
    headers = {"Authorization": f"Bearer {client.network.api_key}"} | options["default_headers"]
    with httpx.stream(
        "POST",
        f"{options['base_url']}/chat/completions",
        headers=headers | {"Content-Type": "application/x-www-form-urlencoded"},
        content=json.dumps({"model": "1", "messages": QUESTION, "stream": True}),
        timeout=TIMEOUT_S,
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["x-request-id"]
    assert all(line.startswith(("data: ", ":")) for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_an_idempotency_key_makes_a_repeated_request_the_same_task(
    sdk: openai.OpenAI, client: Client, session_id: int
) -> None:
    completions = [
        sdk.chat.completions.create(
            model=MODEL, messages=QUESTION, extra_headers={"Idempotency-Key": "order-7"}
        )
        for _ in range(2)
    ]
    assert completions[0].id == completions[1].id
    assert completions[0].choices == completions[1].choices
    assert len(client.router.tasks(session_id)) == 1


def test_without_a_header_the_newest_session_pays(client: Client, options: Any) -> None:
    with openai.OpenAI(**(options | {"default_headers": {}})) as sdk:
        completion = sdk.chat.completions.create(model=MODEL, messages=QUESTION)
    assert completion.choices[0].message.content == ANSWER


def test_with_redundancy_the_judged_answer_comes(client: Client, options: Any) -> None:
    judged = client.session(3)
    headers = {"X-Session-ID": str(judged)}
    with openai.OpenAI(**(options | {"default_headers": headers})) as sdk:
        completion = sdk.chat.completions.create(model=MODEL, messages=QUESTION)
    assert completion.choices[0].message.content == ANSWER
    assert len(client.router.tasks(judged)) == 1
    client.wait_until_settled(judged)


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
