"""Streams over a real server and real connections."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import redis
from eth_utils.address import to_checksum_address
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sessions.faces.common import sse
from sessions.models import Session, Task
from sessions.stages import task_states
from sessions.streams import feeds, task_stream
from sessions.streams import reader as stream_reader
from tests.sessions.factories import STRANGER, make_key, make_session, make_task

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, BOB = "0x" + "aa" * 20, "0x" + "bb" * 20


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    _, secret = make_key()
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=server, headers=headers, timeout=10) as connection:
        yield connection


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, protocol=2) as connection:
        yield connection


def write(store: "redis.Redis", miner: str, *pieces: str, done: bool = True) -> None:
    key = task_stream.miner_stream_key(miner, "1")
    for piece in pieces:
        store.xadd(key, {"text": piece})
    if done:
        counts = {"finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2}
        store.xadd(key, {"done": "1", **counts})


def go_live(task: Task, miner: str) -> None:
    task_stream.announce_source(task, miner, task_stream.miner_stream_key(miner, "1"))


class Stream:
    """An open answer, read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> Any:
        """The next event's body, `"[DONE]"`, or `"ping"`."""
        for line in self._lines:
            if line.startswith("data: "):
                body = line.removeprefix("data: ")
                return body if body == "[DONE]" else json.loads(body)
            if line.startswith(":"):
                return "ping"
        raise AssertionError("the stream has ended")


def ask(session: Session) -> dict[str, Any]:
    return {"session_id": session.session_id, "prompt": "hello", "max_tokens": 8, "stream": True}


def text(chunk: dict[str, Any]) -> str:
    return str(chunk["choices"][0]["text"])


def test_an_answer_streams_piece_by_piece_across_a_replaced_miner(
    client: httpx.Client, store: "redis.Redis"
) -> None:
    session = make_session()
    with client.stream("POST", "/api/v1/completions", json=ask(session)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        stream = Stream(response)
        first = stream.next()
        task = Task.objects.get()
        assert (first["session_id"], first["task_id"]) == (task.session_id, task.task_id)
        assert first["object"] == "text_completion"
        go_live(task, ALICE)
        write(store, ALICE, "two and", done=False)
        assert text(stream.next()) == "two and"
        go_live(task, BOB)
        write(store, BOB, "two", " and two is", " four")
        said = ""
        while len(said) < len(" two is four"):
            said += text(stream.next())
        assert said == " two is four"
        last = stream.next()
        assert last["choices"][0]["finish_reason"] == "stop"
        assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        assert stream.next() == "[DONE]"


def test_an_error_after_the_start_is_the_last_event(client: httpx.Client) -> None:
    session = make_session()
    with client.stream("POST", "/api/v1/completions", json=ask(session)) as response:
        stream = Stream(response)
        stream.next()
        task_states.mark_failed(Task.objects.get(), "miners_gone", "no miner is left")
        event = stream.next()
        assert event["error"]["detail"] == "no miner is left"
        assert event["task_id"] == Task.objects.get().task_id
        with pytest.raises(AssertionError, match="ended"):
            stream.next()


def test_a_refusal_before_the_start_has_its_own_status(client: httpx.Client) -> None:
    response = client.post("/api/v1/completions", json=ask(make_session(deposited_wei=0)))
    assert response.status_code == 402
    assert response.headers["content-type"] == "application/problem+json"


def test_a_quiet_stream_is_kept_open_by_pings(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sse.PING_S < 30
    events = sse.answer_events

    def impatient(task: Task, wait_s: float, **more: Any) -> AsyncIterator[bytes]:
        return events(task, wait_s, ping_s=0.05, **more)

    monkeypatch.setattr("sessions.faces.rest.views.completions.answer_events", impatient)
    with client.stream("POST", "/api/v1/completions", json=ask(make_session())) as response:
        stream = Stream(response)
        stream.next()
        assert [stream.next(), stream.next()] == ["ping", "ping"]


def test_a_client_that_leaves_ends_the_following(
    client: httpx.Client, store: "redis.Redis"
) -> None:
    with client.stream("POST", "/api/v1/completions", json=ask(make_session())) as response:
        stream = Stream(response)  # kept, or its iterator would close the response
        stream.next()
        assert wait_until(lambda: followed() == 1)
    assert wait_until(lambda: followed() == 0)


def test_an_answer_that_is_not_streamed_comes_in_one_piece(
    client: httpx.Client, store: "redis.Redis"
) -> None:
    session = make_session()

    def answer() -> None:
        assert wait_until(lambda: Task.objects.exists())
        go_live(Task.objects.get(), ALICE)
        write(store, ALICE, "two", " more")

    body = ask(session) | {"stream": False}
    response = in_another_thread(lambda: client.post("/api/v1/completions", json=body), answer)
    assert response.json()["choices"] == [
        {
            "index": 0,
            "text": "two more",
            "finish_reason": "stop",
            "logprobs": None,
            "address": ALICE,
        }
    ]


# ── WebSocket ────────────────────────────────────────────────────────────────


@pytest.fixture
def opened(server: str) -> Iterator[Callable[..., ClientConnection]]:
    """Opens WebSockets, and closes them after the test."""
    with ExitStack() as stack:

        def open_socket(path: str, secret: str | None = None) -> ClientConnection:
            headers = {"Authorization": f"Bearer {secret}"} if secret else None
            url = server.replace("http", "ws", 1) + path
            return stack.enter_context(connect(url, additional_headers=headers))

        yield open_socket


Opened = Callable[..., ClientConnection]


def follow_path(task: Task) -> str:
    return f"/ws/tasks/{task.session_id}/{task.task_id}"


def receive(socket_: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket_.recv(timeout=5)))


def close_code(socket_: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        socket_.recv(timeout=5)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_a_task_is_followed_with_the_key_in_the_header(
    opened: Opened, store: "redis.Redis"
) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    socket_ = opened(follow_path(task), secret)
    go_live(task, ALICE)
    write(store, ALICE, "two", done=False)
    ids = {"session_id": task.session_id, "task_id": task.task_id}
    assert receive(socket_) == {"type": "source", "miner": ALICE} | ids
    first = receive(socket_)
    write(store, ALICE, " more")
    second = receive(socket_)
    assert first.pop("id").startswith("3-")
    assert second.pop("id").startswith("8-")
    assert first == {"type": "token", "text": "two"} | ids
    assert second == {"type": "token", "text": " more"} | ids
    done = receive(socket_)
    assert (done["type"], done["finish_reason"]) == ("done", "stop")
    assert close_code(socket_) == 1000


def test_a_task_is_followed_with_the_key_in_the_first_message(
    opened: Opened, store: "redis.Redis"
) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    write(store, ALICE, "two")
    go_live(task, ALICE)
    socket_ = opened(follow_path(task))
    with pytest.raises(TimeoutError):
        socket_.recv(timeout=0.1)
    socket_.send(json.dumps({"type": "auth", "api_key": secret}))
    assert receive(socket_)["type"] == "source"


@pytest.mark.parametrize(
    "message", ["junk", "[]", '{"type":"auth"}', '{"type":"auth","api_key":"cor_wrong"}', b"\xff"]
)
def test_a_wrong_first_message_ends_the_connection(opened: Opened, message: str | bytes) -> None:
    socket_ = opened(follow_path(make_task(make_session())))
    socket_.send(message)
    error = receive(socket_)
    assert (error["type"], error["error"]["status"]) == ("error", 401)
    assert close_code(socket_) == 4401


def test_no_key_in_time_ends_the_connection(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.faces.sockets.consumer.AUTH_WITHIN_S", 0.05)
    socket_ = opened(follow_path(make_task(make_session())))
    assert receive(socket_)["error"]["status"] == 401


def test_a_strangers_task_is_not_there(opened: Opened) -> None:
    _, secret = make_key(STRANGER)
    socket_ = opened(follow_path(make_task(make_session())), secret)
    assert receive(socket_)["error"]["status"] == 404
    assert close_code(socket_) == 4404


def test_a_failure_is_told_and_ends_the_connection(opened: Opened) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    socket_ = opened(follow_path(task), secret)
    task_states.mark_failed(task, "miners_gone", "no miner is left")
    error = receive(socket_)
    assert error["error"]["detail"] == "no miner is left"
    assert close_code(socket_) == 4500


def test_a_socket_that_closes_ends_the_following(opened: Opened, store: "redis.Redis") -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    socket_ = opened(follow_path(task), secret)
    assert wait_until(lambda: followed() == 1)
    socket_.close()
    assert wait_until(lambda: followed() == 0)


def test_the_networks_feed_tells_stages_to_everybody(opened: Opened) -> None:
    socket_ = opened("/ws/network")
    task = make_task(make_session())
    task_states.mark_assigned(task, [ALICE])
    event = receive(socket_)
    assert event.pop("id")
    assert event == {
        "type": "task",
        "session_id": task.session_id,
        "task_id": task.task_id,
        "status": "assigned",
        "miners": [to_checksum_address(ALICE)],
    }
    socket_.send("junk")
    task_stream.write(*feeds.additions({"type": "miner", "online": True}))
    assert receive(socket_) | {"id": ""} == {
        "type": "miner",
        "online": True,
        "id": "",
        "session_id": None,
        "task_id": None,
    }


def test_an_unknown_socket_is_closed_with_the_code_for_it(opened: Opened) -> None:
    assert close_code(opened("/ws/nothing")) == 4404


def followed() -> int:
    """How many streams the server's reader follows."""
    return sum(reader.followed for reader in list(stream_reader._readers.values()))


def wait_until(holds: Callable[[], bool]) -> bool:
    for _ in range(100):
        if holds():
            return True
        threading.Event().wait(0.02)
    return False


def in_another_thread(call: Callable[[], Any], meanwhile: Callable[[], None]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    meanwhile()
    thread.join(10)
    return results[0]
