"""Network tasks: the mirror of their events, and this router's requests to nodes."""

from django.db import models
from django.utils import timezone

from chain.models import Mirrored
from sessions.models import AddressField, Uint256Field


class NetworkTaskState(models.TextChoices):
    """The last stage that a network task has passed, as in the enum NetworkState of `chain`."""

    CREATED = "created"
    STARTED = "started"
    PRECOMMITTED = "precommitted"
    COMMITTED = "committed"
    ENDED = "ended"


class NetworkTask(Mirrored):
    """The state of a network task on chain.

    `number` is the session id in the contract Cognitive. `accuracies_bps` has the order of
    `completers`.
    """

    number = models.BigIntegerField(primary_key=True)
    state = models.CharField(
        max_length=12, choices=NetworkTaskState.choices, default=NetworkTaskState.CREATED
    )
    creator = AddressField(default="")
    completers = models.JSONField(default=list)
    validator = AddressField(default="")
    accuracies_bps = models.JSONField(default=list)
    created_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    precommitted_at = models.DateTimeField(null=True)
    committed_at = models.DateTimeField(null=True)
    judged_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    verdict_tx = models.CharField(max_length=66, default="", blank=True)

    objects: models.Manager["NetworkTask"] = models.Manager()

    def __str__(self) -> str:
        return f"network task {self.number}"


class NetworkRole(models.TextChoices):
    """The roles of nodes in a network task."""

    CREATOR = "creator"
    PREPARER = "preparer"
    COMPLETER = "completer"


class NetworkPart(Mirrored):
    """A node's part in a network task. For a completer, `done_at` is the time of its precommit."""

    number = models.BigIntegerField()
    node = AddressField()
    role = models.CharField(max_length=9, choices=NetworkRole.choices)
    asked_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    revealed_at = models.DateTimeField(null=True)

    objects: models.Manager["NetworkPart"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["number", "node", "role"], name="network_part_identity"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.node} of network task {self.number}"


class NetworkNode(Mirrored):
    """A node's presence and record in network tasks."""

    address = AddressField(primary_key=True)
    pinged_at = models.DateTimeField(null=True)
    pruned_at = models.DateTimeField(null=True)
    right_answers = models.PositiveIntegerField(default=0)
    wrong_answers = models.PositiveIntegerField(default=0)
    missed_parts = models.PositiveIntegerField(default=0)

    objects: models.Manager["NetworkNode"] = models.Manager()

    def __str__(self) -> str:
        return f"idle node {self.address}"


class NetworkEpoch(Mirrored):
    """An epoch of the contract NetworkRewards. Amounts are in wei of $COR."""

    number = models.BigIntegerField(primary_key=True)
    budget_wei = Uint256Field(default=0)
    points = models.BigIntegerField(default=0)
    paid_wei = Uint256Field(default=0)
    released_wei = Uint256Field(default=0)
    opened_at = models.DateTimeField(null=True)

    objects: models.Manager["NetworkEpoch"] = models.Manager()

    def __str__(self) -> str:
        return f"epoch {self.number}"


class NetworkCredit(Mirrored):
    """A node's points in an epoch, and the wei of $COR that were paid for them."""

    epoch = models.BigIntegerField()
    node = AddressField()
    points = models.BigIntegerField(default=0)
    paid_wei = Uint256Field(default=0)
    paid_at = models.DateTimeField(null=True)
    payment_tx = models.CharField(max_length=66, default="", blank=True)

    objects: models.Manager["NetworkCredit"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["epoch", "node"], name="network_credit_identity"),
        ]
        indexes = [
            models.Index(
                fields=["epoch"],
                condition=models.Q(paid_at__isnull=True),
                name="network_credit_unpaid",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.points} points of {self.node} in epoch {self.epoch}"


class NetworkAsk(models.Model):
    """A request of this router to a node. The router accepts only what it has asked for.

    The table is not a part of the mirror. `number` and `seed` are those of the network request or
    session, and 0 for a ping.
    """

    node = AddressField()
    stage = models.CharField(max_length=8)
    number = models.BigIntegerField()
    seed = Uint256Field()
    asked_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    declined = models.CharField(max_length=64, default="", blank=True)

    objects: models.Manager["NetworkAsk"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["node", "stage", "number", "seed"], name="network_ask_identity"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stage} of network task {self.number} by {self.node}"


class NetworkJudgement(models.Model):
    """What the validator read of a network task, and its judgement. Not a part of the mirror."""

    number = models.BigIntegerField()
    seed = Uint256Field()
    domain = models.TextField()
    subdomain = models.TextField()
    prompt = models.TextField()
    completions = models.JSONField(default=dict, help_text="by node; who has not revealed has none")
    accuracies_bps = models.JSONField(default=dict, help_text="by node")
    method = models.CharField(max_length=10)
    reference = models.TextField(default="", blank=True)
    judged_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager["NetworkJudgement"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number", "seed"], name="network_judgement_identity"),
        ]

    def __str__(self) -> str:
        return f"judgement of network task {self.number}"
