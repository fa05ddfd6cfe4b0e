"""Constraints and details of answers that unmodified OpenAI clients request."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
from langchain_openai import ChatOpenAI

from mining.node.llm.llama import Model
from tests.system.conftest import HONEST, Client
from tests.system.test_openai import ASKED, MODEL, NO_END, QUESTION


def test_the_sdk_is_told_how_likely_each_token_was(sdk: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": QUESTION, "logprobs": True, "top_logprobs": 3}
    [choice] = sdk.chat.completions.create(**asked).choices
    assert choice.logprobs
    assert choice.logprobs.content
    said = b"".join(bytes(entry.bytes or []) for entry in choice.logprobs.content)
    assert said.decode() == choice.message.content
    for entry in choice.logprobs.content:
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == 3
        # At temperature 0 the likeliest token is the one that is drawn.
        assert entry.top_logprobs[0].token == entry.token
    streamed = [
        entry
        for chunk in sdk.chat.completions.create(**asked, stream=True)
        for entry in (chunk.choices[0].logprobs and chunk.choices[0].logprobs.content) or []
    ]
    assert [entry.token for entry in streamed] == [e.token for e in choice.logprobs.content]
    [text] = sdk.completions.create(
        model=MODEL, prompt="What is", max_tokens=4, logprobs=2, logit_bias=NO_END
    ).choices
    assert text.logprobs
    assert text.logprobs.tokens
    assert "".join(text.logprobs.tokens) == text.text


def test_the_sdk_gets_json_that_fits_its_schema(sdk: openai.OpenAI) -> None:
    class Sum(pydantic.BaseModel):
        question: Literal["a sum"]
        right: bool
        unit: Literal["apples", "pears"] | None

    completion = sdk.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Sum)
    parsed = completion.choices[0].message.parsed
    assert parsed
    assert parsed.question == "a sum"
    stream = sdk.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        stream=True,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": {"enum": ["Paris", "Rome"]}},
        },
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert json.loads(said) in ("Paris", "Rome")


def test_the_sdk_calls_a_function(sdk: openai.OpenAI) -> None:
    add: Any = {
        "type": "function",
        "function": {
            "name": "add",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {"a": {"enum": [1, 12]}, "b": {"enum": [7, 8]}},
                "required": ["a", "b"],
                "additionalProperties": False,
            },
        },
    }
    asked: Any = {"model": MODEL, "messages": QUESTION, "tools": [add], "tool_choice": "required"}
    [choice] = sdk.chat.completions.create(**asked).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "add"
    assert set(json.loads(call.function.arguments)) == {"a", "b"}
    with sdk.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert streamed
    assert set(json.loads(streamed[0].function.arguments)) == {"a", "b"}


def test_langchain_binds_a_function(client: Client, session_id: int) -> None:
    chat = ChatOpenAI(
        model=MODEL,
        temperature=0,
        base_url=f"{client.network.router_url}/v1",
        api_key=client.network.api_key,
        default_headers={"X-Session-ID": str(session_id)},
    )

    class City(pydantic.BaseModel):
        """A city."""

        name: Literal["Paris", "Rome"]

    for method in ("function_calling", "json_schema"):
        answer = chat.with_structured_output(City, method=method).invoke(ASKED)
        assert isinstance(answer, City)


def test_biases_decide_what_the_miners_draw(sdk: openai.OpenAI) -> None:
    with closing(Model(Path(HONEST), vocab_only=True)) as vocabulary:
        wanted = vocabulary.tokenise(" Rome", special=False)[0]
    [choice] = sdk.chat.completions.create(
        model=MODEL, messages=QUESTION, logit_bias={str(wanted): 100}, max_tokens=3
    ).choices
    with closing(Model(Path(HONEST), vocab_only=True)) as vocabulary:
        assert choice.message.content == vocabulary.piece(wanted).decode() * 3


def test_the_same_seed_gives_the_same_answer_of_many(client: Client, options: Any) -> None:
    judged = client.session(3)
    headers = {"X-Session-ID": str(judged)}

    def asked(seed: int, n: int = 1) -> list[str | None]:
        completion = sdk.chat.completions.create(
            model=MODEL, messages=QUESTION, temperature=2, seed=seed, n=n, max_tokens=24
        )
        return [choice.message.content for choice in completion.choices]

    with openai.OpenAI(**(options | {"default_headers": headers})) as sdk:
        [first] = asked(7)
        assert asked(7, n=2)[0] == first
        assert asked(8) != [first]
    client.wait_until_settled(judged)


def test_the_sdk_gets_what_a_schema_says_at_any_temperature(sdk: openai.OpenAI) -> None:
    size: Any = {
        "type": "object",
        "properties": {
            "size": {"allOf": [{"$ref": "#/$defs/Size"}], "default": "small"},
            "mood": {"type": ["string", "null"], "enum": ["😀", "a\nb", '"\\', None]},
            "code": {"type": "string", "pattern": "^.{1,4}$"},
        },
        "required": ["size", "mood", "code"],
        "additionalProperties": False,
        "$defs": {"Size": {"enum": ["small", "large"]}},
    }
    strict = {"name": "order", "schema": size, "strict": True}
    completion = sdk.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=2,
        seed=7,
        response_format={"type": "json_schema", "json_schema": strict},
    )
    pick = {"name": "pick", "parameters": size, "strict": True}
    called = sdk.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        temperature=2,
        seed=7,
        tools=[{"type": "function", "function": pick}],
        tool_choice="required",
    )
    [call] = called.choices[0].message.tool_calls or []
    for text in (completion.choices[0].message.content, call.function.arguments):
        order = json.loads(text or "")
        assert order["size"] in ("small", "large")
        assert order["mood"] in ("😀", "a\nb", '"\\', None)
        assert 1 <= len(order["code"]) <= 4
