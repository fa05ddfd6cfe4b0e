"""Rate limits for each minute, of a key and of its account. Headers state them."""

import threading
import time
from collections.abc import Callable

import pytest
import redis
from pytest_django.fixtures import Settings

from sessions.access import buckets, rates
from sessions.access.buckets import Bucket
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.errors import InvalidField
from sessions.intake import acceptance
from sessions.models import Task
from tests.sessions.api_client import Api, problem_of
from tests.sessions.factories import OWNER, make_key, make_request, make_session
from tests.sessions.ports import MODEL, replace_ports

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_client_is_told_what_is_left_and_when_to_come_back(
    api: Api, limits: Callable[..., None]
) -> None:
    limits(key_requests_per_minute=2)
    _, secret = make_key()
    for left in ("1", "0"):
        response = api("GET", "ping", key=secret)
        assert response.status_code == 200
        assert response["x-ratelimit-limit-requests"] == "2"
        assert response["x-ratelimit-remaining-requests"] == left
    refused = api("GET", "ping", key=secret)
    assert problem_of(refused, 429)["type"] == "urn:cortensor:problem:rate_limited"
    assert 1 <= int(refused["Retry-After"]) <= 30
    assert 55 < float(refused["x-ratelimit-reset-requests"].rstrip("s")) <= 60
    assert api("GET", "ping", key=make_key()[1]).status_code == 200


def test_the_keys_of_an_account_share_its_limit(api: Api, limits: Callable[..., None]) -> None:
    limits(account_requests_per_minute=2)
    first, second = make_key()[1], make_key()[1]
    assert api("GET", "ping", key=first).status_code == 200
    assert api("GET", "ping", key=second).status_code == 200
    problem_of(api("GET", "ping", key=first), 429)


def test_a_key_has_limits_of_its_own(api: Api) -> None:
    _, secret = make_key(requests_per_minute=1)
    assert api("GET", "ping", key=secret).status_code == 200
    problem_of(api("GET", "ping", key=secret), 429)


def test_tokens_are_counted_at_the_worst_case(limits: Callable[..., None]) -> None:
    limits(key_tokens_per_minute=25)
    session, (key, _) = make_session(), make_key()
    for _ in range(2):  # of 11 tokens each
        acceptance.accept(make_request(), session=session, api_key=key)
    with pytest.raises(LimitReached, match="tokens a minute"):
        acceptance.accept(make_request(), session=session, api_key=key)
    with pytest.raises(InvalidField) as refusal:
        acceptance.accept(make_request(max_tokens=40), session=session, api_key=key)
    assert refusal.value.field == "max_tokens"
    assert Task.objects.count() == 2


def test_a_prompt_bomb_is_refused_before_anybody_counts_its_tokens(
    limits: Callable[..., None],
) -> None:
    limits(prompt_bytes=100)
    replace_ports(prompt_counter=None)
    with pytest.raises(InvalidField) as refusal:
        acceptance.accept(make_request("é" * 51), session=make_session(), api_key=None)
    assert refusal.value.field == "prompt"
    assert MODEL


def test_of_many_at_once_just_as_many_get_through_as_there_is_room() -> None:
    outcomes: list[bool] = []
    barrier = threading.Barrier(16)

    def take() -> None:
        barrier.wait()
        allowance = buckets.take(1, [Bucket("a", 10), Bucket("b", 5)])
        assert allowance is not None
        outcomes.append(allowance.wait_ms == 0)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 5
    # Nothing was taken from the one when the other was empty.
    allowance = buckets.take(0, [Bucket("a", 10)])
    assert allowance is not None
    assert allowance.remaining == 5


def test_a_bucket_refills_as_time_goes_by_and_is_forgotten_within_a_minute(redis_url: str) -> None:
    bucket = Bucket("x", 600)  # ten a second
    assert buckets.take(600, [bucket])
    refused = buckets.take(2, [bucket])
    assert refused is not None
    assert 100 < refused.wait_ms <= 200
    time.sleep(refused.wait_ms / 1000)
    taken = buckets.take(2, [bucket])
    assert taken is not None
    assert taken.wait_ms == 0
    with redis.Redis.from_url(redis_url) as store:
        assert all(0 < store.pttl(key) <= 60_000 for key in store.keys("limit:*"))


def test_a_dead_redis_locks_nobody_out(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    started = time.monotonic()
    rates.admit_request(Caller(OWNER))
    rates.admit_tokens(Caller(OWNER), 5)
    assert time.monotonic() - started < 3


def test_wrong_keys_from_one_address_are_slowed_and_right_ones_are_not(
    api: Api, limits: Callable[..., None]
) -> None:
    limits(failures_per_minute=2)
    wrong, (_, right) = "cor_" + "x" * 43, make_key()
    for status in (401, 401, 429, 429):
        problem_of(api("GET", "ping", key=wrong), status)
    assert api("GET", "ping", key=right).status_code == 200


def test_no_limit_means_none(limits: Callable[..., None]) -> None:
    limits(key_requests_per_minute=0, account_requests_per_minute=0)
    for _ in range(50):
        rates.admit_request(Caller.of_key(make_key()[0]))
    assert buckets.take(10**9, [Bucket("x", 0)]) is None
