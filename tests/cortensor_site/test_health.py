"""Which processes count as alive, and what the check costs a request."""

import time

import pytest
import redis
from django.test import Client
from pytest_django.fixtures import Settings

from chain.postgres.liveness import ALIVE_S, CHAIN, tell
from cortensor_site.celery import BUSY_AT_MOST_S, Pulse
from cortensor_site.web import health
from tests.cortensor_site.test_metrics import nobodys_redis
from tests.mining.conftest import make_miner


@pytest.fixture(autouse=True)
def afresh(redis_url: str) -> None:
    health.forget()


def all_parts(*but: str) -> None:
    """Every part tells that it is there, but those; they have been away for a minute."""
    with redis.Redis.from_url(redis_of()) as client:
        for part in health.PARTS:
            at = time.time() - (61 if part in but else 0)
            client.set(f"health:{part}", repr(at))


def redis_of() -> str:
    from django.conf import settings

    return str(settings.REDIS_URL)


def test_a_part_that_was_not_heard_of_for_a_while_is_away() -> None:
    tell("a part of this test")
    all_parts("oracle")
    assert [name for name, alive in health.components().items() if not alive] == ["oracle"]
    assert health.away_s().keys() == {"oracle"}
    assert health.away_s()["oracle"] >= 61 > ALIVE_S


def test_without_redis_nothing_is_known_of_the_others(settings: Settings) -> None:
    settings.REDIS_URL = nobodys_redis()
    assert not any(health.components().values())
    assert health.away_s().keys() == {"redis"}


def test_a_request_does_not_ask_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    all_parts()
    assert health.away_s() == {}
    monkeypatch.setattr(health, "read_marks", lambda _: pytest.fail("it asked"))
    for _ in range(100):
        assert health.away_s() == {}


def test_what_is_a_second_old_is_read_again_while_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_parts()
    monkeypatch.setattr(health, "READ_EVERY_S", 0.01)
    assert health.away_s() == {}
    all_parts("validate")
    until = time.monotonic() + 5
    while not health.away_s():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("part", "status"),
    [
        *((part, "unavailable") for part in ("validate", "collect", "oracle", "send", "sync")),
        ("react", "unavailable"),
        *((part, "degraded") for part in ("webhooks", "network_tasks", "dispatch")),
        (CHAIN, "unavailable"),
    ],
)
def test_the_router_says_which_part_is_missing_and_what_that_means(
    client: Client, part: str, status: str
) -> None:
    make_miner()
    all_parts(part)
    response = client.get("/readyz")
    told = response.json()
    assert told["status"] == status
    assert response.status_code == (503 if status == "unavailable" else 200)
    assert [name for name, is_there in told["checks"].items() if not is_there] == [part]


@pytest.mark.django_db(transaction=True)
def test_a_router_without_miners_is_not_ready(client: Client) -> None:
    all_parts()
    assert client.get("/readyz").json()["checks"]["miners"] is False
    assert client.get("/readyz").status_code == 503
    make_miner()
    assert client.get("/readyz").json()["status"] == "ok"


def test_a_worker_that_judges_for_long_is_alive_and_one_that_hangs_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pulse = Pulse()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + BUSY_AT_MOST_S - 1)
    assert pulse.beats()
    monkeypatch.setattr(time, "monotonic", lambda: now + BUSY_AT_MOST_S + 1)
    assert not pulse.beats()
    pulse.move()
    assert pulse.beats()
