"""Processes report that they are alive, and what is known of them without Redis."""

import socket
import time

import pytest
import redis
from pytest_django.fixtures import Settings

from chain.postgres.liveness import read_marks, tell


def test_who_has_told_is_heard_of_with_its_time(redis_url: str) -> None:
    tell("a part")
    tell("another", at=time.time() - 30)
    marks = read_marks(["a part", "another", "a third"])
    assert marks.age_s("a part", time.time()) < 5
    assert 29 < marks.age_s("another", time.time()) < 35
    assert marks.age_s("a third", time.time()) == float("inf")
    assert marks.redis_since < time.time()


def test_a_mark_is_not_written_more_often_than_it_is_worth(redis_url: str) -> None:
    tell("busy", at=1.0)
    tell("busy", at=2.0)
    assert read_marks(["busy"]).at == {"busy": 1.0}


def test_who_tells_does_not_end_with_redis(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        settings.REDIS_URL = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
    tell("a part")
    with pytest.raises(redis.RedisError):
        read_marks(["a part"])


def test_who_tells_does_not_hang_with_redis(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        started = time.monotonic()
        tell("a part")
        assert time.monotonic() - started < 5
