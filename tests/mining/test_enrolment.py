"""A miner's own user in Redis: all of its mailbox, and nothing else."""

import io

import pytest
import redis
from django.core.management import CommandError, call_command

from mining.enrolment import NoSuchAddress, enrol, enrolled, mailbox_prefix, revoke

MINER = "0x" + "aB" * 20
OTHER = "0x" + "cd" * 20


@pytest.fixture
def router(redis_url):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
    for address in (MINER, OTHER):
        revoke(address)


@pytest.fixture
def miner(router):
    with redis.Redis.from_url(enrol(MINER), decode_responses=True) as client:
        yield client


def test_a_miner_reads_and_writes_its_mailbox(miner):
    prefix = mailbox_prefix(MINER)
    assert miner.xadd(prefix + "reports", {"type": "heartbeat"})
    assert miner.lpush(prefix + "inference", "job") == 1
    assert miner.brpop([prefix + "inference"], timeout=1) == (prefix + "inference", "job")
    with miner.lock(prefix + "unacked_mutex", timeout=5):  # as Celery's redelivery does
        assert miner.exists(prefix + "unacked_mutex")
    assert not miner.exists(prefix + "unacked_mutex")


@pytest.mark.parametrize(
    "command",
    [
        ("GET", f"{mailbox_prefix(OTHER)}reports"),
        ("XRANGE", f"{mailbox_prefix(OTHER)}reports", "-", "+"),
        ("XADD", f"{mailbox_prefix(OTHER)}reports", "*", "type", "commit"),
        ("XRANGE", "task:1:1000000", "-", "+"),
        ("LRANGE", "router:validation", "0", "-1"),
        ("RENAME", f"{mailbox_prefix(MINER)}a", f"{mailbox_prefix(OTHER)}a"),
        ("PUBLISH", "notices", "x"),
        ("SUBSCRIBE", "notices"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("DBSIZE",),
        ("SELECT", "1"),
        ("PUBSUB", "CHANNELS"),
        ("MEMORY", "STATS"),
        ("INFO",),
        ("CONFIG", "GET", "requirepass"),
        ("ACL", "LIST"),
        ("CLIENT", "LIST"),
        ("MONITOR",),
        ("FLUSHALL",),
        ("SHUTDOWN",),
        ("EVAL", "while true do end", "0"),
        ("SCRIPT", "LOAD", "return 1"),
        ("SCRIPT", "FLUSH"),
    ],
    ids=" ".join,
)
def test_a_miner_is_refused_what_is_not_its_own(router, miner, command):
    router.set(f"{mailbox_prefix(OTHER)}reports", "secret")
    router.set(f"{mailbox_prefix(MINER)}a", "own")
    with pytest.raises(redis.exceptions.NoPermissionError):
        miner.execute_command(*command)


def test_enrolling_again_changes_the_password_and_cuts_open_connections(router, miner):
    assert miner.ping()
    with redis.Redis.from_url(enrol(MINER.lower())) as again:
        assert again.ping()
    with pytest.raises(redis.exceptions.RedisError):
        miner.ping()
    assert enrolled() == [MINER.lower()]


def test_a_revoked_miner_is_out_and_its_mailbox_is_empty(router, miner):
    miner.set(mailbox_prefix(MINER) + "x", "1")
    enrol(OTHER)
    revoke(MINER)
    assert enrolled() == [OTHER]
    assert router.keys(mailbox_prefix(MINER) + "*") == []
    with pytest.raises(redis.exceptions.RedisError):
        miner.ping()


def test_the_command_prints_the_url_and_names_what_is_wrong(router):
    output = io.StringIO()
    call_command("enrol_miner", "--address", MINER, "--url-only", stdout=output)
    url = output.getvalue().strip()
    with redis.Redis.from_url(url) as client:
        assert client.ping()
    with pytest.raises(CommandError, match="address"):
        call_command("enrol_miner", "--address", "0x12")
    with pytest.raises(NoSuchAddress, match="40 hex digits"):
        enrol("not an address ~* +@all")
