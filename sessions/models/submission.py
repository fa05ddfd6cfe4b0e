"""Tasks that clients have submitted on chain and that are not queued yet."""

from django.db import models
from django.utils import timezone


class DirectSubmission(models.Model):
    """A submission that waits. `sessions.from_chain.submissions` queues it and deletes the row.

    The ids are plain numbers and not foreign keys, so that the mirror can be rebuilt.
    """

    session_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, help_text="not to be tried before")
    problem = models.TextField(default="", blank=True, help_text="of the last attempt")

    objects: models.Manager["DirectSubmission"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session_id", "task_id"], name="direct_submission_once")
        ]
        indexes = [models.Index(fields=["due_at"], name="direct_submission_due")]

    def __str__(self) -> str:
        return f"submission {self.session_id}/{self.task_id}"
