"""The mirror of sessions, their routers, their money and the prices of models."""

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from chain.models import Mirrored
from sessions.models.fields import AddressField, Uint256Field

WEI_PER_COR = 10**18


class SessionState(models.IntegerChoices):
    """A session's state, by the contract's numbers."""

    ACTIVE = 0
    INACTIVE = 1


class SessionMode(models.IntegerChoices):
    """Whose miners work for a session, by the contract's numbers."""

    EPHEMERAL = 0
    DEDICATED = 1
    HYBRID = 2


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions by what clients ask for."""

    def active(self) -> "SessionQuerySet":
        """Those that take tasks."""
        return self.filter(state=SessionState.ACTIVE)

    def owned_by(self, address: str) -> "SessionQuerySet":
        """Those of one account."""
        return self.filter(owner=address)

    def visible_to(self, address: str) -> "SessionQuerySet":
        """Those that an account may see and use: its own, and those that name it."""
        address = address.lower()
        return self.filter(Q(owner=address) | Q(users__contains=[address]))


class Session(Mirrored):
    """A session as the chain has it; amounts are wei of $COR. Written by projections only."""

    session_id = models.BigIntegerField(primary_key=True)
    sid = models.CharField(max_length=66, db_index=True)
    owner = AddressField(db_index=True)
    name = models.TextField(default="", blank=True)
    metadata = models.TextField(default="", blank=True)
    users = models.JSONField(
        default=list, blank=True, help_text="accounts that the metadata names, lower case"
    )
    state = models.PositiveSmallIntegerField(
        choices=SessionState.choices, default=SessionState.ACTIVE
    )
    mode = models.PositiveSmallIntegerField(
        choices=SessionMode.choices, default=SessionMode.EPHEMERAL
    )
    redundancy = models.PositiveIntegerField(default=1)
    min_num_of_nodes = Uint256Field(default=0)
    max_num_of_nodes = Uint256Field(default=0)
    num_of_validator_nodes = Uint256Field(default=0)
    sla = Uint256Field(default=0)
    model_identifier = Uint256Field(default=0)
    reserve_period = Uint256Field(default=0)
    max_task_execution_count = Uint256Field(default=0)
    created_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(null=True)
    deposited_wei = Uint256Field(default=0)
    withdrawn_wei = Uint256Field(default=0)
    reserved_wei = Uint256Field(default=0)
    paid_wei = Uint256Field(default=0)
    task_count = models.BigIntegerField(default=0, help_text="tasks that were submitted")

    objects = SessionQuerySet.as_manager()

    class Meta:
        ordering = ["-session_id"]
        indexes = [GinIndex(fields=["users"], name="session_users", opclasses=["jsonb_path_ops"])]

    def __str__(self) -> str:
        return f"session {self.session_id}"

    def is_visible_to(self, address: str) -> bool:
        """Whether an account may see and use it, as `visible_to` says."""
        return address.lower() in (self.owner, *self.users)

    @property
    def balance_wei(self) -> int:
        """What the contract would still let this session reserve or withdraw."""
        return int(self.deposited_wei - self.withdrawn_wei - self.reserved_wei - self.paid_wei)

    @property
    def is_active(self) -> bool:
        return self.state == SessionState.ACTIVE


class SessionRouter(Mirrored):
    """A router on a session's list. A removed one keeps its index, hence its lane of task ids."""

    session_id = models.BigIntegerField()
    address = AddressField()
    index = models.PositiveIntegerField()
    metadata = models.TextField(default="", blank=True)
    removed = models.BooleanField(default=False)

    objects: models.Manager["SessionRouter"] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session_id", "index"], name="session_router_index"),
        ]

    def __str__(self) -> str:
        return f"router {self.address} of session {self.session_id}"


class SessionNodeQuerySet(models.QuerySet["SessionNode"]):
    """Dedicated nodes by what a session may use."""

    def of_session(self, session_id: int) -> "SessionNodeQuerySet":
        """Those on a session's list now."""
        return self.filter(session_id=session_id, released=False)


class SessionNode(Mirrored):
    """A node and the session whose list of dedicated nodes it is on, or was on last."""

    node_id = models.CharField(max_length=66, primary_key=True)
    address = AddressField(default="")
    session_id = models.BigIntegerField(default=0, db_index=True)
    assigned_at = models.DateTimeField(null=True)
    released = models.BooleanField(default=False)

    objects = SessionNodeQuerySet.as_manager()

    def __str__(self) -> str:
        return f"node {self.address} of session {self.session_id}"


class ModelPrice(Mirrored):
    """What a token of a model costs, in wei of $COR."""

    model_identifier = Uint256Field(primary_key=True)
    input_price_wei = Uint256Field(default=0)
    output_price_wei = Uint256Field(default=0)

    objects: models.Manager["ModelPrice"] = models.Manager()

    def __str__(self) -> str:
        return f"price of model {self.model_identifier}"


class SessionLane(models.Model):
    """The next number in this router's lane of task ids. No mirror: it runs ahead of the chain."""

    sid = models.CharField(max_length=66)
    index = models.PositiveIntegerField()
    next_number = models.PositiveIntegerField(default=0)

    objects: models.Manager["SessionLane"] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sid", "index"], name="session_lane")]

    def __str__(self) -> str:
        return f"lane {self.index} of {self.sid}"
