"""Celery's entrance to the validator: `celery -A cortensor_site worker -Q validation -P solo`."""

from typing import Any

from celery import shared_task
from celery.signals import worker_process_init

from mining import embeddings, validation
from mining.network import judging


@shared_task(name="mining.validate", queue="validation", ignore_result=True)
def validate(task_pk: int) -> None:
    """Judge one task; see `mining.validation`."""
    validation.validate(task_pk)


@shared_task(name="mining.judge_network_task", queue="validation", ignore_result=True)
def judge_network_task(number: int) -> None:
    """Judge one network task; see `mining.network.judging`."""
    judging.judge_session(number)


@worker_process_init.connect
def _preload(**_: Any) -> None:
    """Load the embedding model before the first task waits for it."""
    embeddings.preload()
