"""A client may send back an assistant's answer unchanged, refusals included."""

import json

import pytest

from sessions.faces.openai.errors import OpenAIError
from sessions.faces.openai.requests.conversation import conversation

QUESTION = {"role": "user", "content": "May I?"}


@pytest.mark.parametrize("content", [{"content": None}, {}])
def test_a_refusal_is_what_the_assistant_said(content: dict[str, None]) -> None:
    refused = {"role": "assistant", **content, "refusal": "I may not."}
    turns = json.loads(conversation([QUESTION, refused, QUESTION]))
    assert turns[1] == {"role": "assistant", "content": "I may not."}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "assistant", "content": None}, "messages[0].content"),
        ({"role": "assistant", "content": None, "refusal": None}, "messages[0].content"),
        ({"role": "assistant", "content": None, "refusal": 5}, "messages[0].refusal"),
        ({"role": "user", "content": None, "refusal": "No."}, "messages[0].content"),
    ],
)
def test_a_message_that_says_nothing_is_refused(message: dict[str, object], param: str) -> None:
    with pytest.raises(OpenAIError) as refused:
        conversation([message])
    assert refused.value.param == param


def test_an_answer_of_this_face_comes_back_as_it_was() -> None:
    answer = {"role": "assistant", "content": "Yes.", "refusal": None, "tool_calls": None}
    assert json.loads(conversation([QUESTION, answer]))[1]["content"] == "Yes."
