"""Reports and pieces in a real Redis."""

import json
import time
import uuid
from collections.abc import Iterator

import pytest
import redis

from mining.node.generation import FinishReason, GenerationResult
from mining.node.job import FailedReport, HeartbeatReport, NetworkFacts, read_report
from mining.node.mailbox import STREAM_EXPIRY_S, Mailbox, MailboxUnfit, StreamMismatch

ADDRESS = "0x" + "Ab" * 20
PREFIX = f"miner:{ADDRESS.lower()}:"
ID = str(uuid.UUID(int=7))
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
    monkeypatch.setattr("mining.node.mailbox.time.time", lambda: here() + ahead_s)
    with pytest.raises(MailboxUnfit, match=said):
        mailbox.require_same_time()


def test_pieces_end_with_the_figures_and_expire(mailbox: Mailbox, server: "redis.Redis") -> None:
    stream = mailbox.stream(ID, 10)
    stream.add("one")
    stream.add(" two")
    stream.done(RESULT)
    assert [entry for _, entry in server.xrange(KEY)] == [
        {"text": "one"},
        {"text": " two"},
        {
            "done": "1",
            "finish_reason": "stop",
            "prompt_tokens": "12",
            "completion_tokens": "3",
        },
    ]
    assert 0 < server.ttl(KEY) <= STREAM_EXPIRY_S


def test_a_repeated_run_adds_only_what_was_missing(mailbox: Mailbox, server: "redis.Redis") -> None:
    first = mailbox.stream(ID, 10)
    first.add("one")
    first.add(" t")
    again = mailbox.stream(ID, 10)
    again.add("on")
    again.add("e tw")
    again.add("o")
    again.done(RESULT)
    entries = [entry for _, entry in server.xrange(KEY)]
    assert [entry.get("text") for entry in entries] == ["one", " t", "w", "o", None]
    third = mailbox.stream(ID, 10)
    third.add("one two")
    third.done(RESULT)
    assert len(server.xrange(KEY)) == len(entries)


def test_a_repeated_run_that_differs_is_refused(mailbox: Mailbox) -> None:
    mailbox.stream(ID, 10).add("one")
    with pytest.raises(StreamMismatch, match="differs"):
        mailbox.stream(ID, 10).add("two")
    shorter = mailbox.stream(ID, 10)
    shorter.add("o")
    with pytest.raises(StreamMismatch, match="shorter"):
        shorter.done(RESULT)


def test_a_piece_whose_confirmation_was_lost_is_not_doubled(
    mailbox: Mailbox, server: "redis.Redis"
) -> None:
    stream = mailbox.stream(ID, 10)
    stream.add("one")
    stream._last -= 1  # as if the connection had broken before the answer, and it were sent again
    stream.add("one")
    assert [entry for _, entry in server.xrange(KEY)] == [{"text": "one"}]


def test_a_piece_that_cannot_be_appended_is_no_silent_loss(
    mailbox: Mailbox, server: "redis.Redis"
) -> None:
    stream = mailbox.stream(ID, 10)
    server.xadd(KEY, {"text": "not mine"}, id="5-0")
    with pytest.raises(StreamMismatch, match="refused"):
        stream.add("one")


def test_a_long_answer_is_kept_whole(mailbox: Mailbox, server: "redis.Redis") -> None:
    stream = mailbox.stream(ID, 3000)
    for number in range(3000):
        stream.add(f"{number} ")
    assert server.xlen(KEY) == 3000
