"""The collector reads the mailboxes."""

import json
import time
from dataclasses import replace

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chain.models import Fault
from chain.postgres.liveness import REPORTS
from mining.directory import miners_online
from mining.enrolment.redis_users import enrol
from mining.models import MinerPresence
from mining.node.protocol.reports import write_report
from mining.reports import collector as reports
from mining.reports.collector import Collector, reports_key
from tests.mining.conftest import heartbeat, make_account

pytestmark = pytest.mark.django_db


class Miner:
    """A miner in its own mailbox, and what it sends."""

    def __init__(self):
        self.account = make_account()
        self.address = self.account.address.lower()
        self.client = redis.Redis.from_url(enrol(self.address))

    def beat(self, **changes):
        """Send a heartbeat, as the node's own software does."""
        self.send(write_report(heartbeat(self.account, **changes)))

    def send(self, entry):
        self.client.xadd(reports_key(self.address), entry)


@pytest.fixture
def miners(router_redis):
    """Two miners."""
    miners = [Miner(), Miner()]
    yield miners
    for miner in miners:
        miner.client.close()


@pytest.fixture
def collector(settings, router_redis, monkeypatch):
    monkeypatch.setattr(reports, "LOOK_FOR_MINERS_EVERY_S", 0)
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as client:
        yield Collector(client)


def test_reports_of_all_miners_are_read_once(miners, collector):
    for miner in miners:
        miner.beat()
    assert collector.collect(100) == 2
    assert collector.collect(10) == 0
    seen = set(MinerPresence.objects.values_list("pk", "slots"))
    assert seen == {(miner.address, 4) for miner in miners}


def test_it_is_told_up_to_when_every_mailbox_was_read(miners, collector, told, monkeypatch):
    monkeypatch.setattr(reports, "BATCH", 2)
    for _ in range(3):
        miners[0].beat()
    collector.collect(100)
    assert told == [], "there is more"
    before = time.time()
    collector.collect(100)
    [(name, at)] = told
    assert name == REPORTS
    assert before <= at <= time.time()


@pytest.fixture
def told(monkeypatch):
    """What the collector tells of itself."""
    marks = []
    monkeypatch.setattr(reports, "tell", lambda *mark: marks.append(mark))
    return marks


def test_reports_that_lie_there_together_are_handled_in_one_transaction(miners, collector):
    for slots in (1, 2, 3):
        miners[0].beat(slots=slots)
    with CaptureQueriesContext(connection) as queries:
        assert collector.collect(100) == 3
    assert sum('SET "report_cursor"' in query["sql"] for query in queries) == 1
    assert MinerPresence.objects.get(pk=miners[0].address).slots == 3


def test_of_reports_that_lie_there_together_only_the_bad_one_is_dropped(miners, collector):
    for entry in (None, {"type": "nonsense"}, None):
        if entry is None:
            miners[0].beat()
        else:
            miners[0].send(entry)
    assert collector.collect(100) == 3
    assert collector.refused == 1
    assert collector.collect(10) == 0
    assert miners_online() == 1


def test_a_new_miner_is_heard_without_a_restart(miners, collector):
    collector.collect(10)
    new = Miner()
    new.beat()
    assert collector.collect(100) == 1
    new.client.close()


def test_a_restarted_collector_goes_on_where_the_last_one_was(miners, collector, settings):
    miners[0].beat()
    collector.collect(100)
    miners[0].beat()
    with redis.Redis.from_url(settings.REDIS_URL, protocol=2) as fresh:
        assert Collector(fresh).collect(100) == 1


def test_a_heartbeat_that_waited_long_makes_nobody_online(miners, collector):
    miner = miners[0]
    miner.beat(sent_at_ms=int((time.time() - 60) * 1000))
    collector.collect(100)
    assert MinerPresence.objects.get(pk=miner.address).slots == 4
    assert miners_online() == 0
    miner.beat()
    collector.collect(100)
    assert miners_online() == 1


def test_a_heartbeat_counts_once_and_only_under_its_own_key(miners, collector):
    miner, other = miners
    entry = write_report(heartbeat(miner.account, slots=3))
    for sender in (miner, miner, other):
        sender.send(entry)
    collector.collect(100)
    assert collector.refused == 2
    assert list(MinerPresence.objects.filter(slots=3).values_list("pk")) == [(miner.address,)]
    assert miners_online() == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "heartbeat"},
        {"type": "prize", "body": "{}"},
        {"nonsense": "1"},
        {"type": "heartbeat", "body": "[" * 100_000},
        {"type": "heartbeat", "body": b"\xff\xfe"},
        {"type": "heartbeat", "body": "{}" + " " * 2_000_000},
        {"type": "heartbeat", "body": json.dumps({"status": "{}", "signature": "0x" + "01" * 65})},
        {"type": "heartbeat", "body": json.dumps({"status": "\ud800", "signature": "0x00"})},
        {"type": "ack", "body": json.dumps({"assignment_id": "1", "signature": "0x"})},
        {
            "type": "failed",
            "body": json.dumps({"assignment_id": "../..", "code": "", "message": ""}),
        },
    ],
    ids=["bare", "unknown", "odd", "deep", "bytes", "large", "forged", "odd text", "short", "path"],
)
def test_a_bad_report_is_dropped_and_the_next_one_is_read(miners, collector, entry):
    miners[0].send(entry)
    miners[0].beat()
    assert collector.collect(100) == 2
    assert collector.refused == 1
    assert MinerPresence.objects.get(pk=miners[0].address).slots == 4


def test_a_signed_heartbeat_that_no_row_can_hold_is_dropped(miners, collector):
    miners[0].beat(software="\x00\ud800")
    miners[0].beat()
    assert collector.collect(100) == 2
    assert collector.refused == 1
    assert miners_online() == 1


def test_a_miner_that_breaks_its_own_mailbox_does_not_disturb_the_others(miners, collector):
    spoiler, other = miners
    spoiler.client.set(reports_key(spoiler.address), "no stream")
    other.beat()
    collector.collect(10)
    assert collector.collect(100) == 1
    assert MinerPresence.objects.filter(pk=other.address, slots=4).exists()


def test_a_mailbox_does_not_grow_without_bounds(miners, collector, monkeypatch, router_redis):
    monkeypatch.setattr(reports, "MAX_KEPT", 10)
    miner = miners[0]
    for _ in range(300):
        miner.send({"type": "noise"})
    while collector.collect(10):
        pass
    assert router_redis.xlen(reports_key(miner.address)) <= 110  # Redis trims by whole nodes


def test_a_huge_report_is_refused_by_its_size_and_never_read(miners, collector, monkeypatch):
    read = []
    texts = reports._texts
    monkeypatch.setattr(reports, "_texts", lambda entry: read.append(entry) or texts(entry))
    miners[0].send({"type": "ack", "body": "x" * 5_000_000})
    miners[0].beat()
    assert collector.collect(100) == 2
    assert collector.refused == 1
    assert max(sum(map(len, entry.fields.values())) for entry in read) < 10_000


def test_a_report_that_cannot_be_handled_now_is_kept_and_holds_up_nobody(
    miners, collector, monkeypatch
):
    unlucky, other = miners
    accept = reports.accept

    def fail(address, report, now):
        if address == unlucky.address:
            raise OSError(28, "No space left on device")
        accept(address, report, now)

    monkeypatch.setattr(reports, "accept", fail)
    unlucky.beat()
    other.beat()
    assert collector.collect(100) == 1
    assert MinerPresence.objects.filter(slots=4).get().pk == other.address
    assert Fault.objects.get().process == "collect"
    assert collector.collect(10) == 0, "its mailbox rests"
    monkeypatch.undo()
    monkeypatch.setattr(reports, "LOOK_FOR_MINERS_EVERY_S", 0)
    wait_out(collector)
    unlucky.beat()
    assert collector.collect(100) == 2
    assert collector.refused == 0
    assert not Fault.objects.exists()


def test_a_report_that_never_can_be_handled_is_dropped_in_the_end(miners, collector, monkeypatch):
    def fail(address, report, now):
        raise OSError(36, "File name too long")

    monkeypatch.setattr(reports, "accept", fail)
    miners[0].beat()
    for _ in range(reports.MAX_TRIES):
        collector.collect(10)
        wait_out(collector)
    assert collector.refused == 1
    monkeypatch.undo()
    miners[0].beat()
    assert collector.collect(100) == 1


def test_a_report_that_breaks_what_reads_it_is_seen_by_the_operator(miners, collector, monkeypatch):
    def fail(address, report, now):
        raise ZeroDivisionError

    monkeypatch.setattr(reports, "accept", fail)
    miners[0].beat()
    assert collector.collect(100) == 1
    assert collector.refused == 1
    assert Fault.objects.get().error == "ZeroDivisionError"


def wait_out(collector):
    """Let every pause be over."""
    for key, failed in collector._isolation._failed.items():
        collector._isolation._failed[key] = replace(failed, again_at=timezone.now())
