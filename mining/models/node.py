"""Miners: their presence, which is not on chain, and the mirror of nodes and their results."""

from django.db import models

from chain.models import Mirrored
from sessions.models import AddressField, Uint256Field


class NodeState(models.IntegerChoices):
    """A node's state. The values are the contract's."""

    UNKNOWN = 0
    REGISTERED = 1
    ACTIVE = 2
    EPHEMERAL = 3
    RESERVED = 4
    DEDICATED = 5


class MinerPresence(models.Model):
    """A miner's last heartbeat, and the cursor in its reports. Not a part of the mirror."""

    address = AddressField(primary_key=True)
    last_seen_at = models.DateTimeField(null=True)
    slots = models.PositiveIntegerField(default=0)
    in_flight = models.PositiveIntegerField(default=0)
    model_identifiers = models.JSONField(default=list, help_text="the models that it serves")
    loaded = models.JSONField(
        default=dict, help_text="its models in memory, each with the tokens a second it makes"
    )
    tokens_per_s = models.FloatField(default=0, help_text="of all its models together")
    draining = models.BooleanField(default=False, help_text="it finishes, and takes no more")
    canonical = models.BooleanField(
        default=True, help_text="it draws by the protocol's rule, so that others can check it"
    )
    heartbeat_ms = models.BigIntegerField(
        default=0, help_text="the number of its last heartbeat, in Unix milliseconds"
    )
    software = models.CharField(max_length=100, default="", blank=True)
    encryption_key = models.CharField(
        max_length=66, default="", blank=True, help_text="what prompts are sealed for: 0x… X25519"
    )
    report_cursor = models.CharField(
        max_length=41, default="0-0", help_text="the last entry of its reports that was handled"
    )
    suspended_at = models.DateTimeField(
        null=True, blank=True, help_text="since when it gets no mailbox"
    )
    suspended_for = models.CharField(max_length=200, default="", blank=True)

    objects: models.Manager["MinerPresence"] = models.Manager()

    def __str__(self) -> str:
        return f"miner {self.address}"


class Node(Mirrored):
    """A node in the contracts NodePool and SessionPayment. Amounts are in wei of $COR."""

    address = AddressField(primary_key=True)
    operator = AddressField(default="")
    state = models.PositiveSmallIntegerField(choices=NodeState.choices, default=NodeState.UNKNOWN)
    reputation = models.IntegerField(default=0)
    earned_wei = Uint256Field(default=0)
    withdrawn_wei = Uint256Field(default=0)
    registered_at = models.DateTimeField(null=True)

    objects: models.Manager["Node"] = models.Manager()

    def __str__(self) -> str:
        return f"node {self.address}"

    @property
    def owed_wei(self) -> int:
        """The amount that the node may withdraw now, in wei of $COR."""
        return int(self.earned_wei - self.withdrawn_wei)


class MinerResult(Mirrored):
    """A miner's part in a task on chain. Amounts are in wei of $COR."""

    session_id = models.BigIntegerField()
    task_id = models.BigIntegerField()
    miner = AddressField()
    assigned_at = models.DateTimeField(null=True)
    acked_at = models.DateTimeField(null=True)
    precommit_at = models.DateTimeField(null=True)
    commit_at = models.DateTimeField(null=True)
    judged_at = models.DateTimeField(null=True)
    replaced_at = models.DateTimeField(null=True)
    ack_tx = models.CharField(max_length=66, default="", blank=True)
    precommit_tx = models.CharField(max_length=66, default="", blank=True)
    commit_tx = models.CharField(max_length=66, default="", blank=True)
    verdict_tx = models.CharField(max_length=66, default="", blank=True)
    payment_tx = models.CharField(max_length=66, default="", blank=True)
    accuracy_bps = models.PositiveIntegerField(null=True)
    input_tokens = Uint256Field(null=True)
    output_tokens = Uint256Field(null=True)
    paid_wei = Uint256Field(default=0)

    objects: models.Manager["MinerResult"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["session_id", "task_id", "miner"], name="miner_result_identity"
            ),
        ]

    def __str__(self) -> str:
        return f"result of {self.miner} for task {self.session_id}/{self.task_id}"
