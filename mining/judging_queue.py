"""Asking the validator, which is a Celery worker of its own: `mining.tasks` is its side."""

from celery import current_app

QUEUE = "validation"
VALIDATE = "mining.validate"
JUDGE_NETWORK_TASK = "mining.judge_network_task"


def ask_for_validation(task_pk: int) -> None:
    """Have a task judged. Raises kombu's OperationalError while the broker is away."""
    current_app.send_task(VALIDATE, (task_pk,), queue=QUEUE, ignore_result=True)


def ask_for_network_judgement(session_number: int) -> None:
    """Have a network task judged. Raises kombu's OperationalError while the broker is away."""
    current_app.send_task(JUDGE_NETWORK_TASK, (session_number,), queue=QUEUE, ignore_result=True)
