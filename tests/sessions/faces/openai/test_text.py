"""Text completions: plain continuation, several prompts, echo."""

from typing import Any

import pytest

from sessions.models import Task
from tests.sessions.faces.openai.answers import assert_error, content_of, events
from tests.sessions.faces.openai.conftest import MINER, PIECES, Api
from tests.sessions.factories import make_session

pytestmark = pytest.mark.django_db(transaction=True)

ASKED: dict[str, Any] = {"model": "tiny-test", "prompt": "two words"}
ANSWER = "".join(PIECES)


def test_a_text_completion_has_openais_shape(api: Api, miners: None) -> None:
    session = make_session()
    completion = api("POST", "completions", ASKED).json()
    task = Task.objects.get()
    assert completion["id"] == f"cmpl-{session.session_id}-{task.task_id}"
    assert completion["object"] == "text_completion"
    assert completion["choices"] == [
        {
            "index": 0,
            "text": ANSWER,
            "logprobs": None,
            "finish_reason": "stop",
            "address": MINER,
        }
    ]
    assert content_of(task)["prompt"] == "two words"
    assert (task.prompt_type, task.max_tokens) == (128, 16)


def test_several_prompts_have_their_choices_in_order_with_echo(api: Api, miners: None) -> None:
    make_session()
    body = ASKED | {"prompt": ["one ", "two "], "n": 2, "echo": True}
    choices = api("POST", "completions", body).json()["choices"]
    assert [choice["text"] for choice in choices] == [
        f"one {ANSWER}",
        f"one {ANSWER}",
        f"two {ANSWER}",
        f"two {ANSWER}",
    ]
    prompts = [content_of(task)["prompt"] for task in Task.objects.order_by("pk")]
    assert prompts == ["one ", "one ", "two ", "two "]


def test_a_seed_is_each_prompts_and_counts_on_with_its_choices(api: Api, miners: None) -> None:
    make_session()
    body = ASKED | {"prompt": ["one ", "two "], "n": 2, "seed": -1}
    assert api("POST", "completions", body).status_code == 200
    assert [content_of(task)["seed"] for task in Task.objects.order_by("pk")] == [-1, 0, -1, 0]


def test_an_echo_comes_first_in_a_stream(api: Api, miners: None) -> None:
    make_session()
    *chunks, done = events(api("POST", "completions", ASKED | {"echo": True, "stream": True}))
    texts = [chunk["choices"][0]["text"] for chunk in chunks]
    assert (texts[0], "".join(texts[1:])) == ("two words", "".join(PIECES))
    assert done == "[DONE]"


def test_log_probabilities_have_the_older_form(api: Api, miners: None) -> None:
    make_session()
    asked = ASKED | {"logprobs": 2}
    [choice] = api("POST", "completions", asked).json()["choices"]
    assert choice["logprobs"] == {
        "tokens": ["<0>", "<1>", "<2>"],
        "token_logprobs": [-0.5, -0.5, -0.5],
        "top_logprobs": [{"<0>": -0.5, "<1>": -1.5}, {"<1>": -0.5, "<2>": -1.5}]
        + [{"<2>": -0.5, "<3>": -1.5}],
        "text_offset": [0, 3, 6],
    }
    *chunks, _ = events(api("POST", "completions", asked | {"stream": True}))
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks[1:-1]]
    assert [token for row in told for token in row["tokens"]] == choice["logprobs"]["tokens"]
    assert told[0]["text_offset"][0] == 0
    [choice] = api("POST", "completions", ASKED | {"logprobs": 0}).json()["choices"]
    assert choice["logprobs"]["top_logprobs"] is None


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"prompt": None}, "missing_required_parameter", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt[0]"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": [1, 2]}, "invalid_value", "prompt[0]"),
        ({"prompt": [[1, 2]]}, "invalid_value", "prompt[0]"),
        ({"prompt": ["x"] * 17}, "invalid_value", "prompt"),
        ({"prompt": ["x"] * 9, "n": 2}, "invalid_value", "n"),
        ({"logprobs": 6}, "invalid_value", "logprobs"),
        ({"logprobs": 1, "echo": True}, "invalid_value", "logprobs"),
        ({"best_of": 3}, "unsupported_parameter", "best_of"),
        ({"seed": 2**63}, "invalid_value", "seed"),
        ({"suffix": "end"}, "unsupported_parameter", "suffix"),
        ({"messages": []}, "unknown_parameter", "messages"),
    ],
)
def test_a_wrong_value_is_a_400_that_names_its_parameter(
    api: Api, change: dict[str, Any], code: str, param: str
) -> None:
    make_session()
    assert_error(api("POST", "completions", ASKED | change), 400, code, param)
    assert Task.objects.count() == 0
