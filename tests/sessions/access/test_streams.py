"""The limit of open streams is exact, and dead connections do not occupy it."""

import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
import redis
from django.http import HttpRequest, StreamingHttpResponse
from django.test import RequestFactory

from cortensor_site.asgi import application
from sessions.access import rates, streams
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.access.meter import MeterMiddleware
from sessions.access.streams import take_slot
from sessions.intake import acceptance
from tests.serving import serve
from tests.sessions.factories import OWNER, make_key, make_request, make_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The router's ASGI application behind a real server; its URL."""
    with serve(application) as url:
        yield url


def test_a_key_and_an_account_read_only_so_many_at_once(limits: Callable[..., None]) -> None:
    limits(account_open_streams=3)
    first, second = (Caller.of_key(make_key(max_open_streams=2)[0]) for _ in range(2))
    with ExitStack() as held:
        for caller in (first, first, second):
            held.callback(take_slot(caller).release)
        with pytest.raises(LimitReached, match="this account"):
            take_slot(second)
    take_slot(first)
    take_slot(first)
    with pytest.raises(LimitReached, match="this key"):
        take_slot(first)


def test_of_many_at_once_just_as_many_get_a_place_as_there_are(
    limits: Callable[..., None],
) -> None:
    limits(account_open_streams=4)
    outcomes: list[str] = []
    barrier = threading.Barrier(12)

    def take() -> None:
        barrier.wait()
        try:
            take_slot(Caller(OWNER))
            outcomes.append("taken")
        except LimitReached:
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 8 + ["taken"] * 4


def test_a_place_is_given_back_once(limits: Callable[..., None], redis_url: str) -> None:
    limits(account_open_streams=2)
    slot, other = take_slot(Caller(OWNER)), take_slot(Caller(OWNER))
    slot.release()
    slot.release()
    again = take_slot(Caller(OWNER))
    with pytest.raises(LimitReached):
        take_slot(Caller(OWNER))
    other.release()
    again.release()
    with redis.Redis.from_url(redis_url) as store:
        assert not store.exists(f"streams:account:{OWNER}")


def test_what_a_dead_process_held_is_free_when_its_name_has_expired(
    limits: Callable[..., None], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(account_open_streams=1)
    with monkeypatch.context() as in_another_process:
        in_another_process.setattr(streams, "_PROCESS", "another")
        take_slot(Caller(OWNER))
    with pytest.raises(LimitReached):
        take_slot(Caller(OWNER))
    with redis.Redis.from_url(redis_url) as store:
        until = store.zscore(streams.PROCESSES, "another")
        assert 0 < until - store.time()[0] <= streams.PROCESS_TTL_S
        store.zadd(streams.PROCESSES, {"another": store.time()[0] - 1})
    take_slot(Caller(OWNER)).release()


def test_a_stream_over_http_holds_its_place_until_its_reader_leaves(
    server: str, limits: Callable[..., None]
) -> None:
    limits(account_open_streams=1)
    session = make_session()
    request = make_request(idempotency_key="once", timeout_s=30)
    acceptance.accept(request, session=session, api_key=None)
    body = {
        "session_id": session.session_id,
        "prompt": request.prompt,
        "stream": True,
        "max_tokens": 8,
        "timeout": 30,
    }
    headers = {"Authorization": f"Bearer {make_key()[1]}", "Idempotency-Key": "once"}
    url = f"{server}/api/v1/completions"
    with httpx.Client(headers=headers, timeout=10) as client:
        with client.stream("POST", url, json=body) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()  # kept, or its end would close the response
            assert next(lines).startswith("data: ")
            assert stream.headers["x-ratelimit-remaining-requests"]
            refused = client.post(url, json=body)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "5"
        until = time.monotonic() + 10
        while True:
            with client.stream("POST", url, json=body) as stream:
                if stream.status_code == 200:
                    break
            assert time.monotonic() < until, "the place was never given back"
            time.sleep(0.05)


def test_a_place_is_given_back_when_nobody_reads_the_stream_or_the_view_fails(
    limits: Callable[..., None], rf: RequestFactory
) -> None:
    limits(account_open_streams=1)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"never read"

    def unread(_: HttpRequest) -> StreamingHttpResponse:
        rates.admit_stream(Caller(OWNER))
        return StreamingHttpResponse(pieces())

    def failing(_: HttpRequest) -> StreamingHttpResponse:
        rates.admit_stream(Caller(OWNER))
        raise ZeroDivisionError

    answer = MeterMiddleware(unread)(rf.post("/api/v1/completions"))
    with pytest.raises(LimitReached):
        take_slot(Caller(OWNER))
    del answer
    gc.collect()
    with pytest.raises(ZeroDivisionError):
        MeterMiddleware(failing)(rf.post("/api/v1/completions"))
    take_slot(Caller(OWNER)).release()


def test_a_stream_that_is_refused_holds_no_place(server: str, limits: Callable[..., None]) -> None:
    limits(account_open_streams=1)
    session = make_session(deposited_wei=0)
    body = {"session_id": session.session_id, "prompt": "x", "stream": True, "max_tokens": 8}
    headers = {"Authorization": f"Bearer {make_key()[1]}"}
    for _ in range(3):
        answer = httpx.post(f"{server}/api/v1/completions", json=body, headers=headers)
        assert answer.status_code == 402
