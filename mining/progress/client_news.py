"""Reacts at once when a client allows a task's answer to end early."""

import logging
from typing import Any

from django.dispatch import receiver

from mining.assignment import mailbox
from mining.errors import MailboxUnavailable
from mining.models import AssignmentStatus
from sessions.models import Task
from sessions.stages.early_end import task_shortened

logger = logging.getLogger(__name__)


@receiver(task_shortened, dispatch_uid="mining.shorten")
def shorten(task: Task, **_: Any) -> None:
    """Tell the miners that still work on a task after how many characters it may end."""
    assert task.enough_characters is not None
    working = (AssignmentStatus.LEASED, AssignmentStatus.ACKED)
    for assignment in task.assignments.in_place().filter(status__in=working):
        try:
            mailbox.send_shorten(assignment.miner, str(assignment.id), task.enough_characters)
        except MailboxUnavailable:
            # The miner continues, and is paid for no more tokens than the other miners.
            logger.warning("%s: its miner could not be told", assignment, exc_info=True)
