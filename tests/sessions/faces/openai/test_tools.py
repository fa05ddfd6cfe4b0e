"""Functions that an answer may call: parsed, enforced by a grammar, returned in OpenAI's form."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.parts.followed import Followed
from sessions.faces.openai.errors import OpenAIError
from sessions.faces.openai.requests.tools import Function, Tools, read_tools
from sessions.faces.openai.responses.calls import CallReader
from sessions.models import Task
from tests.sessions.faces.openai.answers import HELLO, assert_error, content_of, events
from tests.sessions.faces.openai.conftest import Api
from tests.sessions.factories import make_session

pytestmark = pytest.mark.django_db(transaction=True)

SUM = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"$ref": "#/$defs/number"}},
    "required": ["a", "b"],
    "$defs": {"number": {"type": "integer"}},
}


def tool(name: str = "add", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name} | function}


ADD, NOW = tool(description="adds two numbers", parameters=SUM), tool("now")
ONE: Any = {"type": "function", "function": {"name": "add"}}
CALL = '{ "name": "add", "arguments": {"a": 1, "b": 2} } '


def tools(choice: Any = "auto", *functions: Any) -> Tools:
    read = read_tools({"tools": list(functions) or [ADD, NOW], "tool_choice": choice})
    assert read is not None
    return read


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch, miners: None) -> Callable[..., None]:
    """Makes the miners answer with these pieces."""

    def say(*pieces: str) -> None:
        monkeypatch.setattr("tests.sessions.faces.openai.conftest.PIECES", pieces)

    return say


def in_pieces(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


# ── a whole answer, and a stream ─────────────────────────────────────────────


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_call_is_told_as_one_whole_and_streamed(
    api: Api, says: Callable[..., None], choice: str
) -> None:
    session = make_session()
    says(*in_pieces(CALL))
    asked = HELLO | {"tools": [ADD, NOW], "tool_choice": choice}
    [whole] = api("POST", "chat/completions", asked).json()["choices"]
    assert whole["finish_reason"] == "tool_calls"
    task = Task.objects.get()
    call_id = f"call_{session.session_id}_{task.task_id}_0"
    assert whole["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
            }
        ],
    }
    *chunks, done = events(api("POST", "chat/completions", asked | {"stream": True}))
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert all(call["index"] == 0 for call in calls)
    assert calls[0]["type"] == "function"
    assert calls[0]["function"]["name"] == "add"
    assert "".join(c["function"]["arguments"] for c in calls) == '{"a": 1, "b": 2}'
    assert sum("id" in call for call in calls) == 1
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_that_calls_nothing_is_text(api: Api, says: Callable[..., None]) -> None:
    make_session()
    says("no", " call")
    asked = HELLO | {"tools": [ADD]}
    [whole] = api("POST", "chat/completions", asked).json()["choices"]
    assert whole["message"]["content"] == "no call"
    assert "tool_calls" not in whole["message"]
    assert whole["finish_reason"] == "stop"
    *chunks, _ = events(api("POST", "chat/completions", asked | {"stream": True}))
    said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert "".join(said[1:-1]) == "no call"


@pytest.mark.parametrize(("choice", "reason"), [(ONE, "stop"), ("required", "tool_calls")])
def test_of_one_function_an_answer_has_the_arguments_alone(
    api: Api, says: Callable[..., None], choice: Any, reason: str
) -> None:
    make_session()
    says('{"a": 1', ', "b": 2}')
    asked = HELLO | {"tools": [ADD], "tool_choice": choice}
    [whole] = api("POST", "chat/completions", asked).json()["choices"]
    [call] = whole["message"]["tool_calls"]
    assert call["function"] == {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    assert whole["finish_reason"] == reason


def test_the_functions_are_bound_by_the_task_and_told_to_the_model(
    api: Api, says: Callable[..., None]
) -> None:
    make_session()
    says(CALL)
    system = {"role": "system", "content": "You add."}
    asked = HELLO | {"tools": [ADD, NOW], "messages": [system, *HELLO["messages"]]}
    assert api("POST", "chat/completions", asked).status_code == 200
    content = content_of(Task.objects.get())
    first, second = json.loads(content["prompt"])
    assert first["content"].startswith("You add.\n\nThese functions can be called:")
    assert "adds two numbers" in first["content"]
    assert second == {"role": "user", "content": "two words"}
    assert content["grammar"]["lark"].startswith("start: call | TEXT\n")


def test_a_call_and_its_result_go_on_in_the_conversation(
    api: Api, says: Callable[..., None]
) -> None:
    make_session()
    says("3")
    called = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        *HELLO["messages"],
        {"role": "assistant", "content": None, "tool_calls": [called, called]},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
        {"role": "tool", "tool_call_id": "c", "content": "4"},
    ]
    assert api("POST", "chat/completions", HELLO | {"messages": messages}).status_code == 200
    turns = json.loads(content_of(Task.objects.get())["prompt"])
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"].splitlines() == ['{"name": "add", "arguments": {"a": 1}}'] * 2
    assert turns[2]["content"].splitlines() == [
        "The function's result: 3",
        "The function's result: 4",
    ]


# ── reading ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_a_call_is_read_however_it_is_cut(size: int) -> None:
    reader = CallReader(tools())
    said = "".join(map(reader.feed, in_pieces(CALL, size))) + reader.finish(is_whole=True)
    assert (reader.name, json.loads(said)) == ("add", {"a": 1, "b": 2})


def test_a_call_that_is_cut_off_is_told_as_far_as_it_is() -> None:
    reader = CallReader(tools())
    assert reader.feed('{"name": "add", "arguments": {"a": {') == '{"a": {'
    assert reader.feed("}") + reader.finish(is_whole=False) == "}"
    unnamed = CallReader(tools())
    assert unnamed.feed('{"nam') == ""
    assert unnamed.finish(is_whole=False) == '{"nam'
    assert unnamed.is_text


def test_definitions_of_all_functions_have_a_place_in_one_grammar() -> None:
    other = tool("other", parameters=SUM | {"$defs": {"number": {"enum": ["x"]}}})
    answer = Followed(tools("required", ADD, other).grammar.lark)
    assert answer.admits('{"name": "add", "arguments": {"a": 1, "b": 2}}')
    assert answer.admits('{"name": "other", "arguments": {"a": 1, "b": "x"}}')
    assert not answer.admits('{"name": "add", "arguments": {"a": 1, "b": "x"}}')
    assert not answer.admits('{"name": "other", "arguments": {"a": 1, "b": 2}}')


def test_an_answer_of_free_choice_is_text_or_one_call() -> None:
    answer = Followed(tools("auto").grammar.lark)
    for text in ("", "no call", "line\nbreak", '{"name": "now", "arguments": {}}'):
        assert answer.admits(text)
    for text in ("{", "{}", '{"name": "add", "arguments": {}}'):
        assert not answer.admits(text)


PICK = {
    "type": "object",
    "properties": {"size": {"allOf": [{"$ref": "#/$defs/Size"}], "default": "small"}},
    "required": ["size"],
    "$defs": {"Size": {"enum": ["small", "large"]}},
}


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "pick"}}])
def test_an_enum_behind_references_is_held_in_a_tool(choice: Any) -> None:
    answer = Followed(tools(choice, tool("pick", parameters=PICK)).grammar.lark)
    assert answer.admits('{"size": "small"}')
    assert not answer.admits("{}")


def unheld(member: str, value: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", member: value}}}


@pytest.mark.parametrize("choice", ["auto", "required"])
@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("pattern", "(?<!a)b", "unsupported_parameter"),
        ("pattern", "(", "invalid_value"),
        ("pattern", "^\ud83d$", "invalid_value"),
    ],
)
def test_a_member_that_a_tool_cannot_have_is_refused_by_name(
    choice: str, member: str, value: str, code: str
) -> None:
    other = tool("other", parameters=unheld(member, value), strict=True)
    with pytest.raises(OpenAIError) as refused:
        _ = tools(choice, ADD, other).grammar
    path = f"tools[1].function.parameters.properties.a.{member}"
    assert (refused.value.param, refused.value.code) == (path, code)


def test_what_a_function_that_is_not_strict_is_not_held_to_is_told() -> None:
    loose = tool("loose", parameters=unheld("format", "regex"))
    found = tools("auto", ADD, loose).grammar
    assert list(found.passed_over) == ["tools[1].function.parameters.properties.a.format"]


def test_without_a_choice_there_are_no_tools() -> None:
    assert read_tools({}) is None
    assert read_tools({"tools": [ADD], "tool_choice": "none"}) is None
    assert tools("auto").only is None
    assert tools("required", ADD).only is not None


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": "add"}, "tools"),
        ({"tools": [ADD] * 33}, "tools"),
        ({"tools": [ADD, ADD]}, "tools[1].function.name"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [tool("a b")]}, "tools[0].function.name"),
        ({"tools": [tool("auto")]}, "tools[0].function.name"),
        ({"tools": [tool(description="x" * 5_000)]}, "tools[0].function.description"),
        ({"tools": [tool(parameters=[1])]}, "tools[0].function.parameters"),
        ({"tools": [tool(strict=1)]}, "tools[0].function.strict"),
        ({"tools": [ADD], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice.function.name",
        ),
    ],
)
def test_what_is_no_function_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        read_tools(members)
    assert refused.value.param == param


@pytest.mark.parametrize("choice", ["auto", "required", ONE])
def test_a_schema_that_no_grammar_holds_names_its_function(api: Api, choice: Any) -> None:
    make_session()
    asked = HELLO | {"tools": [tool(parameters={"type": "mystery"})], "tool_choice": choice}
    response = api("POST", "chat/completions", asked)
    assert_error(response, 400, "invalid_value", "tools[0].function.parameters.type")
    both = HELLO | {"tools": [ADD], "response_format": {"type": "json_object"}}
    assert_error(api("POST", "chat/completions", both), 400, "invalid_value", "response_format")


def test_no_arguments_are_made_up_that_a_function_does_not_declare() -> None:
    declared = {"type": "object", "properties": {"name": {"enum": ["Paris"]}}, "required": ["name"]}
    assert Function("f", "", declared, False).arguments["additionalProperties"] is False
    for said in (
        declared | {"additionalProperties": {"type": "integer"}},
        declared | {"required": ["name", "other"]},
        declared | {"allOf": [{"properties": {"size": {}}}]},
    ):
        assert Function("f", "", said, False).arguments == said
