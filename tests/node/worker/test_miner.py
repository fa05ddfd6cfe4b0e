"""A miner's part in a task, from job to reveal, with a real Redis and a real engine."""

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from chain.protocol.digests import canonical_json, commit_hash, raw_cid
from chain.protocol.envelopes import public_key, read_public_key
from chain.protocol.messages import Ack, Commit, Heartbeat, Precommit, recover
from mining.node.protocol.reports import (
    AckReport,
    CommitReport,
    FailedReport,
    HeartbeatReport,
    PrecommitReport,
)
from mining.node.protocol.wire import Wire
from mining.node.shelf.shelf import Shelf
from mining.node.worker import miner
from mining.node.worker.mailbox import Mailbox
from tests.node.bench import DIGEST, DOMAIN, POOL, Bench, endless_job, new_job, until


def test_a_job_is_acked_streamed_and_precommitted(bench: Bench) -> None:
    job = new_job()
    bench.miner.infer(job)
    ack, precommit = bench.reports()
    assert isinstance(ack, AckReport)
    assert recover(Ack(3, 1_000_004, DIGEST, bench.address), DOMAIN, ack.signature) == bench.address
    assert isinstance(precommit, PrecommitReport)
    message = Precommit(3, 1_000_004, DIGEST, bench.address, precommit.hash)
    assert recover(message, DOMAIN, precommit.signature) == bench.address
    assert bench.stream(job)[-1]["done"] == "1"


@pytest.mark.parametrize("is_slow", [False, True])
def test_the_first_piece_goes_out_before_the_ack_unless_that_would_be_late(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, is_slow: bool
) -> None:
    if is_slow:
        append = Mailbox.append
        monkeypatch.setattr(miner, "ACK_WITHIN_S", 0.01)
        monkeypatch.setattr(Mailbox, "append", lambda *given: time.sleep(0.5) or append(*given))
    job = new_job()
    pieces_at_ack: list[int] = []
    report = Mailbox.report

    def noted(mailbox: Mailbox, sent: Wire) -> None:
        if isinstance(sent, AckReport):
            pieces_at_ack.append(len(bench.stream(job)))
        report(mailbox, sent)

    monkeypatch.setattr(Mailbox, "report", noted)
    bench.miner.infer(job)
    assert [count == 0 for count in pieces_at_ack] == [is_slow]


def test_the_clients_seed_is_drawn_from_where_the_task_has_one(bench: Bench) -> None:
    def said(digest: bytes, seed: bytes = b"") -> str:
        changes = {"task_digest": f"0x{digest.hex()}", "seed": f"0x{seed.hex()}"}
        job = new_job(**changes, temperature_x100=100, top_k=0)
        bench.miner.infer(job)
        return "".join(entry.get("text", "") for entry in bench.stream(job))

    one, another = bytes(31) + b"\1", bytes(31) + b"\2"
    assert said(one, b"seed no1") == said(another, b"seed no1")
    assert len({said(one), said(another), said(one, b"seed no1"), said(one, b"seed no2")}) == 4


@pytest.mark.parametrize("inline", [True, False])
def test_a_reveal_is_what_was_precommitted_and_streamed(bench: Bench, inline: bool) -> None:
    job = new_job(inline=inline)
    bench.miner.infer(job)
    bench.miner.reveal(job["assignment_id"])
    _, precommit, commit = bench.reports()
    assert isinstance(precommit, PrecommitReport)
    assert isinstance(commit, CommitReport)
    assert commit_hash(3, 1_000_004, bench.address, commit.data) == precommit.hash
    message = Commit(3, 1_000_004, DIGEST, bench.address, commit.data)
    assert recover(message, DOMAIN, commit.signature) == bench.address

    content = json.loads(commit.content)
    assert canonical_json(content).decode() == commit.content
    by_address = "ipfs://" + raw_cid(commit.content.encode())
    assert commit.data == (commit.content if inline else by_address)
    *pieces, end = bench.stream(job)
    assert content["result"] == "".join(piece["text"] for piece in pieces)
    assert (content["session_id"], content["task_id"]) == (3, 1_000_004)
    assert (content["miner"], content["model"]) == (bench.address, 1)
    assert content["task_digest"] == "0x" + DIGEST.hex()
    assert len(bytes.fromhex(content["salt"][2:])) == 32
    assert content["finish_reason"] == end["finish_reason"]
    assert content["usage"] == {
        "prompt_tokens": int(end["prompt_tokens"]),
        "completion_tokens": int(end["completion_tokens"]),
    }
    assert len(content["token_ids"]) == int(end["completion_tokens"])


def test_a_job_that_is_shortened_is_precommitted_as_far_as_it_is(bench: Bench) -> None:
    job = endless_job(bench)
    working = threading.Thread(target=bench.miner.infer, args=(job,))
    working.start()
    until(lambda: bench.stream(job))
    bench.miner.shorten(job["assignment_id"], 0)
    working.join(10)
    assert not working.is_alive()
    bench.miner.reveal(job["assignment_id"])
    commit = bench.reports()[-1]
    assert isinstance(commit, CommitReport)
    content = json.loads(commit.content)
    *pieces, end = bench.stream(job)
    assert content["finish_reason"] == end["finish_reason"] == "cancelled"
    assert content["result"] == "".join(piece["text"] for piece in pieces)
    assert len(content["token_ids"]) == int(end["completion_tokens"]) < 460


@pytest.mark.parametrize("by_message", [True, False])
def test_a_job_may_be_shortened_before_it_begins(bench: Bench, by_message: bool) -> None:
    job = new_job() if by_message else new_job(enough_characters=0)
    if by_message:
        bench.miner.shorten(job["assignment_id"], 0)
    bench.miner.infer(job)
    assert bench.stream(job)[-1]["completion_tokens"] == "1"


def test_log_probabilities_are_streamed_as_they_are_committed(bench: Bench) -> None:
    job = new_job(logprobs=2)
    bench.miner.infer(job)
    bench.miner.reveal(job["assignment_id"])
    commit = bench.reports()[-1]
    assert isinstance(commit, CommitReport)
    content = json.loads(commit.content)
    streamed = [
        row for entry in bench.stream(job) for row in json.loads(entry.get("logprobs", "[]"))
    ]
    committed = [
        [token, *row] for token, row in zip(content["token_ids"], content["logprobs"], strict=True)
    ]
    assert streamed
    assert streamed == committed[: len(streamed)]


def test_a_repeated_job_gives_the_same_precommit_even_after_a_restart(bench: Bench) -> None:
    job = new_job()
    bench.miner.infer(job)
    streamed = bench.stream(job)
    bench.miner.infer(job)
    bench.restarted().infer(job)
    first, *others = [r for r in bench.reports() if isinstance(r, PrecommitReport)]
    assert others == [first, first]
    assert bench.stream(job) == streamed


def test_two_miners_of_one_task_say_the_same_under_different_salts(
    bench: Bench, redis_url: str, shelf: Shelf, tmp_path: Path
) -> None:
    other = Bench(redis_url, shelf, tmp_path / "other")
    job = new_job()
    contents = []
    for one in (bench, other):
        one.miner.infer(job)
        one.miner.reveal(job["assignment_id"])
        commit = one.reports()[-1]
        assert isinstance(commit, CommitReport)
        contents.append(json.loads(commit.content))
    assert contents[0]["token_ids"] == contents[1]["token_ids"]
    assert contents[0]["salt"] != contents[1]["salt"]


def test_a_crash_while_streaming_is_continued_where_it_was(bench: Bench) -> None:
    job = new_job()
    bench.miner.infer(job)
    whole = bench.stream(job)
    (bench.home / "stash" / f"{job['assignment_id']}.json").unlink()
    key = f"{bench.prefix}stream:{job['assignment_id']}"
    begun = bench.redis.xrange(key)[:5]
    bench.redis.delete(key)
    for entry_id, entry in begun:
        bench.redis.xadd(key, entry, id=entry_id)
    bench.restarted().infer(job)
    text = "".join(entry.get("text", "") for entry in bench.stream(job))
    assert text == "".join(entry.get("text", "") for entry in whole)
    assert bench.codes() == []


def test_two_deliveries_at_once_are_worked_on_once(bench: Bench) -> None:
    job = endless_job(bench)
    bench.redis.delete(bench.prefix + "reports")
    threads = [threading.Thread(target=bench.miner.infer, args=(job,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kinds = [type(report) for report in bench.reports()]
    assert kinds.count(AckReport) == 1
    assert bench.codes() == []


def test_a_result_too_long_for_the_chain_goes_by_its_address(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mining.node.worker.binding.MAX_DATA_BYTES", 200)
    job = new_job(inline=True)
    bench.miner.infer(job)
    bench.miner.reveal(job["assignment_id"])
    commit = bench.reports()[-1]
    assert isinstance(commit, CommitReport)
    assert commit.data == "ipfs://" + raw_cid(commit.content.encode())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deadline_at": 1.0}, "deadline_passed"),
        ({"model_identifier": 2}, "model_unknown"),
        ({"prompt": "hen " * 600}, "context_exceeded"),
        ({"prompt_form": 9}, "prompt_refused"),
        ({"prompt": "", "prompt_form": 128}, "prompt_empty"),
        ({"task_digest": "0x11"}, "malformed"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_before_the_ack(
    bench: Bench, changes: dict[str, Any], code: str
) -> None:
    job = new_job(**changes)
    bench.miner.infer(job)
    assert [type(report) for report in bench.reports()] == [FailedReport]
    assert bench.codes() == [code]
    if code != "malformed":
        assert bench.stream(job) == [{"failed": code}]


def test_an_answer_may_be_asked_for_that_is_longer_than_the_context(bench: Bench) -> None:
    """A client of the chain knows no model's context; `max_tokens` is the most, not the least."""
    job = new_job(max_tokens=4096)
    bench.miner.infer(job)
    assert [type(report) for report in bench.reports()] == [AckReport, PrecommitReport]


def test_a_job_without_an_identity_is_dropped(bench: Bench) -> None:
    for value in (None, [], {}, {"assignment_id": "../x"}):
        bench.miner.infer(value)
    assert bench.reports() == []


def test_a_deadline_ends_a_generation(bench: Bench) -> None:
    job = endless_job(bench)
    bench.miner.infer({**job, "deadline_at": time.time() + 0.02})
    assert bench.codes() == ["deadline_passed"]
    assert bench.stream(job)[-1] == {"failed": "deadline_passed"}


def test_a_cancellation_ends_a_generation_or_keeps_it_from_starting(bench: Bench) -> None:
    job = endless_job(bench)
    thread = threading.Thread(target=bench.miner.infer, args=(job,))
    thread.start()
    until(lambda: bench.stream(job))
    bench.miner.cancel(job["assignment_id"])
    thread.join(5)
    assert bench.stream(job)[-1] == {"failed": "cancelled"}

    later = new_job()
    bench.miner.cancel(later["assignment_id"])
    bench.miner.infer(later)
    assert bench.codes() == ["cancelled", "cancelled"]
    assert bench.stream(later) == [{"failed": "cancelled"}]


def test_more_jobs_than_slots_are_given_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mining.node.worker.miner.BUSY_WAIT_S", 0.01)
    jobs = [new_job(**{**endless_job(bench), "assignment_id": str(uuid.uuid4())})] * 4
    jobs = [{**job, "assignment_id": str(uuid.uuid4())} for job in jobs]
    threads = [threading.Thread(target=bench.miner.infer, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    until(lambda: all(bench.stream(job) for job in jobs))
    extra = new_job()
    bench.miner.infer(extra)
    assert bench.codes() == ["busy"]
    beat = bench.miner.beat()
    assert (beat.slots, beat.in_flight, beat.models) == (4, 4, [1])
    assert beat.loaded[1] > 0
    for job in jobs:
        bench.miner.cancel(job["assignment_id"])
    for thread in threads:
        thread.join(5)
    bench.miner.infer(new_job())
    assert isinstance(bench.reports()[-1], PrecommitReport)


def test_a_reveal_of_nothing_reports_nothing(bench: Bench) -> None:
    bench.miner.reveal(str(uuid.uuid4()))
    assert bench.reports() == []


def test_the_heartbeat_is_signed_and_tells_what_to_encrypt_to(bench: Bench) -> None:
    bench.miner.beat()
    [beat] = bench.reports()
    assert isinstance(beat, HeartbeatReport)
    assert recover(Heartbeat(bench.address, beat.status), POOL, beat.signature) == bench.address
    assert read_public_key(beat.read().encryption_key) == public_key(bench.wallet.encryption_key)


def test_heartbeats_are_numbered_even_when_the_clock_is_set_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [bench.miner.beat().sent_at_ms for _ in range(3)]
    assert abs(numbers[-1] / 1000 - time.time()) < 5
    monkeypatch.setattr("mining.node.worker.miner.time.time", lambda: 1_000.0)
    numbers.append(bench.miner.beat().sent_at_ms)
    assert numbers == sorted(set(numbers))


# ── before the end ───────────────────────────────────────────────────────────


def test_a_draining_miner_says_so_finishes_and_begins_nothing(bench: Bench) -> None:
    job = endless_job(bench)
    thread = threading.Thread(target=bench.miner.infer, args=(job,))
    thread.start()
    until(lambda: bench.stream(job))
    bench.miner.drain()
    assert bench.miner.beat().draining
    late = new_job()
    bench.miner.infer(late)
    thread.join(20)
    assert bench.codes() == ["draining"]
    assert bench.stream(late) == [{"failed": "draining"}]
    assert bench.stream(job)[-1]["done"] == "1"


def test_a_job_is_handed_back_unless_it_was_done(bench: Bench) -> None:
    done, waiting = new_job(), new_job()
    bench.miner.infer(done)
    for value in (done, waiting, None, {"assignment_id": "../x"}):
        bench.miner.hand_back(value)
    [failed] = [report for report in bench.reports() if isinstance(report, FailedReport)]
    assert (failed.assignment_id, failed.code) == (waiting["assignment_id"], "draining")
    assert len([r for r in bench.reports() if isinstance(r, PrecommitReport)]) == 2
