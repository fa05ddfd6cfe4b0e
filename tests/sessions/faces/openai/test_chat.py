"""Chat completions as an OpenAI client uses them: shapes, miners' jobs, and charges."""

import json

import pytest

from sessions.models import Session, SessionRouter, SessionState, Task
from tests.sessions.faces.openai.answers import HELLO, assert_error, content_of, events, schema_of
from tests.sessions.faces.openai.conftest import MINER, PIECES, Api
from tests.sessions.factories import STRANGER, make_session
from tests.sessions.ports import CONTEXT_LENGTH

pytestmark = pytest.mark.django_db(transaction=True)


# ── shapes ───────────────────────────────────────────────────────────────────


def test_a_chat_completion_has_openais_shape(api: Api, miners: None) -> None:
    session = make_session()
    response = api("POST", "chat/completions", HELLO)
    task = Task.objects.get()
    assert response.json() == {
        "id": f"chatcmpl-{session.session_id}-{task.task_id}",
        "object": "chat.completion",
        "created": int(task.created_at.timestamp()),
        "model": "tiny-test",
        "session_id": session.session_id,
        "task_ids": [task.task_id],
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "two and two is four",
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
                "address": MINER,
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    assert response["X-Request-ID"]
    assert (response["X-Session-ID"], response["X-Task-ID"]) == (
        str(session.session_id),
        str(task.task_id),
    )


def test_a_stream_is_role_then_pieces_then_finish_reason_then_usage(api: Api, miners: None) -> None:
    make_session()
    body = HELLO | {"stream": True, "stream_options": {"include_usage": True}}
    response = api("POST", "chat/completions", body)
    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    *chunks, totals, done = events(response)
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta["content"] for delta in deltas[1:-1]) == "".join(PIECES)
    assert deltas[-1] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all(chunk["usage"] is None for chunk in chunks)
    assert totals["choices"] == []
    assert totals["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def test_a_stream_tells_no_usage_unless_it_is_asked_for(api: Api, miners: None) -> None:
    make_session()
    *chunks, done = events(api("POST", "chat/completions", HELLO | {"stream": True}))
    assert done == "[DONE]"
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


def test_each_of_n_choices_is_a_task_of_its_own(api: Api, miners: None) -> None:
    make_session()
    completion = api("POST", "chat/completions", HELLO | {"n": 3}).json()
    assert [choice["index"] for choice in completion["choices"]] == [0, 1, 2]
    assert len(set(completion["task_ids"])) == 3
    assert completion["usage"]["completion_tokens"] == 15
    *chunks, totals, _ = events(
        api(
            "POST",
            "chat/completions",
            HELLO | {"n": 2, "stream": True, "stream_options": {"include_usage": True}},
        )
    )
    for index in range(2):
        mine = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == index]
        assert "".join(c["delta"].get("content", "") for c in mine) == "".join(PIECES)
        assert mine[-1]["finish_reason"] == "stop"
    assert totals["usage"]["completion_tokens"] == 10


def test_n_choices_are_taken_all_or_none(api: Api) -> None:
    make_session(deposited_wei=100)  # enough for one of 3 × 2 + 16 × 3 wei, not for two
    error = assert_error(
        api("POST", "chat/completions", HELLO | {"n": 2, "max_tokens": 16}),
        429,
        "insufficient_quota",
    )
    assert error["type"] == "insufficient_quota"
    assert Task.objects.count() == 0


def test_a_failure_in_mid_stream_is_the_last_event(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.faces.openai.responses.events.wait_s", lambda _: 0.05)
    make_session()
    *_, last = events(api("POST", "chat/completions", HELLO | {"stream": True}))
    assert last["error"]["type"] == "server_error"
    assert last["error"]["code"] == "deadline_passed"


def test_several_judged_miners_give_the_best_answer(api: Api, miners: None) -> None:
    make_session(redundancy=3)
    [choice] = api("POST", "chat/completions", HELLO).json()["choices"]
    assert choice["message"]["content"] == "".join(PIECES)


# ── what the miners get ──────────────────────────────────────────────────────


def test_the_conversation_and_its_options_reach_the_tasks_content(api: Api, miners: None) -> None:
    make_session()
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "2 + 2?"}]
    body = {
        "model": "1",
        "messages": [
            {"role": "developer", "content": "Be brief.", "name": "boss"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": parts},
        ],
        "stop": "\n",
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 5,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "max_completion_tokens": 7,
        "timeout": 20,
        "seed": 1,
        "user": "alice",
        "logprobs": False,
        "logit_bias": None,
        "tools": [],
        "response_format": {"type": "text"},
    }
    assert api("POST", "chat/completions", body).status_code == 200
    task = Task.objects.get()
    content = content_of(task)
    assert json.loads(content.pop("prompt")) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    assert content == {"stop": ["\n"], "seed": 1}
    assert (task.prompt_type, task.max_tokens, task.timeout_s) == (129, 7, 20)
    assert (task.temperature_x100, task.top_p_x100, task.top_k) == (70, 90, 5)
    assert (task.presence_penalty_x100, task.frequency_penalty_x100) == (50, 25)


def test_without_max_tokens_an_answer_may_fill_the_context(api: Api, miners: None) -> None:
    make_session()
    words = " ".join(["w"] * 40)
    body = HELLO | {"messages": [{"role": "user", "content": words}]}
    assert api("POST", "chat/completions", body).status_code == 200
    task = Task.objects.get()
    assert task.max_tokens == CONTEXT_LENGTH - task.max_input_tokens


# ── who pays ─────────────────────────────────────────────────────────────────


def test_the_newest_active_session_that_this_router_may_use_pays(api: Api, miners: None) -> None:
    make_session()
    newest = make_session()
    make_session(state=SessionState.INACTIVE)
    make_session(owner=STRANGER)
    SessionRouter.objects.filter(session_id=make_session().session_id).update(removed=True)
    spent = make_session(deposited_wei=100, paid_wei=100)
    reply = api("POST", "chat/completions", HELLO).json()
    assert reply["session_id"] == newest.session_id
    Session.objects.exclude(pk=spent.pk).update(state=SessionState.INACTIVE)
    assert_error(api("POST", "chat/completions", HELLO), 429, "insufficient_quota")


def test_a_header_and_a_member_that_name_two_sessions_are_refused(api: Api, miners: None) -> None:
    session, other = make_session(), make_session()
    named, both = {"session_id": session.session_id}, {"X_Session_ID": str(session.session_id)}
    assert api("POST", "chat/completions", HELLO | named, **both).status_code == 200
    named = {"session_id": other.session_id}
    refused = api("POST", "chat/completions", HELLO | named, **both)
    assert_error(refused, 400, "invalid_value", "session_id")


def test_options_of_a_stream_that_are_null_ask_for_nothing(api: Api, miners: None) -> None:
    make_session()
    options = {"include_usage": None, "include_obfuscation": None}
    body = HELLO | {"stream": True, "stream_options": options}
    *chunks, _ = events(api("POST", "chat/completions", body))
    assert all(chunk["choices"] for chunk in chunks)


@pytest.mark.parametrize("by_header", [True, False])
def test_a_caller_may_name_the_session_that_pays(api: Api, miners: None, by_header: bool) -> None:
    named = make_session().session_id
    make_session()
    if by_header:
        reply = api("POST", "chat/completions", HELLO, X_Session_ID=str(named))
    else:
        reply = api("POST", "chat/completions", HELLO | {"session_id": named})
    assert reply.json()["session_id"] == named


def test_a_session_that_cannot_pay_is_told_apart(api: Api) -> None:
    assert_error(api("POST", "chat/completions", HELLO), 404, "model_not_found", "model")
    make_session(owner=STRANGER)
    assert_error(api("POST", "chat/completions", HELLO), 404, "no_session")
    other = make_session(owner=STRANGER).session_id
    refused = api("POST", "chat/completions", HELLO, X_Session_ID=str(other))
    assert_error(refused, 404, "session_not_found")
    refused = api("POST", "chat/completions", HELLO, X_Session_ID="mine")
    assert_error(refused, 400, "invalid_value", "X-Session-ID")
    another_model = make_session(model_identifier=2).session_id
    refused = api("POST", "chat/completions", HELLO, X_Session_ID=str(another_model))
    assert_error(refused, 400, "model_not_in_session", "model")


def test_an_empty_session_is_an_insufficient_quota_not_to_be_tried_again(api: Api) -> None:
    make_session(deposited_wei=1)
    response = api("POST", "chat/completions", HELLO)
    error = assert_error(response, 429, "insufficient_quota")
    assert "depositToSession" in error["message"]
    assert response["x-should-retry"] == "false"


def test_an_inactive_session_is_not_to_be_tried_again(api: Api) -> None:
    session = make_session(state=SessionState.INACTIVE)
    response = api("POST", "chat/completions", HELLO | {"session_id": session.session_id})
    assert_error(response, 409, "session_inactive", "X-Session-ID")
    assert response["x-should-retry"] == "false"


# ── idempotency ──────────────────────────────────────────────────────────────


def test_the_same_key_and_request_give_the_same_tasks(api: Api, miners: None) -> None:
    make_session()
    replies = [
        api("POST", "chat/completions", HELLO | {"n": 2}, Idempotency_Key="order-7").json()
        for _ in range(2)
    ]
    assert replies[0]["task_ids"] == replies[1]["task_ids"]
    assert Task.objects.count() == 2


def test_the_same_key_for_another_request_is_refused(api: Api, miners: None) -> None:
    make_session()
    api("POST", "chat/completions", HELLO, Idempotency_Key="order-7")
    other = HELLO | {"messages": [{"role": "user", "content": "else"}]}
    response = api("POST", "chat/completions", other, Idempotency_Key="order-7")
    assert_error(response, 409, "idempotency_key_taken", "Idempotency-Key")
    response = api("POST", "chat/completions", other, Idempotency_Key="x" * 126)
    assert_error(response, 400, "invalid_value", "Idempotency-Key")


# ── what the miners draw, and how likely it was ──


def test_log_probabilities_come_with_the_answer_whole_and_in_a_stream(
    api: Api, miners: None
) -> None:
    make_session()
    asked = HELLO | {"logprobs": True, "top_logprobs": 2}
    [choice] = api("POST", "chat/completions", asked).json()["choices"]
    assert content_of(Task.objects.get())["logprobs"] == 2
    told = choice["logprobs"]
    assert told["refusal"] is None
    assert [entry["token"] for entry in told["content"]] == ["<0>", "<1>", "<2>"]
    assert told["content"][1] == {
        "token": "<1>",
        "logprob": -0.5,
        "bytes": list(b"<1>"),
        "top_logprobs": [
            {"token": "<1>", "logprob": -0.5, "bytes": list(b"<1>")},
            {"token": "<2>", "logprob": -1.5, "bytes": list(b"<2>")},
        ],
    }
    *chunks, done = events(api("POST", "chat/completions", asked | {"stream": True}))
    assert done == "[DONE]"
    # Pieces that are there together come together.
    streamed = [e for c in chunks[1:-1] for e in c["choices"][0]["logprobs"]["content"]]
    assert streamed == told["content"]


def test_without_top_logprobs_only_the_drawn_token_is_told(api: Api, miners: None) -> None:
    make_session()
    [choice] = api("POST", "chat/completions", HELLO | {"logprobs": True}).json()["choices"]
    assert all(entry["top_logprobs"] == [] for entry in choice["logprobs"]["content"])
    [choice] = api("POST", "chat/completions", HELLO | {"logprobs": False}).json()["choices"]
    assert choice["logprobs"] is None


def test_biases_and_formats_are_bound_by_the_task(api: Api, miners: None) -> None:
    make_session()
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    asked = HELLO | {
        "logit_bias": {"7": -100, "9": 2.5},
        "response_format": schema_of(schema, strict=True),
    }
    assert api("POST", "chat/completions", asked).status_code == 200
    content = content_of(Task.objects.get())
    assert content["logit_bias"] == {"7": -100, "9": 2.5}
    assert "city" in content["grammar"]["lark"]


def test_models_are_listed_and_found_by_name(api: Api) -> None:
    make_session()
    listed = api("GET", "models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["tiny-test", "letters"]
    assert all(model["object"] == "model" for model in listed["data"])
    assert api("GET", "models/tiny-test").json() == listed["data"][0]
    assert api("GET", "models/letters").json() == listed["data"][1]
    assert_error(api("GET", "models/other/one"), 404, "model_not_found", "model")
    assert_error(api("GET", "models", key="cor_wrong"), 401, "invalid_api_key")
    assert_error(api("POST", "models", {}), 405, "method_not_allowed")
    assert Session.objects.count() == 1


@pytest.mark.parametrize("stream", [False, True])
def test_members_of_a_schema_that_are_passed_over_are_in_a_header(
    api: Api, miners: None, stream: bool
) -> None:
    make_session()
    value = {"properties": {"à, b": {"type": "string", "format": "regex"}}, "uniqueItems": True}
    asked = HELLO | {"response_format": schema_of(value), "stream": stream}
    response = api("POST", "chat/completions", asked)
    path = "response_format.json_schema.schema."
    told = f"{path}uniqueItems, {path}properties.%C3%A0%2C%20b.format"
    assert response["X-Schema-Passed-Over"] == told
    held = HELLO | {"response_format": schema_of({"type": "object"})}
    assert "X-Schema-Passed-Over" not in api("POST", "chat/completions", held)
