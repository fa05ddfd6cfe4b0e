"""A miner that fills Redis is cut, then suspended. A full Redis loses nothing."""

from contextlib import suppress
from datetime import timedelta

import pytest
import redis
from django.utils import timezone

from chain.postgres.liveness import read_marks
from mining.assignment.mailbox_quota import Watcher, let_in_again, measure
from mining.enrolment.redis_users import enrol, enrolled
from mining.models import Assignment, AssignmentStatus, MinerPresence
from mining.reports.collector import reports_key
from tests.mining.conftest import make_account, make_task

pytestmark = pytest.mark.django_db

QUOTA = 1024 * 1024


@pytest.fixture
def miner(router_redis, settings):
    """The address and the Redis client of a miner whose quota is a megabyte."""
    settings.MAILBOX_MAX_BYTES = QUOTA
    address = make_account().address.lower()
    with redis.Redis.from_url(enrol(address)) as client:
        yield address, client


@pytest.fixture
def router(settings, router_redis):
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
        yield client


@pytest.fixture
def watcher(router):
    return Watcher(router)


def assignment(miner, **values):
    at = timezone.now()
    return Assignment.objects.create(
        task=make_task(),
        miner=miner,
        position=0,
        ack_deadline_at=at,
        lease_deadline_at=at,
        **values,
    )


def fill(client, key, size):
    for _ in range(size // 1_000):
        client.xadd(key, {"text": "x" * 1_000})


def is_in(address):
    return address in enrolled()


def test_a_mailbox_within_its_quota_is_left_alone(miner, watcher, router):
    address, client = miner
    fill(client, reports_key(address), QUOTA // 4)
    watcher.enforce()
    assert is_in(address)
    assert router.xlen(reports_key(address)) == QUOTA // 4 // 1_000


@pytest.mark.parametrize("command", ["stream", "queue", "text", "hash"])
def test_whoever_fills_its_mailbox_is_shut_out_and_its_keys_are_gone(
    miner, watcher, router, command, caplog
):
    address, client = miner
    prefix = f"miner:{address}:"
    match command:
        case "stream":
            fill(client, prefix + "stream:" + str(assignment(address).pk), 2 * QUOTA)
        case "queue":
            client.lpush(prefix + "inference", *["x" * 1_000] * (2 * QUOTA // 1_000))
        case "text":
            client.set(prefix + "unacked_mutex", "x" * 2 * QUOTA)
        case "hash":
            # The first elements are small, so that a sample does not show the size.
            client.hset(prefix + "unacked", mapping={f"{n}": "x" for n in range(50)})
            client.hset(prefix + "unacked", mapping={"last": "x" * 2 * QUOTA})
    watcher.enforce()
    assert not is_in(address)
    assert measure(router) == {}
    presence = MinerPresence.objects.get(pk=address)
    assert presence.suspended_at is not None
    assert "1,048,576" in presence.suspended_for
    assert address in caplog.text
    with pytest.raises(redis.RedisError):
        client.ping()


def test_what_nobody_needs_is_cut_before_anybody_is_shut_out(miner, watcher, router):
    address, client = miner
    current = assignment(address)
    over = assignment(
        address,
        status=AssignmentStatus.JUDGED,
        finished_at=timezone.now() - timedelta(hours=1),
    )
    for name in (current.pk, over.pk, "made-up"):
        fill(client, f"miner:{address}:stream:{name}", QUOTA // 3)
    fill(client, reports_key(address), QUOTA // 3)
    last = router.xrevrange(reports_key(address), count=1)[0][0].decode()
    MinerPresence.objects.create(pk=address, report_cursor=last)
    watcher.enforce()
    assert is_in(address)
    assert router.exists(f"miner:{address}:stream:{current.pk}")
    assert not router.exists(f"miner:{address}:stream:{over.pk}")
    assert not router.exists(f"miner:{address}:stream:made-up")
    assert router.xlen(reports_key(address)) <= 1


def test_only_who_has_too_much_is_shut_out(miner, watcher):
    address, client = miner
    other = make_account().address.lower()
    enrol(other)
    client.set(f"miner:{address}:network", "x" * 2 * QUOTA)
    watcher.enforce()
    assert enrolled() == [other]


def test_the_mailboxes_are_measured_when_memory_has_grown(miner, watcher, monkeypatch):
    address, client = miner
    watcher.look()
    measured = []
    monkeypatch.setattr(watcher, "enforce", lambda most=None: measured.append(most))
    watcher.look()
    assert measured == []
    client.set(f"miner:{address}:network", "x" * 2 * QUOTA)
    watcher.look()
    assert measured == [None]


@pytest.fixture
def nearly_full(router):
    """A Redis with 4 MB of free memory."""
    before = router.config_get("maxmemory")["maxmemory"]
    router.config_set("maxmemory", router.info("memory")["used_memory"] + 4 * QUOTA)
    yield
    router.config_set("maxmemory", before)


def test_a_full_redis_is_said_to_be_away_until_there_is_room_again(
    miner, settings, watcher, router, nearly_full
):
    settings.MAILBOX_MAX_BYTES = 64 * QUOTA
    address, client = miner
    # Reading a command takes memory as well, so small commands fill the rest.
    for size in (QUOTA // 4, 4_096, 16):
        with suppress(redis.OutOfMemoryError):
            for number in range(100_000):
                client.hset(f"miner:{address}:unacked", f"{size}-{number}", "x" * size)
    with pytest.raises(redis.OutOfMemoryError):
        read_marks(["sync"])
    watcher.look()
    assert not is_in(address), "the mailbox has more than its part of a memory that is used up"
    assert read_marks(["sync"])
    assert router.ping()


def test_the_operator_lets_a_miner_in_again(miner, watcher):
    address, client = miner
    client.set(f"miner:{address}:network", "x" * 2 * QUOTA)
    watcher.enforce()
    assert let_in_again([address]) == 1
    assert MinerPresence.objects.get(pk=address).suspended_at is None
    assert let_in_again([address]) == 0
