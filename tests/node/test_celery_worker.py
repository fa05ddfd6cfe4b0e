"""A miner's process on its own mailbox, in a Redis that hides everything else from it."""

import json
import signal
import uuid
from pathlib import Path

from chain.protocol.messages import Heartbeat, recover
from chain.protocol.params import MAX_TIMEOUT_S
from mining.node.celery_worker import VISIBILITY_TIMEOUT_S
from mining.node.protocol.names import CANCEL, INFER
from mining.node.protocol.reports import AckReport, FailedReport, HeartbeatReport, PrecommitReport
from tests.node import tiny_model
from tests.node.bench import POOL, new_job
from tests.node.router import TIMEOUT_S, Router


def test_a_miner_works_within_its_mailbox_and_ends_cleanly(router: Router) -> None:
    router.redis.set("secret", "of another")
    router.start()
    router.have_done(new_job())

    status = router.command("status")
    told = json.loads(status.stdout)
    assert status.returncode == 0
    assert told["alive"] is True
    assert told["address"] == router.address
    assert told["heartbeat"]["slots"] == 2
    assert told["waiting"] == {"inference": 0, "control": 0}
    beat = router.of(HeartbeatReport)[-1]
    assert recover(Heartbeat(router.address, beat.status), POOL, beat.signature) == router.address

    assert router.end() == 0
    strangers = [key for key in router.redis.scan_iter() if not key.startswith(router.prefix)]
    assert strangers == ["secret"]
    refused = {entry["object"] for entry in router.redis.acl_log()}
    assert refused <= {"client"}, "the miner's own software tried what its user may not"


def test_control_is_not_kept_waiting_by_generations(router: Router) -> None:
    router.start()
    jobs = [new_job(max_tokens=480) for _ in range(6)]
    for job in jobs:
        router.send(INFER, "inference", job=job)
    later = new_job()
    router.send(CANCEL, "control", later["assignment_id"])
    router.send(INFER, "inference", job=later)
    router.until(lambda: router.stream(later))
    assert router.stream(later) == [{"failed": "cancelled"}]
    router.until(lambda: all(router.stream(job) for job in jobs))


def test_a_miner_finishes_what_it_started_before_it_ends(router: Router) -> None:
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    assert router.process is not None
    router.process.send_signal(signal.SIGTERM)
    router.until(lambda: router.of(HeartbeatReport)[-1].read().draining)
    assert router.process.wait(TIMEOUT_S) == 0
    assert router.of(PrecommitReport)
    assert router.redis.hlen(router.prefix + "unacked") == 0


def test_what_a_miner_has_not_begun_it_hands_back_before_it_ends(router: Router) -> None:
    router.start()
    # Seconds of work, and more than there are slots.
    jobs = [new_job(max_tokens=480) for _ in range(40)]
    for job in jobs:
        router.send(INFER, "inference", job=job)
    router.until(lambda: any(router.stream(job) for job in jobs))
    assert router.end() == 0
    done = {report.assignment_id for report in router.of(PrecommitReport)}
    handed_back = {r.assignment_id for r in router.of(FailedReport) if r.code == "draining"}
    assert done
    assert handed_back
    # One job waits for a slot; where the others take long, it is refused before the node ends.
    busy = {r.assignment_id for r in router.of(FailedReport) if r.code == "busy"}
    assert done.isdisjoint(handed_back | busy)
    assert done | handed_back | busy == {job["assignment_id"] for job in jobs}
    assert router.redis.llen(router.prefix + "inference") == 0


def test_a_job_names_its_model_and_another_makes_room_for_it(router: Router) -> None:
    shipped = Path("mining/node/models/cortensor-micro.gguf")
    home = str(router.home)
    assert router.command("models", "add", "1", router.environment.pop("MODEL")).returncode == 0
    assert router.command("models", "add", "2", str(shipped)).returncode == 0
    router.environment["MODELS"] = "all"
    refused = router.command("--home", home, "run", "--memory-budget", "4M")
    assert refused.returncode == 2
    assert "MEMORY_BUDGET: model 1 takes about" in refused.stderr
    assert "Traceback" not in refused.stderr

    router.environment["MEMORY_BUDGET"] = "10MiB"
    router.start()
    beat = router.of(HeartbeatReport)[-1].read()
    assert (beat.models, list(beat.loaded)) == ([1, 2], [1])
    jobs = [new_job(model_identifier=number) for number in (2, 1, 2, 3)]
    for number, job in enumerate(jobs[:3], start=1):
        router.send(INFER, "inference", job=job)
        router.until(lambda number=number: len(router.of(PrecommitReport)) == number)
    router.send(INFER, "inference", job=jobs[3])
    router.until(lambda: router.of(FailedReport))
    assert [report.code for report in router.of(FailedReport)] == ["model_unknown"]
    assert "model 1 is unloaded" in router.log.read_text()
    router.until(lambda: list(router.of(HeartbeatReport)[-1].read().loaded) == [2])
    assert router.end() == 0


def test_a_miner_without_the_networks_file_of_a_model_does_not_start(router: Router) -> None:
    other = tiny_model.write(router.home / "other.gguf", seed=2)
    ended = router.command("run", "--model", str(other))
    assert ended.returncode == 2
    assert "it is another file, or it was cut short" in ended.stderr

    router.environment |= {"MODEL": str(other), "MODEL_UNVERIFIED": "1"}
    router.start()
    assert router.end() == 0


def test_a_mailbox_that_says_nothing_of_its_network_is_told_of(router: Router) -> None:
    router.redis.delete(router.prefix + "network")
    ended = router.command("run")
    assert ended.returncode == 2
    assert "enrol the node again" in ended.stderr


def test_a_killed_miner_reveals_what_it_had_precommitted(router: Router) -> None:
    router.start()
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    router.end(signal.SIGKILL)
    router.start()
    router.send(INFER, "inference", job=job)
    router.until(lambda: len(router.of(PrecommitReport)) == 2)
    first, second = router.of(PrecommitReport)
    assert first == second


def test_what_a_killed_miner_was_at_it_tells_of_at_once_and_runs_when_it_is_told_to(
    router: Router,
) -> None:
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    router.end(signal.SIGKILL)
    assert not router.of(PrecommitReport), "it was done before it was killed"
    assert router.redis.hlen(router.prefix + "unacked") == 1
    router.start()
    router.until(lambda: router.of(FailedReport))
    router.until(lambda: not router.redis.hlen(router.prefix + "unacked"))
    assert {(r.code, r.attempt) for r in router.of(FailedReport)} == {("node_died", 0)}
    assert not router.of(PrecommitReport)
    router.send(INFER, "inference", job=job | {"attempt": 1, "alone": True})
    router.until(lambda: router.of(PrecommitReport))
    assert router.stream(job)[-1]["done"] == "1"
    router.until(lambda: not router.redis.hlen(router.prefix + "unacked"))
    assert router.end() == 0


def test_a_delivery_that_comes_again_while_the_first_still_runs_changes_nothing(
    router: Router,
) -> None:
    """As after the visibility timeout: Redis puts the message back, though somebody has it."""
    router.start()
    job = new_job(max_tokens=480)
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.stream(job))
    [unacked] = router.redis.hvals(router.prefix + "unacked")
    message, _, _ = json.loads(unacked)
    for _ in range(3):
        router.redis.rpush(router.prefix + "inference", json.dumps(message))
    router.until(lambda: router.of(PrecommitReport))
    router.until(lambda: not router.redis.llen(router.prefix + "inference"))
    assert router.end() == 0
    assert len(router.of(AckReport)) == 1
    assert len({report.hash for report in router.of(PrecommitReport)}) == 1
    assert router.of(FailedReport) == []
    assert VISIBILITY_TIMEOUT_S > MAX_TIMEOUT_S


def test_two_processes_do_not_work_with_one_key(router: Router) -> None:
    router.start()
    ended = router.command("run")
    assert ended.returncode == 2
    assert "a node is running in" in ended.stderr
    assert router.end() == 0
    assert router.command("run", "--model", "/nowhere.gguf").stderr.count("there is no file") == 1


def test_what_is_no_job_is_dropped_and_the_next_one_done(router: Router) -> None:
    router.start()
    router.send(INFER, "inference", job=new_job(assignment_id="../" + str(uuid.uuid4())))
    router.send(INFER, "inference", "too", "many")
    router.send("mining.node.unheard_of", "inference")
    job = new_job()
    router.send(INFER, "inference", job=job)
    router.until(lambda: router.of(PrecommitReport))
    (precommit,) = router.of(PrecommitReport)
    assert precommit.assignment_id == job["assignment_id"]
    assert router.end() == 0
