"""A stream continues at another router process, and a feed where its client left it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sessions.models import Task
from sessions.stages import task_states
from sessions.streams import feeds, task_stream
from tests.sessions.factories import STRANGER, make_key, make_session, make_task
from tests.sessions.router_process import RouterProcess, running_router

pytestmark = pytest.mark.django_db(transaction=True)

ALICE = "0x" + "aa" * 20
PIECES = [f"piece {number} " for number in range(400)]


@pytest.fixture(scope="module")
def router(django_db_setup: None, django_db_blocker: Any) -> Iterator[RouterProcess]:
    with django_db_blocker.unblock(), running_router() as running:
        yield running


@pytest.fixture
def store(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, protocol=2) as connection:
        yield connection


@pytest.fixture
def opened() -> Iterator[Callable[..., ClientConnection]]:
    """Opens WebSockets, and closes them after the test."""
    with ExitStack() as stack:

        def open_socket(router: RouterProcess, path: str, **options: Any) -> ClientConnection:
            url = router.url.replace("http", "ws", 1) + path
            return stack.enter_context(connect(url, **options))

        yield open_socket


Opened = Callable[..., ClientConnection]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def key_of(task: Task) -> str:
    return task_stream.miner_stream_key(ALICE, f"{task.session_id}:{task.task_id}")


def write(store: "redis.Redis", task: Task, pieces: list[str], done: bool = False) -> None:
    for piece in pieces:
        store.xadd(key_of(task), {"text": piece})
    if done:
        store.xadd(key_of(task), {"done": "1", "finish_reason": "stop"})


def path_of(task: Task) -> str:
    return f"/api/v1/tasks/{task.session_id}/{task.task_id}/stream"


class Events:
    """What a client of server-sent events has: the text, the last id, and how it ended."""

    def __init__(self) -> None:
        self.text, self.last_id, self.error, self.done = "", "", None, False

    def take(self, response: httpx.Response) -> None:
        for line in response.iter_lines():
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            elif line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                body = json.loads(line.removeprefix("data: "))
                self.error = body.get("error") and body
                if not self.error:
                    self.text += body["choices"][0]["text"]


def follow(router: RouterProcess, task: Task, secret: str, events: Events) -> httpx.Response:
    headers = bearer(secret) | {"Last-Event-ID": events.last_id}
    with httpx.stream("GET", router.url + path_of(task), headers=headers, timeout=20) as response:
        events.take(response)
    return response


def test_no_piece_is_lost_doubled_or_out_of_order_across_a_restart(store: "redis.Redis") -> None:
    task, (_, secret) = make_task(make_session(), timeout_s=60), make_key()
    task_stream.announce_source(task, ALICE, key_of(task))
    followed = [Events() for _ in range(8)]

    def write_slowly() -> None:
        for piece in PIECES:
            store.xadd(key_of(task), {"text": piece})
            time.sleep(0.01)
        write(store, task, [], done=True)

    with running_router() as first:
        readers = [
            threading.Thread(target=follow, args=(first, task, secret, events))
            for events in followed
        ]
        writer = threading.Thread(target=write_slowly)
        for thread in [*readers, writer]:
            thread.start()
        while "piece 50 " not in followed[0].text:
            time.sleep(0.05)
        first.stop()
        for thread in readers:
            thread.join(20)
        assert first.process.wait(20) in (0, -15)
    for events in followed:
        assert not events.done
        assert events.error is not None
        assert events.error["error"]["status"] == 503
        assert events.error["resume"] == {"url": path_of(task), "last_event_id": events.last_id}
    with running_router() as second:
        for events in followed:
            follow(second, task, secret, events)
            assert events.done
            assert events.text == "".join(PIECES)
        writer.join(20)


def test_two_processes_serve_one_stream(router: RouterProcess, store: "redis.Redis") -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    task_stream.announce_source(task, ALICE, key_of(task))
    write(store, task, ["one ", "two ", "three"], done=True)
    with running_router() as other:
        for process in (router, other):
            events = Events()
            follow(process, task, secret, events)
            assert events.text == "one two three"


def test_an_answer_that_is_complete_is_not_sent_again(
    router: RouterProcess, store: "redis.Redis"
) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    task_stream.announce_source(task, ALICE, key_of(task))
    write(store, task, ["one"], done=True)
    events = Events()
    follow(router, task, secret, events)
    assert follow(router, task, secret, events).status_code == 204
    assert events.text == "one"


def test_a_wrong_position_a_strangers_task_and_a_stream_that_is_gone_are_refused(
    router: RouterProcess, store: "redis.Redis"
) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    url = router.url + path_of(task)
    wrong = httpx.get(url, headers=bearer(secret) | {"Last-Event-ID": "yesterday"})
    assert wrong.json()["field"] == "Last-Event-ID"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bearer(make_key(STRANGER)[1])).status_code == 404
    assert httpx.post(url, headers=bearer(secret)).status_code == 405
    task_states.mark_failed(task, "gone", "no miner is left")
    store.flushall()
    assert httpx.get(url, headers=bearer(secret)).status_code == 410


# ── WebSocket ────────────────────────────────────────────────────────────────


def receive(socket_: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(socket_.recv(timeout=5)))


def closed(socket_: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as end:
        socket_.recv(timeout=10)
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


def test_a_socket_resumes_behind_the_last_token(
    router: RouterProcess, opened: Opened, store: "redis.Redis"
) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    task_stream.announce_source(task, ALICE, key_of(task))
    write(store, task, ["one "])
    path = f"/ws/tasks/{task.session_id}/{task.task_id}"
    first = opened(router, path, additional_headers=bearer(secret))
    assert receive(first)["type"] == "source"
    token = receive(first)
    write(store, task, ["two ", "three"], done=True)
    resumed = opened(
        router, f"{path}?last_event_id={token['id']}", additional_headers=bearer(secret)
    )
    assert receive(resumed)["type"] == "source"
    said = ""
    while (message := receive(resumed))["type"] == "token":
        said += message["text"]
    assert said == "two three"
    assert message["type"] == "done"
    assert closed(resumed)[0] == 1000


def test_a_sessions_feed_tells_its_own_tasks_and_resumes(
    router: RouterProcess, opened: Opened
) -> None:
    session, (_, secret) = make_session(), make_key()
    task, foreign = make_task(session), make_task(make_session())
    path = f"/ws/sessions/{session.session_id}"
    feed = opened(router, path)
    feed.send(json.dumps({"type": "auth", "api_key": secret}))
    assert wait_until_told(feed, lambda: task_stream.write(*feeds.additions(stage(task, "queued"))))
    task_states.mark_assigned(foreign, [ALICE])
    task_states.mark_assigned(task, [ALICE])
    first = receive(feed)
    assert (first["task_id"], first["status"]) == (task.task_id, "assigned")
    feed.close()
    task_states.mark_acked(task, ALICE)
    task_states.mark_precommitted(task, [ALICE])
    again = opened(router, f"{path}?last_event_id={first['id']}", additional_headers=bearer(secret))
    assert [receive(again)["status"] for _ in range(2)] == ["acked", "precommitted"]


def stage(task: Task, status: str) -> dict[str, Any]:
    ids = {"session_id": task.session_id, "task_id": task.task_id}
    return {"type": "task", "status": status} | ids


def wait_until_told(socket_: ClientConnection, publish: Callable[[], None]) -> bool:
    """Publish until the socket hears it: only then it is known to listen."""
    for _ in range(50):
        publish()
        try:
            socket_.recv(timeout=0.1)
        except TimeoutError:
            continue
        while True:
            try:
                socket_.recv(timeout=0.2)
            except TimeoutError:
                return True
    return False


def test_a_strangers_session_has_no_feed(router: RouterProcess, opened: Opened) -> None:
    feed = opened(
        router,
        f"/ws/sessions/{make_session().session_id}",
        additional_headers=bearer(make_key(STRANGER)[1]),
    )
    assert receive(feed)["error"]["status"] == 404
    assert closed(feed)[0] == 4404


def test_a_feed_that_has_moved_on_says_so(
    router: RouterProcess, opened: Opened, store: "redis.Redis"
) -> None:
    for number in range(3):
        task_stream.write(*feeds.additions({"type": "miner", "number": number}))
    oldest = store.xrange(feeds.NETWORK_FEED, count=1)[0][0].decode()
    store.xtrim(feeds.NETWORK_FEED, maxlen=1, approximate=False)
    feed = opened(router, f"/ws/network?last_event_id={oldest}")
    assert receive(feed)["error"]["status"] == 410
    assert closed(feed)[0] == 4008


def test_a_feed_wants_an_id_of_its_own(router: RouterProcess, opened: Opened) -> None:
    feed = opened(router, "/ws/network?last_event_id=yesterday")
    assert receive(feed)["error"]["field"] == "last_event_id"
    assert closed(feed)[0] == 4400


def test_a_page_of_another_origin_opens_no_socket(router: RouterProcess, opened: Opened) -> None:
    host = router.url.removeprefix("http://")
    opened(router, "/ws/network", origin=f"http://{host}")
    for origin in ("https://evil.example", "null", f"http://{host}.evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            opened(router, "/ws/network", origin=origin)
        assert refused.value.response.status_code == 403


def test_sockets_are_told_where_to_go_on_when_the_router_stops(opened: Opened) -> None:
    task, (_, secret) = make_task(make_session()), make_key()
    with running_router(PUBLIC_URL="https://router.example") as router:
        path = f"/ws/tasks/{task.session_id}/{task.task_id}"
        socket_ = opened(router, path, additional_headers=bearer(secret))
        task_stream.announce_source(task, ALICE, key_of(task))
        assert receive(socket_)["type"] == "source"
        router.stop()
        assert receive(socket_) == {
            "type": "reconnect",
            "session_id": task.session_id,
            "task_id": task.task_id,
            "url": f"wss://router.example{path}",
            "last_event_id": "",
        }
        assert closed(socket_)[0] == 1012
        assert router.process.wait(20) in (0, -15)


def test_a_client_that_reads_nothing_is_let_go_and_can_resume(
    store: "redis.Redis",
) -> None:
    task, (_, secret) = make_task(make_session(), timeout_s=60), make_key()
    task_stream.announce_source(task, ALICE, key_of(task))
    with running_router(WEBSOCKET_UNREAD_S="1") as router, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(router.address)
        slow.sendall(upgrade(f"/ws/tasks/{task.session_id}/{task.task_id}", secret))
        assert slow.recv(12) == b"HTTP/1.1 101"
        write(store, task, ["x" * 9_000] * 100)
        time.sleep(5)
        received, slow_timeout = bytearray(), 5
        slow.settimeout(slow_timeout)
        try:
            while piece := slow.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        # It was cut off in the middle: nobody kept the rest for it.
        assert received.count(b"x") < 900_000
        write(store, task, [], done=True)
        events = Events()
        follow(router, task, secret, events)
        assert len(events.text) == 900_000


def upgrade(path: str, secret: str) -> bytes:
    """The request that makes a connection a WebSocket."""
    head = {
        "Host": "router",
        "Authorization": f"Bearer {secret}",
        "Upgrade": "websocket",
        "Connection": "upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join([*lines, "", ""]).encode()
