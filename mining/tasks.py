"""The validator's Celery tasks: `celery -A cortensor_site worker -Q validation -P solo`."""

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
    """Load the models before the worker counts as ready, so that no task waits for them."""
    try:
        embeddings.preload()
        rerun.preload()
    except Exception:
        # Celery only logs exceptions of receivers, and the worker would then accept tasks.
        logger.exception("the validator cannot load its models, and ends")
        raise SystemExit(1) from None
