"""Celery's entrance to the validator: `celery -A cortensor_site worker -Q validation -P solo`."""

import logging
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init

from mining import judging_queue
from mining.judging import embeddings, rerun, validation
from mining.network import judging

logger = logging.getLogger(__name__)


@shared_task(name=judging_queue.VALIDATE, queue=judging_queue.QUEUE, ignore_result=True)
def validate(task_pk: int) -> None:
    """Judge one task; see `mining.judging.validation`."""
    validation.validate(task_pk)


@shared_task(name=judging_queue.JUDGE_NETWORK_TASK, queue=judging_queue.QUEUE, ignore_result=True)
def judge_network_task(number: int) -> None:
    """Judge one network task; see `mining.network.judging`."""
    judging.judge_session(number)


@worker_process_init.connect
def _preload(**_: Any) -> None:
    """Load what judges before the worker counts as ready: no task is to wait for it."""
    try:
        embeddings.preload()
        rerun.preload()
    except Exception:
        # Celery logs what a receiver raises, and would take tasks all the same.
        logger.exception("the validator cannot load what it judges by; it ends")
        raise SystemExit(1) from None
