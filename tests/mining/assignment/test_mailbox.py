"""Celery jobs in a miner's mailbox."""

import json
import uuid

import pytest
import redis
from kombu import Connection

from mining.assignment import mailbox
from mining.enrolment.redis_users import enrol, revoke
from mining.errors import MailboxUnavailable
from mining.node.protocol.job import Job
from mining.node.protocol.names import mailbox_prefix

MINER, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20


def job():
    return Job(
        assignment_id=str(uuid.uuid4()),
        session_id=1,
        task_id=1_000_000,
        task_digest=bytes(32),
        chain_id=31337,
        queue_address="0x" + "11" * 20,
        model_identifier=1,
        prompt="What is 12 + 13?",
        prompt_form=0,
        prompt_template="",
        max_tokens=16,
        temperature_x100=0,
        top_p_x100=100,
        top_k=0,
        presence_penalty_x100=0,
        frequency_penalty_x100=0,
        deadline_at=1e10,
        inline=False,
    )


def receive(url, address, queue):
    """Take a message from a mailbox with the miner's own credentials."""
    prefix = mailbox_prefix(address)
    with Connection(url, transport_options={"global_keyprefix": prefix}) as connection:
        message = connection.SimpleQueue(queue).get(timeout=5)
        message.ack()
        return message


@pytest.fixture
def url(redis_url):
    yield enrol(MINER)
    revoke(MINER)


def test_a_job_reaches_its_miner_as_a_celery_message(url):
    sent = job()
    mailbox.send_infer(MINER, sent)
    message = receive(url, MINER, "inference")
    assert message.headers["task"] == "mining.node.infer"
    args, kwargs, _ = json.loads(message.body)
    assert args == []
    assert Job.from_json(kwargs["job"]) == sent


def test_control_messages_have_a_queue_of_their_own(url):
    assignment_id = str(uuid.uuid4())
    mailbox.send_reveal(MINER, assignment_id)
    mailbox.send_cancel(MINER, assignment_id)
    for name in ("mining.node.reveal", "mining.node.cancel"):
        message = receive(url, MINER, "control")
        assert message.headers["task"] == name
        assert json.loads(message.body)[1] == {"assignment_id": assignment_id}


def test_a_job_lies_in_one_mailbox_only(url):
    mailbox.send_infer(MINER, job())
    mailbox.send_infer(OTHER, job())
    with redis.Redis.from_url(url) as miner:
        assert miner.llen(mailbox_prefix(MINER) + "inference") == 1
        with pytest.raises(redis.exceptions.NoPermissionError):
            miner.llen(mailbox_prefix(OTHER) + "inference")


def test_a_server_that_is_away_is_said_so(settings, redis_url):
    mailbox._connection.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    try:
        with pytest.raises(MailboxUnavailable, match="infer"):
            mailbox.send_infer(MINER, job())
    finally:
        mailbox._connection.cache_clear()
