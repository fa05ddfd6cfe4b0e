"""Sends requests to the validator, a separate Celery worker. `mining.tasks` receives them."""

from celery import current_app

QUEUE = "validation"
VALIDATE = "mining.validate"
JUDGE_NETWORK_TASK = "mining.judge_network_task"


def ask_for_validation(task_pk: int) -> None:
    """Request a task's validation. Raises kombu's OperationalError without the broker."""
    current_app.send_task(VALIDATE, (task_pk,), queue=QUEUE, ignore_result=True)


def ask_for_network_judgement(session_number: int) -> None:
    """Request a network task's judgement. Raises kombu's OperationalError without the broker."""
    current_app.send_task(JUDGE_NETWORK_TASK, (session_number,), queue=QUEUE, ignore_result=True)
