"""Sends messages to miners: Celery tasks, each in the mailbox of one miner.

A message is lost if Redis loses its data. The assignment's deadlines then expire, and the oracle
acts on them.
"""

import logging
from functools import cache

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pools import producers

from mining.errors import MailboxUnavailable
from mining.models import Assignment
from mining.node.network.job import NetworkJob
from mining.node.protocol.job import Job
from mining.node.protocol.names import (
    CANCEL,
    CONTROL_QUEUE,
    INFER,
    INFERENCE_QUEUE,
    NETWORK,
    NETWORK_QUEUE,
    REVEAL,
    SHORTEN,
    mailbox_prefix,
)

SOCKET_TIMEOUT_S = 5

logger = logging.getLogger(__name__)


def send_infer(address: str, job: Job) -> None:
    """Send a job to its miner. Raises MailboxUnavailable."""
    _send(address, INFERENCE_QUEUE, INFER, {"job": job.to_json()})


def send_reveal(address: str, assignment_id: str) -> None:
    """Ask a miner to reveal the answer that it precommitted. Raises MailboxUnavailable."""
    _send(address, CONTROL_QUEUE, REVEAL, {"assignment_id": assignment_id})


def send_cancel(address: str, assignment_id: str) -> None:
    """Tell a miner to stop working on an assignment. Raises MailboxUnavailable."""
    _send(address, CONTROL_QUEUE, CANCEL, {"assignment_id": assignment_id})


def cancel_on_commit(assignment: Assignment) -> None:
    """Tell a miner to stop when the transaction commits. A failure to tell it is logged."""

    def send() -> None:
        try:
            send_cancel(assignment.miner, str(assignment.id))
        except MailboxUnavailable:
            logger.warning("%s: it could not be cancelled", assignment, exc_info=True)

    transaction.on_commit(send, robust=True)


def send_shorten(address: str, assignment_id: str, characters: int) -> None:
    """Tell a miner after how many characters an answer may end. Raises MailboxUnavailable."""
    kwargs: dict[str, object] = {"assignment_id": assignment_id, "characters": characters}
    _send(address, CONTROL_QUEUE, SHORTEN, kwargs)


def send_network_job(address: str, job: NetworkJob) -> None:
    """Send a node its job of a network task. Raises MailboxUnavailable."""
    _send(address, NETWORK_QUEUE, NETWORK, {"job": job.to_json()})


def _send(address: str, queue: str, name: str, kwargs: dict[str, object]) -> None:
    try:
        with producers[_connection(address)].acquire(block=True) as producer:
            _messages().send_task(
                name,
                kwargs=kwargs,
                kwargsrepr="",  # Celery logs this text, and prompts must not be logged
                queue=queue,
                producer=producer,
                ignore_result=True,
                retry_policy={"max_retries": 1, "interval_start": 0.05},
            )
    except (OperationalError, OSError) as error:
        raise MailboxUnavailable(f"{name} for {address}: {error}") from error


@cache
def _messages() -> Celery:
    # This app only builds messages. The producer decides into which mailbox they go.
    app = Celery("mining.mailbox", broker=settings.REDIS_URL, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        worker_hijack_root_logger=False,
        # There is no result backend. Without this setting each thread would create one.
        result_backend_thread_safe=True,
    )
    return app


@cache
def _connection(address: str) -> Connection:
    return Connection(
        settings.REDIS_URL,
        transport_options={
            "global_keyprefix": mailbox_prefix(address),
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
        },
    )
