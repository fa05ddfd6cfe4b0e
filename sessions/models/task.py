"""Clients' tasks: the router's rows (`Task`) and the mirror of the chain (`OnChainTask`)."""

from collections.abc import Collection
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from chain.models import Mirrored
from chain.protocol.params import PromptType
from sessions.models.api_key import ApiKey
from sessions.models.fields import Uint256Field


class TaskStatus(models.TextChoices):
    """The stages of a task, in order. A task may fail from any stage."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACKED = "acked"
    PRECOMMITTED = "precommitted"
    COMMITTED = "committed"
    VALIDATED = "validated"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (TaskStatus.ENDED, TaskStatus.FAILED)


class TaskOrigin(models.TextChoices):
    """The source of a task's number: this router, or a client's own transaction."""

    REST = "rest"
    CHAIN = "chain"


class OnChainStatus(models.TextChoices):
    """The contract's stages of a task."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    ACKED = "acked"
    PRECOMMITTED = "precommitted"
    COMMITTED = "committed"
    ENDED = "ended"


class _IsNumbered(models.Func):
    """Whether a row belongs to one of the given tasks.

    The SQL has two parameters, for any number of tasks. PostgreSQL looks each pair up in the index
    of `session_id` and `task_id`.
    """

    output_field = models.BooleanField()

    def __init__(self, numbers: Collection[tuple[int, int]]) -> None:
        pairs = sorted(set(numbers))
        arrays = [
            models.Value(list(column), output_field=ArrayField(models.BigIntegerField()))
            for column in (zip(*pairs, strict=True) if pairs else ([], []))
        ]
        # Django resolves `F` expressions, so that joins and aliases get the right table's columns.
        super().__init__(models.F("session_id"), models.F("task_id"), *arrays)

    def as_sql(
        self,
        compiler: Any,
        connection: Any,
        function: str | None = None,
        template: str | None = None,
        arg_joiner: str | None = None,
        **context: Any,
    ) -> tuple[str, tuple[Any, ...]]:
        *names, session_ids, task_ids = (
            compiler.compile(each) for each in self.get_source_expressions()
        )
        columns = ", ".join(sql for sql, _ in names)
        arrays = f"{session_ids[0]}, {task_ids[0]}"
        return (
            f"(({columns}) IN (SELECT * FROM unnest({arrays})))",  # noqa: S608 - compiled columns
            (*session_ids[1], *task_ids[1]),
        )


def numbered(numbers: Collection[tuple[int, int]]) -> models.Q:
    """Return a filter for the tasks with these pairs of `session_id` and `task_id`."""
    return models.Q(_IsNumbered(numbers))


class TaskQuerySet(models.QuerySet["Task"]):
    """Queries for tasks."""

    def queued(self) -> "TaskQuerySet":
        """Return the tasks that wait for miners, in order of arrival."""
        return self.filter(status=TaskStatus.QUEUED).order_by("created_at", "id")

    def open(self) -> "TaskQuerySet":
        """Return the tasks that have neither ended nor failed."""
        return self.exclude(status__in=[TaskStatus.ENDED, TaskStatus.FAILED])

    def of_session(self, session_id: int) -> "TaskQuerySet":
        return self.filter(session_id=session_id)

    def unseen_on_chain(self) -> "TaskQuerySet":
        """Return the tasks of this router whose submission the mirror does not show (yet)."""
        mirrored = OnChainTask.objects.filter(
            session_id=models.OuterRef("session_id"), task_id=models.OuterRef("task_id")
        )
        return self.filter(origin=TaskOrigin.REST).exclude(models.Exists(mirrored))


class Task(models.Model):
    """A task of the router. Its ids are no foreign keys, so that the mirror can be rebuilt."""

    session_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    task_digest = models.CharField(max_length=66, help_text="0x…, binds all that the task says")
    origin = models.CharField(max_length=8, choices=TaskOrigin.choices)

    prompt_cid = models.CharField(max_length=100, blank=True, default="")
    task_data = models.TextField(help_text="as on chain: the prompt, or its content address")
    inline = models.BooleanField(help_text="whether task_data is the prompt itself")
    encrypted = models.BooleanField(
        default=False, help_text="whether prompt and results are kept as envelopes only"
    )
    prompt_type = models.PositiveIntegerField(
        default=PromptType.MESSAGE, help_text="how a model reads the prompt, see PromptType"
    )
    prompt_template = models.TextField(blank=True, default="")
    max_tokens = models.PositiveIntegerField()
    temperature_x100 = models.PositiveIntegerField(default=0)
    top_p_x100 = models.PositiveIntegerField(default=100)
    top_k = models.PositiveIntegerField(default=0)
    presence_penalty_x100 = models.PositiveIntegerField(default=0)
    frequency_penalty_x100 = models.PositiveIntegerField(default=0)
    timeout_s = models.PositiveIntegerField(default=60)
    stop = models.JSONField(default=list, blank=True)
    grammar_reader = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="the library and version that read its grammar, if it has one",
    )
    client_reference = models.TextField(
        blank=True, default="", help_text="the client's label; others may have the same"
    )
    idempotency_key = models.TextField(
        blank=True, default="", help_text="the client's name for this request alone"
    )
    max_input_tokens = models.PositiveIntegerField()
    redundancy = models.PositiveIntegerField(default=1)
    model_identifier = Uint256Field()
    reserve_wei = Uint256Field(default=0)
    answer_tokens = models.PositiveIntegerField(
        null=True, blank=True, help_text="of the longest result that counts, once judged"
    )
    enough_characters = models.PositiveIntegerField(
        null=True, blank=True, help_text="where the answer ends, since nobody waits for more"
    )

    status = models.CharField(max_length=12, choices=TaskStatus.choices, default=TaskStatus.QUEUED)
    outcome_code = models.CharField(max_length=64, blank=True, default="")
    outcome_message = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    assigned_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    first_token_at = models.DateTimeField(null=True, blank=True)
    precommitted_at = models.DateTimeField(null=True, blank=True)
    committed_at = models.DateTimeField(null=True, blank=True)
    validated_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL)
    request_id = models.CharField(max_length=128, blank=True, default="")
    request_hash = models.CharField(
        max_length=64, blank=True, default="", help_text="tells a repeated request from another"
    )

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["session_id", "task_id"], name="task_identity"),
            models.UniqueConstraint(
                fields=["session_id", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="task_idempotency_key",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=models.Q(status="queued"), name="task_queue"
            ),
            models.Index(
                fields=["status"],
                condition=~models.Q(status__in=["ended", "failed"]),
                name="task_open",
            ),
            models.Index(fields=["api_key", "created_at"], name="task_of_key"),
            models.Index(
                fields=["prompt_cid"],
                condition=~models.Q(prompt_cid=""),
                name="task_prompt",
            ),
            models.Index(
                fields=["session_id", "client_reference"],
                condition=~models.Q(client_reference=""),
                name="task_labelled",
            ),
            models.Index(fields=["session_id", "ended_at"], name="task_ended_lately"),
        ]

    def __str__(self) -> str:
        return f"task {self.session_id}/{self.task_id}"


class OnChainTask(Mirrored):
    """A task on chain. Amounts are in wei of $COR. Only projections write these rows."""

    session_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    digest = models.CharField(max_length=66, default="")
    status = models.CharField(
        max_length=12, choices=OnChainStatus.choices, default=OnChainStatus.QUEUED
    )
    client_reference = models.TextField(default="", blank=True)
    task_data = models.TextField(default="", blank=True)
    prompt_type = Uint256Field(default=0)
    prompt_template = models.TextField(default="", blank=True)
    llm_params = models.JSONField(default=list, help_text="decimal strings")
    request_params = models.JSONField(default=list, help_text="decimal strings")
    max_input_tokens = Uint256Field(default=0)
    created_at = models.DateTimeField(null=True)
    assigned_at = models.DateTimeField(null=True)
    acked_at = models.DateTimeField(null=True, help_text="the latest ack")
    precommit_ended_at = models.DateTimeField(null=True)
    commit_ended_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    submit_tx = models.CharField(max_length=66, default="", blank=True)
    assign_tx = models.CharField(max_length=66, default="", blank=True)
    precommit_end_tx = models.CharField(max_length=66, default="", blank=True)
    commit_end_tx = models.CharField(max_length=66, default="", blank=True)
    end_tx = models.CharField(max_length=66, default="", blank=True)
    reserved_wei = Uint256Field(default=0)
    paid_wei = Uint256Field(default=0)
    refunded_wei = Uint256Field(default=0)

    objects: models.Manager["OnChainTask"] = models.Manager()

    class Meta:
        ordering = ["-session_id", "-task_id"]
        constraints = [
            models.UniqueConstraint(fields=["session_id", "task_id"], name="on_chain_task_identity")
        ]
        indexes = [
            models.Index(
                fields=["session_id", "task_id"],
                condition=models.Q(ended_at=None),
                name="on_chain_task_open",
            ),
        ]

    def __str__(self) -> str:
        return f"task {self.session_id}/{self.task_id} on chain"
