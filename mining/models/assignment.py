"""Assignments: the lease of a task to a miner, its deadlines, and the miner's reports."""

import uuid

from django.db import models
from django.utils import timezone

from sessions.models import AddressField, Task
from sessions.streams.task_stream import miner_stream_key


class AssignmentStatus(models.TextChoices):
    """The states of an assignment. `mining.assignment.states` defines the transitions."""

    LEASED = "leased"
    ACKED = "acked"
    PRECOMMITTED = "precommitted"
    REVEALED = "revealed"
    JUDGED = "judged"
    FAILED = "failed"
    REPLACED = "replaced"


UNDECIDED = (
    AssignmentStatus.LEASED,
    AssignmentStatus.ACKED,
    AssignmentStatus.PRECOMMITTED,
    AssignmentStatus.REVEALED,
)
"""The states that are not final."""


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    """Adds the filters that several modules need."""

    def working(self) -> "AssignmentQuerySet":
        """Return the assignments that take a slot of their miner."""
        return self.filter(status__in=[AssignmentStatus.LEASED, AssignmentStatus.ACKED])

    def in_place(self) -> "AssignmentQuerySet":
        """Return the assignments that hold a place of their task, ordered by position.

        Those are all but the replaced ones.
        """
        return self.exclude(status=AssignmentStatus.REPLACED).order_by("position")


class Assignment(models.Model):
    """The lease of a task to a miner.

    `miner` is an address in lower-case hex. Hashes and signatures are hex with 0x.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assignments")
    miner = AddressField()
    position = models.PositiveSmallIntegerField(help_text="the place in the task that it holds")
    status = models.CharField(
        max_length=12, choices=AssignmentStatus.choices, default=AssignmentStatus.LEASED
    )
    leased_at = models.DateTimeField(default=timezone.now)
    ack_deadline_at = models.DateTimeField()
    lease_deadline_at = models.DateTimeField()
    announced_at = models.DateTimeField(
        null=True, blank=True, help_text="when the client was told to listen to this miner"
    )
    acked_at = models.DateTimeField(null=True, blank=True)
    precommit_at = models.DateTimeField(null=True, blank=True)
    reveal_asked_at = models.DateTimeField(null=True, blank=True)
    revealed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    precommit_hash = models.CharField(max_length=66, blank=True, default="")
    precommit_signature = models.CharField(max_length=132, blank=True, default="")
    commit_data = models.TextField(blank=True, default="")
    commit_signature = models.CharField(max_length=132, blank=True, default="")
    content_cid = models.CharField(max_length=100, blank=True, default="")
    finish_reason = models.CharField(max_length=16, blank=True, default="")
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    accuracy_bps = models.PositiveIntegerField(null=True, blank=True)
    distance = models.FloatField(
        null=True, blank=True, help_text="to the text that was the measure"
    )
    deaths = models.PositiveSmallIntegerField(
        default=0, help_text="how often the miner's process died while it worked on this"
    )
    alone = models.BooleanField(
        default=False, help_text="whether nothing else may run beside it: the task may kill nodes"
    )
    failure_code = models.CharField(max_length=64, blank=True, default="")
    failure_message = models.TextField(blank=True, default="")

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["task_id", "position", "leased_at"]
        constraints = [
            models.UniqueConstraint(fields=["task", "miner"], name="assignment_task_miner"),
        ]
        indexes = [
            models.Index(
                fields=["content_cid"],
                condition=~models.Q(content_cid=""),
                name="assignment_content",
            ),
            models.Index(
                fields=["miner"],
                condition=models.Q(status__in=["leased", "acked"]),
                name="assignment_working",
            ),
            models.Index(
                fields=["task"],
                condition=models.Q(status__in=["leased", "acked", "precommitted", "revealed"]),
                name="assignment_undecided",
            ),
        ]

    def __str__(self) -> str:
        return f"assignment {self.id} of {self.miner}"

    @property
    def stream_key(self) -> str:
        """The key of the Redis stream that the miner writes its answer to."""
        return miner_stream_key(self.miner, str(self.id))
