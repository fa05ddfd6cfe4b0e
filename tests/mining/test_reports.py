"""Reading the mailboxes."""

import json
import time

import pytest
import redis
from django.utils import timezone

from mining import reports
from mining.directory import miners_online
from mining.enrolment import enrol
from mining.models import MinerPresence
from mining.node.job import Heartbeat, write_report
from mining.reports import Collector, reports_key
from tests.mining.conftest import make_account

pytestmark = pytest.mark.django_db

BEAT = write_report(
    Heartbeat(
        slots=4,
        in_flight=0,
        models=[1],
        tokens_per_s=9.5,
        software="cortensor-node/0",
        encryption_key="0x09" + "00" * 31,
    )
)


@pytest.fixture
def miners(router_redis):
    """Two miners in their own mailboxes: address to client."""
    clients = {}
    for _ in range(2):
        address = make_account().address.lower()
        clients[address] = redis.Redis.from_url(enrol(address))
    yield clients
    for client in clients.values():
        client.close()


@pytest.fixture
def collector(settings, router_redis, monkeypatch):
    monkeypatch.setattr(reports, "LOOK_FOR_MINERS_EVERY_S", 0)
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
        yield Collector(client)


def test_reports_of_all_miners_are_read_once(miners, collector):
    for address, client in miners.items():
        client.xadd(reports_key(address), BEAT)
    assert collector.collect(100) == 2
    assert collector.collect(10) == 0
    assert set(MinerPresence.objects.values_list("pk", "slots")) == {(a, 4) for a in miners}


def test_a_new_miner_is_heard_without_a_restart(miners, collector):
    collector.collect(10)
    address = make_account().address.lower()
    with redis.Redis.from_url(enrol(address)) as client:
        client.xadd(reports_key(address), BEAT)
    assert collector.collect(100) == 1


def test_a_restarted_collector_goes_on_where_the_last_one_was(miners, collector, settings):
    address, client = next(iter(miners.items()))
    client.xadd(reports_key(address), BEAT)
    collector.collect(100)
    client.xadd(reports_key(address), BEAT)
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as fresh:
        assert Collector(fresh).collect(100) == 1


def test_a_heartbeat_that_waited_long_makes_nobody_online(miners, collector):
    address, client = next(iter(miners.items()))
    client.xadd(reports_key(address), BEAT, id=int((time.time() - 60) * 1000))
    collector.collect(100)
    assert MinerPresence.objects.get(pk=address).slots == 4
    assert miners_online() == 0
    client.xadd(reports_key(address), BEAT, id=2**63)
    collector.collect(100)
    assert MinerPresence.objects.get(pk=address).last_seen_at <= timezone.now()


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "heartbeat"},
        {"type": "prize", "body": "{}"},
        {"nonsense": "1"},
        {"type": "heartbeat", "body": "[" * 100_000},
        {"type": "heartbeat", "body": b"\xff\xfe"},
        {"type": "heartbeat", "body": "{}" + " " * 2_000_000},
        {"type": "heartbeat", "body": BEAT["body"].replace("cortensor", "\\u0000\\ud800")},
        {"type": "ack", "body": json.dumps({"assignment_id": "1", "signature": "0x"})},
        {
            "type": "failed",
            "body": json.dumps({"assignment_id": "../..", "code": "", "message": ""}),
        },
    ],
    ids=["bare", "unknown", "odd", "deep", "bytes", "large", "unstorable", "short", "path"],
)
def test_a_bad_report_is_dropped_and_the_next_one_is_read(miners, collector, entry):
    address, client = next(iter(miners.items()))
    client.xadd(reports_key(address), entry)
    client.xadd(reports_key(address), BEAT)
    assert collector.collect(100) == 2
    assert collector.refused == 1
    assert MinerPresence.objects.get(pk=address).slots == 4


def test_a_miner_that_breaks_its_own_mailbox_does_not_disturb_the_others(miners, collector):
    (spoiler, spoilt), (other, client) = miners.items()
    spoilt.set(reports_key(spoiler), "no stream")
    client.xadd(reports_key(other), BEAT)
    collector.collect(10)
    assert collector.collect(100) == 1
    assert MinerPresence.objects.filter(pk=other, slots=4).exists()


def test_a_mailbox_does_not_grow_without_bounds(miners, collector, monkeypatch, router_redis):
    monkeypatch.setattr(reports, "MAX_KEPT", 10)
    address, client = next(iter(miners.items()))
    for _ in range(300):
        client.xadd(reports_key(address), BEAT)
    while collector.collect(10):
        pass
    assert router_redis.xlen(reports_key(address)) <= 110  # Redis trims by whole nodes
