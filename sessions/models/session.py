"""The mirror of sessions, their routers, nodes and balances, and of the models' prices."""

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from chain.models import Mirrored
from sessions.models.fields import AddressField, Uint256Field

WEI_PER_COR = 10**18


class SessionState(models.IntegerChoices):
    """A session's state, numbered as in the contract."""

    ACTIVE = 0
    INACTIVE = 1


class SessionMode(models.IntegerChoices):
    """Which miners work for a session, numbered as in the contract."""

    EPHEMERAL = 0
    DEDICATED = 1
    HYBRID = 2


class SessionQuerySet(models.QuerySet["Session"]):
    """Queries for sessions."""

    def active(self) -> "SessionQuerySet":
        """Return the sessions that accept tasks."""
        return self.filter(state=SessionState.ACTIVE)

    def owned_by(self, address: str) -> "SessionQuerySet":
        """Return the sessions of one account."""
        return self.filter(owner=address)

    def visible_to(self, address: str) -> "SessionQuerySet":
        """Return the sessions that an account may use: its own, and those that list it."""
        address = address.lower()
        return self.filter(Q(owner=address) | Q(users__contains=[address]))


class Session(Mirrored):
    """A session on chain. Amounts are in wei of $COR. Only projections write these rows."""

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
        """Return whether an account may see and use the session, by the rule of `visible_to`."""
        return address.lower() in (self.owner, *self.users)

    @property
    def balance_wei(self) -> int:
        """The amount that the contract would let this session reserve or withdraw now."""
        return int(self.deposited_wei - self.withdrawn_wei - self.reserved_wei - self.paid_wei)

    @property
    def is_active(self) -> bool:
        return self.state == SessionState.ACTIVE


class SessionRouter(Mirrored):
    """A router on a session's list. A removed router keeps its index and so its task numbers."""

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
    """Queries for dedicated nodes."""

    def of_session(self, session_id: int) -> "SessionNodeQuerySet":
        """Return the nodes that are on a session's list now."""
        return self.filter(session_id=session_id, released=False)


class SessionNode(Mirrored):
    """A node, and the session that lists it or listed it last as a dedicated node."""

    node_id = models.CharField(max_length=66, primary_key=True)
    address = AddressField(default="")
    session_id = models.BigIntegerField(default=0, db_index=True)
    assigned_at = models.DateTimeField(null=True)
    released = models.BooleanField(default=False)

    objects = SessionNodeQuerySet.as_manager()

    def __str__(self) -> str:
        return f"node {self.address} of session {self.session_id}"


class ModelPrice(Mirrored):
    """The prices of a model's tokens, in wei of $COR."""

    model_identifier = Uint256Field(primary_key=True)
    input_price_wei = Uint256Field(default=0)
    output_price_wei = Uint256Field(default=0)

    objects: models.Manager["ModelPrice"] = models.Manager()

    def __str__(self) -> str:
        return f"price of model {self.model_identifier}"


class SessionLane(models.Model):
    """The next number in this router's lane of task ids. It is not a mirror: the chain lags it."""

    sid = models.CharField(max_length=66)
    index = models.PositiveIntegerField()
    next_number = models.PositiveIntegerField(default=0)

    objects: models.Manager["SessionLane"] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sid", "index"], name="session_lane")]

    def __str__(self) -> str:
        return f"lane {self.index} of {self.sid}"
