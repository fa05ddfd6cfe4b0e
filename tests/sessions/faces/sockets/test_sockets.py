"""WebSockets have the limits of other streams, and thousands of idle ones cost little."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from pytest_django.fixtures import Settings
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cortensor_site.stack.limits import allow_files
from sessions.access.streams import is_followed
from tests.sessions.factories import make_key, make_session, make_task
from tests.sessions.router_process import RouterProcess, running_router

pytestmark = pytest.mark.django_db(transaction=True)

IDLE_SOCKETS = int(os.environ.get("IDLE_SOCKETS", "500"))
HANDSHAKE = (
    b"GET /ws/network HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MOST_BYTES_A_SOCKET = 60_000
Opened = Callable[..., ClientConnection]


@pytest.fixture
def opened(server: str) -> Iterator[Opened]:
    with ExitStack() as stack:

        def open_socket(path: str, secret: str = "") -> ClientConnection:
            headers = {"Authorization": f"Bearer {secret}"} if secret else None
            url = server.replace("http", "ws", 1) + path
            return stack.enter_context(connect(url, additional_headers=headers))

        yield open_socket


@pytest.fixture
def limits(settings: Settings) -> Callable[..., None]:
    def change(**values: int) -> None:
        settings.LIMITS = settings.LIMITS | values

    return change


def refusal(socket_: ClientConnection) -> tuple[int, dict[str, Any]]:
    """The close code, and the message before it."""
    message = dict(json.loads(socket_.recv(timeout=5)))
    with pytest.raises(ConnectionClosed) as closed:
        socket_.recv(timeout=5)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, message


def stays_open(socket_: ClientConnection) -> bool:
    with pytest.raises(TimeoutError):
        socket_.recv(timeout=0.3)
    return True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it has not come to pass"
        time.sleep(0.01)


@pytest.mark.parametrize("feed", ["sessions", "tasks"])
def test_a_key_follows_by_socket_as_many_streams_as_it_may_and_no_more(
    opened: Opened, feed: str
) -> None:
    session = make_session()
    task = make_task(session)
    _, secret = make_key(max_open_streams=2)
    path = f"/ws/{feed}/{session.session_id}"
    path += f"/{task.task_id}" if feed == "tasks" else ""
    first, second = opened(path, secret), opened(path, secret)
    assert stays_open(first)
    assert stays_open(second)
    code, message = refusal(opened(path, secret))
    assert code == 4429
    assert message["error"]["type"] == "urn:cortensor:problem:rate_limited"
    assert message["retry_after_s"] >= 1
    first.close()

    def free() -> bool:
        try:
            return stays_open(opened(path, secret))
        except pytest.fail.Exception:
            return False
        except ConnectionClosed:
            return False

    until(free)


def test_an_address_has_as_many_sockets_open_as_it_may_and_no_more(
    opened: Opened, limits: Callable[..., None]
) -> None:
    limits(address_open_sockets=3)
    held = [opened("/ws/network") for _ in range(3)]
    assert all(map(stays_open, held))
    code, message = refusal(opened("/ws/network"))
    assert code == 4429
    assert "address" in message["error"]["detail"]


def test_wrong_keys_of_one_address_are_counted_by_socket_too(
    opened: Opened, limits: Callable[..., None]
) -> None:
    limits(failures_per_minute=2)
    task = make_task(make_session())
    path = f"/ws/tasks/{task.session_id}/{task.task_id}"
    codes = [refusal(opened(path, "cor_wrong"))[0] for _ in range(3)]
    assert codes == [4401, 4401, 4429]


def test_who_follows_a_task_by_socket_is_known_until_it_leaves(opened: Opened) -> None:
    task = make_task(make_session())
    numbers = (task.session_id, task.task_id)
    socket_ = opened(f"/ws/tasks/{task.session_id}/{task.task_id}", make_key()[1])
    until(lambda: is_followed(numbers))
    socket_.close()
    until(lambda: not is_followed(numbers))


def test_a_half_closed_socket_is_let_go_and_gives_its_place_back(
    server: str, opened: Opened, limits: Callable[..., None]
) -> None:
    limits(address_open_sockets=1)
    parts = urlsplit(server)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as half:
        half.sendall(HANDSHAKE)
        assert half.recv(65536).startswith(b"HTTP/1.1 101")
        assert refusal(opened("/ws/network"))[0] == 4429
        half.shutdown(socket.SHUT_WR)
        while half.recv(65536):
            pass
    until(lambda: no_place_is_taken("127.0.0.1"))
    assert stays_open(opened("/ws/network"))


def no_place_is_taken(remote: str) -> bool:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as store:
        return not store.exists(f"streams:address:{remote}")


def test_idle_sockets_cost_little_and_keep_nobody_out() -> None:
    allow_files()
    with running_router(LIMIT_ADDRESS_OPEN_SOCKETS="0") as router, ExitStack() as stack:
        url = router.url.replace("http", "ws", 1) + "/ws/network"
        stack.enter_context(connect(url))
        before = resident_bytes(router)
        for _ in range(IDLE_SOCKETS):
            held = stack.enter_context(socket.create_connection(router.address, timeout=20))
            held.sendall(HANDSHAKE)
            assert held.recv(65536).startswith(b"HTTP/1.1 101")
        cost = (resident_bytes(router) - before) / IDLE_SOCKETS
        assert cost < MOST_BYTES_A_SOCKET, f"{cost:.0f} bytes a socket"
        stack.enter_context(connect(url))


def resident_bytes(router: RouterProcess) -> int:
    """The memory of the web process."""
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
