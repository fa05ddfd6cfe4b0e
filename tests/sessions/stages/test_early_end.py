"""The answer of a client that leaves ends there, unless another client waits for it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
import redis
from django.db import connection
from pytest_django.fixtures import Settings

from sessions.access.streams import is_followed
from sessions.faces.rest.views import completions as completion_views
from sessions.models import Session, Task, TaskStatus
from sessions.stages import early_end, task_states
from sessions.streams import reader, task_stream
from tests.sessions.factories import make_key, make_session, make_task

pytestmark = pytest.mark.django_db(transaction=True)

MINER = "0x" + "b2" * 20
QUESTION: Any = [{"role": "user", "content": "two words"}]
PIECES = ("one", " and two", " and three")


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, protocol=2) as connection:
        yield connection


@pytest.fixture
def shortened() -> Iterator[list[Task]]:
    """What the miners are told of."""
    told: list[Task] = []

    def tell(task: Task, **_: Any) -> None:
        told.append(task)

    early_end.task_shortened.connect(tell)
    yield told
    early_end.task_shortened.disconnect(tell)


@pytest.fixture
def sdk(server: str, settings: Settings) -> Iterator[openai.OpenAI]:
    settings.MODELS = {1: "/models/tiny-test.gguf"}
    make_session()
    _, secret = make_key()
    with openai.OpenAI(base_url=f"{server}/v1", api_key=secret, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def endless(store: "redis.Redis") -> Callable[[Task], None]:
    """Miners that say what they have of a task, and never come to an end."""

    def answer(task: Task) -> None:
        task_states.mark_assigned(task, [MINER])
        key = task_stream.miner_stream_key(MINER, task.pk)
        for piece in PIECES:
            store.xadd(key, {"text": piece})
        task_stream.announce_source(task, MINER, key)

    return answer


def until(condition: Callable[[], Any], within_s: float = 5.0) -> float:
    """Wait until something is so; how long that took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, "it has not come to pass"
        time.sleep(0.01)
    return time.monotonic() - started


def the_task() -> Task:
    until(Task.objects.exists)
    return Task.objects.get()


def opened(sdk: openai.OpenAI, endless: Callable[[Task], None], **more: Any) -> Any:
    """A stream of which the pieces that there are have been read."""
    stream = sdk.chat.completions.create(model="tiny-test", messages=QUESTION, stream=True, **more)
    endless(the_task())
    read = ""
    for chunk in stream:
        read += chunk.choices[0].delta.content or ""
        if read == "".join(PIECES):
            break
    return stream


def test_a_stream_that_is_closed_ends_the_answer_where_it_is(
    sdk: openai.OpenAI, endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    opened(sdk, endless).close()
    until(lambda: shortened)
    [task] = shortened
    assert task.enough_characters == len("".join(PIECES))
    assert Task.objects.get().enough_characters == task.enough_characters


def test_a_half_closed_connection_is_a_client_that_has_left(
    sdk: openai.OpenAI, server: str, endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    body = json.dumps({"model": "tiny-test", "messages": QUESTION, "stream": True}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sdk.api_key}\r\n"
    )
    parts = urlsplit(server)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as half:
        half.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        endless(the_task())
        half.shutdown(socket.SHUT_WR)
        until(lambda: shortened)


def test_a_caller_that_waits_for_the_whole_and_gives_up_ends_it_too(
    sdk: openai.OpenAI, endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    def ask() -> None:
        with pytest.raises(openai.APITimeoutError):
            sdk.chat.completions.create(model="tiny-test", messages=QUESTION, timeout=1.0)

    asking = threading.Thread(target=ask)
    asking.start()
    endless(the_task())
    asking.join()
    until(lambda: shortened)


def test_an_answer_that_nobody_had_begun_costs_nothing(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(model="tiny-test", messages=QUESTION, stream=True)
    stream.close()
    until(lambda: the_task().status == TaskStatus.FAILED)
    assert the_task().outcome_code == "cancelled"


def test_whoever_sent_an_idempotency_key_may_come_back_for_the_whole(
    sdk: openai.OpenAI, endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    opened(sdk, endless, extra_headers={"Idempotency-Key": "k"}).close()
    time.sleep(0.5)
    assert not shortened
    assert the_task().enough_characters is None


def test_an_answer_that_somebody_else_follows_goes_on(
    sdk: openai.OpenAI, server: str, endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    stream = opened(sdk, endless)
    task = the_task()
    numbers = (task.session_id, task.task_id)
    path = f"{server}/api/v1/tasks/{task.session_id}/{task.task_id}/stream"
    headers = {"Authorization": f"Bearer {sdk.api_key}"}
    with httpx.stream("GET", path, headers=headers) as watched:
        lines = watched.iter_lines()
        next(lines)
        assert is_followed(numbers)
        stream.close()
        time.sleep(0.5)
        assert not shortened
    until(lambda: not is_followed(numbers))


@pytest.fixture
def ask(sdk: openai.OpenAI, server: str) -> Callable[..., Any]:
    """A stream of the router's own API."""

    def stream(key: str = "", **more: Any) -> Any:
        session_id = Session.objects.get().session_id
        body = {"session_id": session_id, "prompt": "two words", "stream": True, **more}
        headers = {"Authorization": f"Bearer {sdk.api_key}", "Idempotency-Key": key}
        return httpx.stream("POST", f"{server}/api/v1/completions", json=body, headers=headers)

    return stream


def leave_in_mid_answer(asking: Any, endless: Callable[[Task], None]) -> Task:
    """Read the pieces that there are, and close the connection."""
    with asking as response:
        lines = response.iter_lines()
        next(lines)
        endless(the_task())
        while not any(piece in next(lines) for piece in PIECES):
            pass
    return the_task()


def test_a_stream_of_the_routers_own_api_that_nobody_resumes_ends_too(
    ask: Callable[..., Any],
    endless: Callable[[Task], None],
    shortened: list[Task],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completion_views, "RESUMED_WITHIN_S", 0.5)
    leave_in_mid_answer(ask(), endless)
    assert until(lambda: shortened) > 0.3
    assert shortened[0].enough_characters == len("".join(PIECES))


def test_a_stream_of_the_routers_own_api_that_is_resumed_goes_on(
    ask: Callable[..., Any],
    sdk: openai.OpenAI,
    server: str,
    endless: Callable[[Task], None],
    shortened: list[Task],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completion_views, "RESUMED_WITHIN_S", 0.5)
    task = leave_in_mid_answer(ask(), endless)
    path = f"{server}/api/v1/tasks/{task.session_id}/{task.task_id}/stream"
    with httpx.stream("GET", path, headers={"Authorization": f"Bearer {sdk.api_key}"}) as resumed:
        lines = resumed.iter_lines()  # kept, or it would close the response
        next(lines)
        time.sleep(1.0)
        assert not shortened


def test_a_task_of_the_routers_own_api_that_has_a_key_goes_on(
    ask: Callable[..., Any],
    endless: Callable[[Task], None],
    shortened: list[Task],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completion_views, "RESUMED_WITHIN_S", 0.1)
    leave_in_mid_answer(ask(key="order 7"), endless)
    time.sleep(0.6)
    assert not shortened


def test_a_label_keeps_no_task_of_a_client_that_has_left(
    ask: Callable[..., Any],
    endless: Callable[[Task], None],
    shortened: list[Task],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(completion_views, "RESUMED_WITHIN_S", 0.1)
    leave_in_mid_answer(ask(client_reference="my-app"), endless)
    until(lambda: shortened)


def test_a_request_of_the_routers_own_api_that_is_given_up_ends_at_once(
    ask: Callable[..., Any], endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    def give_up() -> None:
        with pytest.raises(httpx.ReadTimeout), ask(stream=False) as response:
            response.read()

    asking = threading.Thread(target=give_up)
    asking.start()
    endless(the_task())
    asking.join()
    until(lambda: shortened)


def test_an_answer_that_is_whole_has_nothing_left_to_do_without(
    store: "redis.Redis", shortened: list[Task]
) -> None:
    task = make_task()
    task_states.mark_assigned(task, [MINER])
    key = task_stream.miner_stream_key(MINER, task.pk)
    store.xadd(key, {"text": "all"})
    store.xadd(key, {"done": "1"})
    task_stream.announce_source(task, MINER, key)
    assert early_end.shorten(task) is False
    assert not shortened


def test_an_answer_is_shortened_once_and_not_after_the_precommits(
    store: "redis.Redis", endless: Callable[[Task], None], shortened: list[Task]
) -> None:
    task = make_task()
    endless(task)
    assert early_end.shorten(task) is True
    assert early_end.shorten(task) is False
    late = make_task()
    endless(late)
    task_states.mark_precommitted(late, [MINER])
    assert early_end.shorten(late) is False
    assert [each.pk for each in shortened] == [task.pk]


def test_without_redis_nothing_ends(settings: Settings, shortened: list[Task]) -> None:
    task = make_task()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    early_end.leave([task])
    task.refresh_from_db()
    assert (task.status, shortened) == (TaskStatus.QUEUED, [])
    assert not connection.in_atomic_block


def test_a_caller_that_a_stopping_process_sends_away_pays_for_no_more_of_its_answer(
    sdk: openai.OpenAI, endless: Callable[[Task], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks again elsewhere, which is a new task: nobody would fetch this one's answer."""
    refused: list[openai.APIStatusError] = []

    def ask() -> None:
        try:
            sdk.chat.completions.create(model="tiny-test", messages=QUESTION, max_tokens=8)
        except openai.APIStatusError as error:
            refused.append(error)

    caller = threading.Thread(target=ask)
    caller.start()
    until(Task.objects.exists)
    task = Task.objects.get()
    endless(task)
    monkeypatch.setattr(reader, "_stopping", None)  # and back, when the test is over
    reader.stop_following()
    caller.join(10)
    [error] = refused
    assert (error.status_code, error.code) == (503, "router_restarting")
    assert error.response.headers["retry-after"] == "1"
    assert Task.objects.get().enough_characters == len("".join(PIECES))
