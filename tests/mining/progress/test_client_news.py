"""What the miners of a task are told when its client leaves."""

import json

import pytest
from django.utils import timezone
from kombu import Connection

from mining.assignment.leases import lease
from mining.enrolment.redis_users import enrol, revoke
from mining.models import AssignmentStatus
from mining.node.protocol.names import mailbox_prefix
from sessions.stages import early_end
from sessions.stages.task_states import mark_assigned
from sessions.streams import answer_stream
from tests.mining.conftest import make_account, make_miner, make_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("router_redis")]


@pytest.fixture
def miners():
    """Two miners and the ways into their mailboxes."""
    addresses = [make_account().address for _ in range(2)]
    urls = {make_miner(address): enrol(address) for address in addresses}
    yield urls
    for address in addresses:
        revoke(address)


def messages(url, address, queue):
    """What lies in a mailbox, by the miner's own credentials."""
    prefix = mailbox_prefix(address)
    with Connection(url, transport_options={"global_keyprefix": prefix}) as connection:
        waiting = connection.SimpleQueue(queue)
        found = []
        while True:
            try:
                message = waiting.get(timeout=0.2)
            except waiting.Empty:
                return found
            message.ack()
            found.append((message.headers["task"], json.loads(message.body)[1]))


def working(miners, redis):
    """A task that both miners work on; the first one has said ten characters."""
    task = make_task(redundancy=2)
    mark_assigned(task, list(miners))
    lease(task, dict(enumerate(miners)), timezone.now(), live=0)
    first, second = task.assignments.order_by("position")
    redis.xadd(first.stream_key, {"text": "ten"})
    redis.xadd(first.stream_key, {"text": " letters"[:7]})
    redis.xadd(second.stream_key, {"text": "more than ten letters"})
    return task, first, second


def test_every_miner_that_works_is_told_where_the_live_answer_is(miners, router_redis):
    task, *parts = working(miners, router_redis)
    assert early_end.shorten(task)
    for part in parts:
        [(name, told)] = messages(miners[part.miner], part.miner, "control")
        assert name == "mining.node.shorten"
        assert told == {"assignment_id": str(part.id), "characters": 10}


def test_a_miner_that_has_precommitted_is_not_disturbed(miners, router_redis):
    task, first, second = working(miners, router_redis)
    second.status = AssignmentStatus.PRECOMMITTED
    second.save()
    early_end.shorten(task)
    assert messages(miners[second.miner], second.miner, "control") == []
    assert len(messages(miners[first.miner], first.miner, "control")) == 1


def test_who_gets_the_task_later_is_told_with_the_job(miners, router_redis):
    task, *_ = working(miners, router_redis)
    early_end.shorten(task)
    task.refresh_from_db()
    late = make_miner()
    url = enrol(late)
    lease(task, {0: late}, timezone.now(), live=0)
    [(_, told)] = messages(url, late, "inference")
    assert told["job"]["enough_characters"] == 10
    revoke(late)


def test_a_stream_that_is_no_longer_there_ends_the_answer_with_its_first_token(
    miners, router_redis
):
    task, first, _ = working(miners, router_redis)
    router_redis.delete(first.stream_key)
    assert answer_stream.made_so_far(task.session_id, task.task_id) == answer_stream.Made(
        0, is_whole=False
    )
    assert early_end.shorten(task)
    task.refresh_from_db()
    assert task.enough_characters == 0
