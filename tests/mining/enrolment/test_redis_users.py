"""A miner's Redis user can access all of its mailbox, and nothing else."""

import io

import pytest
import redis
from django.core.management import CommandError, call_command
from redis.lock import Lock

from mining.enrolment.redis_users import NoSuchAddress, enrol, enrolled, revoke
from mining.node.protocol.names import mailbox_prefix

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
        ("SETRANGE", f"{mailbox_prefix(MINER)}network", "536870000", "x"),
        ("SETBIT", f"{mailbox_prefix(MINER)}network", "4294967295", "1"),
        ("APPEND", f"{mailbox_prefix(MINER)}network", "x"),
        ("SET", f"{mailbox_prefix(MINER)}anything", "x"),
        ("XGROUP", "CREATE", f"{mailbox_prefix(MINER)}reports", "g", "0"),
        ("SUBSCRIBE", f"{mailbox_prefix(MINER)}x"),
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


HARMLESS_WITHOUT_KEYS = {
    # Commands about the connection, transactions, and Redis's public description of itself.
    "auth",
    "hello",
    "reset",
    "ping",
    "echo",
    "quit",
    "time",
    "command",
    "lolwut",
    "multi",
    "exec",
    "discard",
    "unwatch",
    "asking",
    "readonly",
    "readwrite",
    "unsubscribe",
    "punsubscribe",
    # Redis checks channels against the user's pattern.
    "subscribe",
    "psubscribe",
    "publish",
    # Only Redis's own parser finds the keys of these commands. Tests below try each of them.
    "xread",
    "xreadgroup",
    "evalsha",
    "zunion",
    "zinter",
    "zdiff",
    "stralgo",
}


UNTRIED = {
    # These end the login or have unusual replies. Other tests try them.
    "auth",
    "hello",
    "reset",
    "quit",
    "subscribe",
    "psubscribe",
    "unsubscribe",
    "punsubscribe",
}


def test_no_command_of_redis_touches_anothers_key(router, miner):
    """Every command of this Redis, with another miner's key as its key argument."""
    foreign = f"{mailbox_prefix(OTHER)}reports"
    router.xadd(foreign, {"type": "commit"})
    before = router.dump(foreign)
    without_keys = {}
    for name, about in router.command().items():
        first, last, step = (
            about[part] for part in ("first_key_pos", "last_key_pos", "step_count")
        )
        arity = abs(about["arity"])
        arguments = ["1"] * max(arity - 1, 1)
        if not first:
            without_keys[name] = ["1"] * (arity - 1)
            continue
        end = len(arguments) if last < 0 else last
        for position in range(first, max(end, first) + 1, step):
            arguments += ["1"] * (position - len(arguments))
            arguments[position - 1] = foreign
        with pytest.raises(redis.exceptions.NoPermissionError):
            miner.execute_command(name, *arguments)
    allowed = set()
    for name in sorted(without_keys.keys() - UNTRIED):
        connection = miner.connection_pool.get_connection()
        try:
            connection.send_command(name, *without_keys[name])
            connection.read_response()
            allowed.add(name)
        except (redis.exceptions.NoPermissionError, redis.exceptions.ConnectionError):
            pass  # Redis disconnects on POST and HOST:, which only misled browsers send
        except redis.exceptions.ResponseError:
            allowed.add(name)  # the user may run it, and its arguments were parsed
        finally:
            connection.disconnect()
            miner.connection_pool.release(connection)
    assert allowed <= HARMLESS_WITHOUT_KEYS
    assert router.dump(foreign) == before


@pytest.mark.parametrize(
    "command",
    [
        ("XREAD", "STREAMS", "{other}reports", "0"),
        ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "{other}reports", ">"),
        ("ZUNION", "1", "{other}set"),
        ("ZUNIONSTORE", "{own}a", "1", "{other}set"),
        ("SORT", "{own}a", "BY", "{other}*", "GET", "{other}*"),
        ("GEORADIUS", "{own}a", "0", "0", "1", "m", "STORE", "{other}a"),
        ("COPY", "{own}a", "{other}a"),
        ("BITOP", "AND", "{own}a", "{other}a"),
        ("MIGRATE", "127.0.0.1", "1", "{own}a", "0", "1"),
        ("STRALGO", "LCS", "KEYS", "{own}a", "{other}a"),
        ("EVALSHA", "{script}", "1", "{other}reports", "x"),
        ("PSUBSCRIBE", "*"),
        ("SUBSCRIBE", "{other}x"),
        ("PUBLISH", "{other}x", "1"),
        ("PUBLISH", "__keyspace@0__:x", "1"),
    ],
    ids=" ".join,
)
def test_no_roundabout_way_leads_to_anothers_keys_or_channels(router, miner, command):
    names = {
        "own": mailbox_prefix(MINER),
        "other": mailbox_prefix(OTHER),
        "script": router.script_load(Lock.LUA_RELEASE_SCRIPT),
    }
    with pytest.raises(redis.exceptions.NoPermissionError):
        miner.execute_command(*(part.format(**names) for part in command))


def test_a_script_of_the_routers_gets_a_miner_no_further(router, miner):
    """A script runs with the rights of the user that calls it, not of the one that loaded it."""
    router.set(f"{mailbox_prefix(OTHER)}a", "secret")
    script = router.script_load("return redis.call('get', ARGV[1])")
    with pytest.raises(redis.exceptions.ResponseError, match=r"can't access|NOPERM"):
        miner.evalsha(script, 0, f"{mailbox_prefix(OTHER)}a")


def test_enrolling_again_changes_the_password_and_cuts_open_connections(router, miner):
    assert miner.ping()
    with redis.Redis.from_url(enrol(MINER.lower())) as again:
        assert again.ping()
    with pytest.raises(redis.exceptions.RedisError):
        miner.ping()
    assert enrolled() == [MINER.lower()]


def test_a_revoked_miner_is_out_and_its_mailbox_is_empty(router, miner):
    miner.set(mailbox_prefix(MINER) + "unacked_mutex", "1")
    enrol(OTHER)
    revoke(MINER)
    assert enrolled() == [OTHER]
    assert router.keys(mailbox_prefix(MINER) + "*") == []
    with pytest.raises(redis.exceptions.RedisError):
        miner.ping()


@pytest.mark.django_db
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
