"""Untrusted connections: refusals in their documented form, and bounded memory."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cortensor_site.stack.limits import allow_files
from tests.sessions.factories import make_key
from tests.sessions.router_process import RouterProcess, running_router

pytestmark = pytest.mark.django_db(transaction=True)

IDLE_CONNECTIONS = 10_000
MOST_BYTES_A_CONNECTION = 30_000


@pytest.fixture(scope="module")
def router(django_db_setup: None, django_db_blocker: Any) -> Iterator[RouterProcess]:
    with django_db_blocker.unblock(), running_router() as running:
        yield running


@pytest.fixture
def secret() -> str:
    return make_key()[1]


def exchange(router: RouterProcess, *parts: bytes, half_close: bool = False) -> bytes:
    """Everything that a connection answers to these bytes."""
    with socket.create_connection(router.address, timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = bytearray()
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return bytes(answer)


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer[:300]
    document = json.loads(body)
    assert {"type", "title", "status", "detail", "errors"} <= set(document)
    assert head.startswith(f"HTTP/1.1 {document['status']} ".encode())
    return dict(document)


def resident_bytes(router: RouterProcess) -> int:
    pages = int(Path(f"/proc/{router.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def alive(router: RouterProcess) -> bool:
    return httpx.get(f"{router.url}/healthz", timeout=20).is_success


GET = b"GET /api/v1/about HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n"],
        [GET + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n"],
        [b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [GET, *([b"X-Endless: " + b"a" * 8_000] * 20)],
    ],
)
def test_a_head_beyond_all_bounds_is_a_431(router: RouterProcess, parts: list[bytes]) -> None:
    assert problem(exchange(router, *parts))["status"] == 431
    assert alive(router)


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"\x00" * 1_000 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        GET + b"Content-Length: -5\r\n\r\n",
        GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        GET + b"Bad Header\x01: x\r\n\r\n",
        GET + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
def test_what_is_not_http_is_a_400(router: RouterProcess, junk: bytes) -> None:
    assert problem(exchange(router, junk))["status"] == 400
    assert alive(router)


def test_a_prompt_bomb_is_refused_before_it_is_collected(
    router: RouterProcess, secret: str
) -> None:
    head = b"POST /api/v1/completions HTTP/1.1\r\nHost: localhost\r\n"
    announced = head + b"Content-Length: 99999999999\r\n\r\n"
    assert problem(exchange(router, announced))["status"] == 413
    before = resident_bytes(router)
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    assert problem(exchange(router, chunked, *([chunk] * 800)))["status"] == 413
    assert resident_bytes(router) - before < 40_000_000


def test_a_compressed_body_is_refused_for_what_it_is(router: RouterProcess) -> None:
    head = b"POST /api/v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
    answer = exchange(router, head + b"Content-Length: 3\r\n\r\nabc")
    assert problem(answer)["status"] == 415
    assert b"accept-encoding: identity" in answer.lower()


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (b"Content-Length: 99999999", 413, "request_too_large"),
        (b"Content-Encoding: gzip\r\nContent-Length: 3", 415, "unsupported_media_type"),
    ],
)
def test_openais_clients_read_such_a_refusal_as_they_read_all_others(
    router: RouterProcess, header: bytes, status: int, code: str
) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: big 1\r\n"
    answer = exchange(router, head + header + b"\r\n\r\nabc")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"x-request-id: big 1" in head.lower()
    assert b"application/json" in head
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_a_slash_too_many_does_not_hide_an_address(router: RouterProcess) -> None:
    for path in (b"/api/v1/about/", b"//api/v1/about"):
        answer = exchange(
            router, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"prompt": "\xff\xfe"}',
        b'{"prompt": "\\ud800", "session_id": 1}',
        b'{"prompt": "a\\u0000", "session_id": 1}',
        b'{"session_id": ' + b"9" * 100_000 + b"}",
        b'{"prompt": "' + b"a " * 1_000_000 + b'", "session_id": 1}',
    ],
)
def test_json_that_is_a_trap_is_refused(router: RouterProcess, secret: str, body: bytes) -> None:
    response = httpx.post(
        f"{router.url}/api/v1/completions",
        content=body,
        headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
        timeout=30,
    )
    assert response.headers["content-type"] == "application/problem+json"
    assert 400 <= response.status_code < 500


def test_half_closed_connections_are_let_go(router: RouterProcess) -> None:
    for part in (b"", GET, GET + b"\r\n", b"POST /api/v1/completions HTTP/1.1\r\nHost: x\r\n"):
        exchange(router, part, half_close=True)
    body = b"POST /api/v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
    exchange(router, body, half_close=True)
    assert alive(router)


def test_a_socket_takes_no_long_message_and_no_nonsense(router: RouterProcess) -> None:
    url = router.url.replace("http", "ws", 1)
    with connect(f"{url}/ws/tasks/1/1") as socket_:
        socket_.send("x" * 200_000)
        with pytest.raises(ConnectionClosed) as closed:
            socket_.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    assert alive(router)


def test_ten_thousand_idle_connections_cost_little_and_keep_nobody_out(
    router: RouterProcess,
) -> None:
    most = allow_files()
    count = min(IDLE_CONNECTIONS, most - 500)
    before = resident_bytes(router)
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(socket.create_connection(router.address, timeout=20))
            if number % 2:
                connection.sendall(b"GET /api/v1/ab")
        assert alive(router)
        cost = (resident_bytes(router) - before) / count
        assert cost < MOST_BYTES_A_CONNECTION
    assert alive(router)


def test_a_connection_that_says_nothing_is_closed_in_time(django_db_blocker: Any) -> None:
    with running_router(HEAD_WITHIN_S="1") as router:
        started = time.monotonic()
        assert problem(exchange(router, b"GET /api/v1/ab"))["status"] == 408
        assert 0.5 < time.monotonic() - started < 8


def test_a_body_that_never_comes_is_a_408(django_db_blocker: Any) -> None:
    with running_router(BODY_WITHIN_S="1") as router:
        head = b"POST /api/v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
        assert problem(exchange(router, head, b"abc"))["status"] == 408


def test_a_router_with_too_many_connections_says_so(django_db_blocker: Any) -> None:
    with running_router(MAX_CONNECTIONS="20") as router, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(socket.create_connection(router.address))
        assert problem(exchange(router, GET + b"\r\n"))["status"] == 503
