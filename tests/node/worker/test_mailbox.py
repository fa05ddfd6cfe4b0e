"""Reports and pieces of answers in a real Redis."""

import json
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import redis

from mining.node.engine.generation import FinishReason, GenerationResult
from mining.node.protocol.job import NetworkFacts
from mining.node.protocol.reports import FailedReport, HeartbeatReport, read_report
from mining.node.worker.mailbox import STREAM_EXPIRY_S, Mailbox, MailboxUnfit
from mining.node.worker.piece_stream import StreamMismatch

ADDRESS = "0x" + "Ab" * 20
PREFIX = f"miner:{ADDRESS.lower()}:"
ID, OTHER_ID = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))
KEY = f"{PREFIX}stream:{ID}"
RESULT = GenerationResult("one two", (1, 2, 3), FinishReason.STOP, 12)


@pytest.fixture
def server(redis_url: str) -> "Iterator[redis.Redis]":
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    yield client
    client.close()


@pytest.fixture
def mailbox(redis_url: str) -> Iterator[Mailbox]:
    mailbox = Mailbox(redis_url, ADDRESS)
    yield mailbox
    mailbox.close()


def test_reports_arrive_in_order(mailbox: Mailbox, server: "redis.Redis") -> None:
    beat = HeartbeatReport(status="{}", signature=b"\x01")
    failed = FailedReport(assignment_id=ID, code="busy", message="m")
    for report in (beat, failed):
        mailbox.report(report)
    entries = server.xrange(PREFIX + "reports")
    assert [read_report(entry) for _, entry in entries] == [beat, failed]


def test_the_router_says_which_network_this_is(mailbox: Mailbox, server: "redis.Redis") -> None:
    facts = NetworkFacts(chain_id=31337, node_pool="0x" + "33" * 20, models={1: "ab", 7: "cd"})
    server.set(PREFIX + "network", json.dumps(facts.to_json()))
    assert mailbox.network() == facts


@pytest.mark.parametrize("said", [None, "", "{", "[]", '{"chain_id": 1, "node_pool": "0x1"}'])
def test_a_mailbox_that_does_not_say_it_is_named(
    mailbox: Mailbox, server: "redis.Redis", said: str | None
) -> None:
    if said is not None:
        server.set(PREFIX + "network", said)
    with pytest.raises(MailboxUnfit, match="enrol the node again"):
        mailbox.network()


@pytest.mark.parametrize(("ahead_s", "said"), [(60, "60 s ahead"), (-60, "60 s behind")])
def test_a_clock_that_is_wrong_is_found_out(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, ahead_s: float, said: str
) -> None:
    mailbox.require_same_time()
    here = time.time
    monkeypatch.setattr("mining.node.worker.mailbox.time.time", lambda: here() + ahead_s)
    with pytest.raises(MailboxUnfit, match=said):
        mailbox.require_same_time()


def test_pieces_end_with_the_figures_and_expire(mailbox: Mailbox, server: "redis.Redis") -> None:
    stream = mailbox.stream(ID, 10)
    entries = [*stream.piece("one"), *stream.piece(" two"), *stream.done(RESULT)]
    assert mailbox.append(entries) == [None, None, None]
    assert texts_and_end(server) == ["one", " two", "done"]
    assert 0 < server.ttl(KEY) <= STREAM_EXPIRY_S


def test_a_stream_that_has_only_begun_expires_too(mailbox: Mailbox, server: "redis.Redis") -> None:
    mailbox.append(mailbox.stream(ID, 10).piece("one"))
    assert 0 < server.ttl(KEY) <= STREAM_EXPIRY_S


def test_what_is_appended_again_is_not_doubled(mailbox: Mailbox, server: "redis.Redis") -> None:
    entries = mailbox.stream(ID, 10).piece("one")
    for _ in range(2):  # as if the connection had broken before the answer
        assert mailbox.append(entries) == [None]
    assert texts_and_end(server) == ["one"]


def test_an_entry_that_is_refused_is_told_and_those_of_others_are_not(
    mailbox: Mailbox, server: "redis.Redis"
) -> None:
    refused, other = mailbox.stream(ID, 10), mailbox.stream(OTHER_ID, 10)
    server.xadd(KEY, {"text": "not mine"}, id="5-0")
    outcomes = mailbox.append([*refused.piece("one"), *other.piece("two")])
    assert isinstance(outcomes[0], StreamMismatch)
    assert "refused" in str(outcomes[0])
    assert outcomes[1] is None
    assert server.xlen(f"{PREFIX}stream:{OTHER_ID}") == 1


def test_a_stream_goes_on_behind_what_redis_has_of_it(
    mailbox: Mailbox, server: "redis.Redis"
) -> None:
    mailbox.append(mailbox.stream(ID, 10).piece("one"))
    mailbox.append(mailbox.stream(ID, 10).piece("one two"))
    assert texts_and_end(server) == ["one", " two"]


def test_a_long_answer_is_kept_whole(mailbox: Mailbox, server: "redis.Redis") -> None:
    stream = mailbox.stream(ID, 3000)
    for number in range(3000):
        mailbox.append(stream.piece(f"{number} "))
    assert server.xlen(KEY) == 3000


def texts_and_end(server: "redis.Redis") -> list[str]:
    return [entry.get("text", "done") for _, entry in server.xrange(KEY)]


def test_a_redis_without_room_is_waited_for(mailbox: Mailbox, server: "redis.Redis") -> None:
    before = server.config_get("maxmemory")["maxmemory"]
    server.config_set("maxmemory", 1)
    room = threading.Timer(0.3, lambda: server.config_set("maxmemory", before))
    room.start()
    stream = mailbox.stream(ID, 10)
    try:
        assert mailbox.append(stream.piece("one")) == [None]
        server.config_set("maxmemory", 1)
        room = threading.Timer(0.3, lambda: server.config_set("maxmemory", before))
        room.start()
        mailbox.report(FailedReport(assignment_id=ID, code="busy", message="m"))
    finally:
        room.join()
        server.config_set("maxmemory", before)
    assert texts_and_end(server) == ["one"]
    assert server.xlen(PREFIX + "reports") == 1
