"""What the layers below learn of miners and of their parts in a task."""

import pytest
from django.utils import timezone
from eth_utils.address import is_checksum_address

from chain import storage
from chain.protocol.digests import canonical_json, commit_hash
from mining.assignment.leases import lease
from mining.directory import miner_directory, miners_online, sessions_of_result, task_records
from mining.models import AssignmentStatus, MinerResult, Validation
from tests.mining.conftest import later, make_account, make_miner, make_task

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("router_redis")]


def test_the_miners_online_are_counted_and_listed_first():
    gone = make_miner(seen_ago_s=60)
    here = make_miner(reputation=7)
    make_miner(seen_ago_s=48 * 3600)
    assert miners_online() == 1
    first, second = miner_directory()
    assert first["address"].lower() == here
    assert is_checksum_address(first["address"])
    assert (first["online"], first["state"], first["reputation"]) == (True, "ephemeral", 7)
    assert (second["address"].lower(), second["online"]) == (gone, False)


def test_a_miner_is_listed_with_what_its_heartbeats_say():
    make_miner(draining=True, model_identifiers=[1, 2], loaded={"2": 12.5})
    [entry] = miner_directory()
    assert (entry["models"], entry["loaded"], entry["draining"]) == ([1, 2], {"2": 12.5}, True)


def test_a_task_has_a_record_of_every_miners_part():
    task = make_task(redundancy=2)
    miners = [make_account().address for _ in range(2)]
    now = timezone.now()
    lease(task, dict(enumerate(miners)), now, live=0)
    done, open_ = task.assignments.order_by("position")
    content = canonical_json(
        {
            "result": "It is 25.",
            "session_id": task.session_id,
            "task_id": task.task_id,
            "task_digest": task.task_digest,
            "miner": miners[0],
            "finish_reason": "stop",
            "token_ids": [1, 2, 3],
        }
    )
    cid = storage.put(content)
    data = storage.address(cid)
    digest = commit_hash(task.session_id, task.task_id, miners[0], data)
    done.status = AssignmentStatus.REVEALED
    done.acked_at, done.precommit_at, done.revealed_at = now, later(2), later(3)
    done.precommit_hash, done.commit_data, done.content_cid = "0x" + digest.hex(), data, cid
    done.save()
    MinerResult.objects.create(
        session_id=task.session_id, task_id=task.task_id, miner=done.miner, paid_wei=10**18
    )
    Validation.objects.create(task=task, miners=miners, distances=[[0, 0.5], [0.5, 0]])

    assert sessions_of_result(cid) == [task.session_id]
    assert sessions_of_result(storage.put(b"{}")) == []
    records = task_records(task)
    first, second = records.miners
    assert first["address"] == miners[0]
    assert first["text"] == "It is 25."
    assert first["ack"] is True
    assert first["inference_sec"] == pytest.approx(2, abs=0.1)
    assert (first["words"], first["tokens"]) == (3, 3)
    assert first["data_hash"] == first["calculated_hash"] == "0x" + digest.hex()
    assert first["hash_verified"] is True
    assert first["paid_wei"] == str(10**18)
    assert second["text"] is None
    assert (second["ack"], second["hash_verified"]) == (False, None)
    assert records.result_cids == [cid]
    assert records.distances == [{"a": miners[0], "b": miners[1], "distance": 0.5}]
    assert open_.miner == second["address"].lower()


def test_a_result_belongs_to_nobody_before_it_is_revealed():
    task = make_task(redundancy=1)
    lease(task, {0: make_account().address}, timezone.now(), live=0)
    task.assignments.update(content_cid="bafkreisoon")
    assert sessions_of_result("bafkreisoon") == []
    task.assignments.update(revealed_at=timezone.now())
    assert sessions_of_result("bafkreisoon") == [task.session_id]


def test_a_block_that_is_gone_leaves_the_record_without_its_text():
    task = make_task(redundancy=1)
    lease(task, {0: make_account().address}, timezone.now(), live=0)
    task.assignments.update(content_cid="bafkreigone", status=AssignmentStatus.REVEALED)
    (record,) = task_records(task).miners
    assert record["text"] is None
