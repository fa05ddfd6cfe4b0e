"""Finds the miners that can take a task now.

Such a miner has sent a heartbeat lately, has good standing on chain and has a free slot.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    DateTimeField,
    IntegerField,
    JSONField,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)

from chain.postgres.leadership import lock_for_transaction, try_lock_for_transaction
from chain.postgres.prepared import Parameter, Prepared
from mining.assignment.draw import Candidate
from mining.deadlines import ONLINE_S
from mining.models import Assignment, MinerPresence, Node, NodeState
from sessions.models import Session, SessionMode, SessionNode, Task

SLOTS_LOCK = "slots"
_ALL_SLOTS = 1_000
"""More than any node has."""
_STANDING = (NodeState.EPHEMERAL, NodeState.DEDICATED)


@dataclass(frozen=True)
class OnlineMiner:
    """A miner that is online, and how many more tasks it can take."""

    candidate: Candidate
    free_slots: int
    is_idle: bool
    """Whether the miner has no task."""
    can_decrypt: bool
    shared: bool
    """Whether the miner also works for sessions that it does not belong to."""
    canonical: bool
    """Whether the miner draws tokens by the protocol's rule."""
    software: Collection[str]
    """The libraries that the miner runs, each as a name and a version."""

    @property
    def is_free(self) -> bool:
        return self.free_slots > 0


def lock_slots() -> None:
    """Lock all miners' slots until the transaction ends, so that no slot is leased twice.

    This is an advisory lock and not a row lock: transactions that lease slots and transactions
    that read miners' reports must not wait for each other.
    """
    lock_for_transaction(SLOTS_LOCK)


def try_lock_slots() -> bool:
    """Lock the slots like `lock_slots`, or return False at once if another transaction has them."""
    return try_lock_for_transaction(SLOTS_LOCK)


def online_miners(model_identifier: int, now: datetime) -> list[OnlineMiner]:
    """Return all online miners that serve a model, have good standing and are not draining.

    The numbers of free slots are reliable only if the caller's transaction has locked the slots.
    """
    since = now - timedelta(seconds=ONLINE_S)
    present = _PRESENT.rows(since=since, models=json.dumps([model_identifier]))
    return [
        OnlineMiner(
            Candidate(
                address, reputation or 0, speed=json.loads(loaded).get(str(model_identifier))
            ),
            slots - (leased or 0),
            is_idle=not leased,
            can_decrypt=key != "",
            shared=standing != NodeState.DEDICATED,
            canonical=canonical,
            software=software.split(),
        )
        for (
            address,
            slots,
            loaded,
            key,
            canonical,
            software,
            reputation,
            standing,
            leased,
        ) in present
    ]


def _taken_slots() -> Case:
    """Return how many slots an assignment takes: all of them if it has to run alone."""
    return Case(
        When(alone=True, then=Value(_ALL_SLOTS)), default=Value(1), output_field=IntegerField()
    )


def _present() -> "QuerySet[MinerPresence, tuple[Any, ...]]":
    node = Node.objects.filter(pk=OuterRef("pk"), state__in=_STANDING)
    leases = (
        Assignment.objects.working()
        .filter(miner=OuterRef("pk"))
        .order_by()
        .values("miner")
        .annotate(count=Sum(_taken_slots()))
    )
    return (
        MinerPresence.objects.filter(last_seen_at__gte=Parameter("since", DateTimeField()))
        .filter(model_identifiers__contains=Parameter("models", JSONField()), draining=False)
        .annotate(
            reputation=Subquery(node.values("reputation")),
            standing=Subquery(node.values("state")),
            leases=Subquery(leases.values("count")),
        )
        .filter(standing__isnull=False)
        .order_by("address")
        .values_list(
            "address",
            "slots",
            "loaded",
            "encryption_key",
            "canonical",
            "software",
            "reputation",
            "standing",
            "leases",
        )
    )


_PRESENT = Prepared(_present)


def without_slots_of(
    miners: Sequence[OnlineMiner], addresses: Collection[str]
) -> list[OnlineMiner]:
    """Return the miners, with one free slot less for each miner in `addresses`."""
    return [
        replace(miner, free_slots=miner.free_slots - 1, is_idle=False)
        if miner.candidate.address in addresses
        else miner
        for miner in miners
    ]


def suitable(task: Task, mode: int | None, miners: Sequence[OnlineMiner]) -> list[OnlineMiner]:
    """Return the miners that may work on a task.

    The session's mode decides whether those are the session's own miners, shared miners, or both.
    The session's own miners come first in a draw. An encrypted task needs a miner whose public key
    is known. A task with a grammar needs a miner with the library and version to which the task is
    bound. A miner that draws tokens by another rule than the protocol's (`canonical` is False) gets
    only tasks at temperature 0, where no token is drawn.
    """
    own = _own_nodes(task.session_id) if mode in (SessionMode.DEDICATED, SessionMode.HYBRID) else ()
    return [
        replace(miner, candidate=replace(miner.candidate, dedicated=miner.candidate.address in own))
        for miner in miners
        if (miner.candidate.address in own or (miner.shared and mode != SessionMode.DEDICATED))
        and (miner.can_decrypt or not task.encrypted)
        and (not task.grammar_reader or task.grammar_reader in miner.software)
        and (miner.canonical or task.temperature_x100 == 0)
    ]


def mode_of(task: Task) -> int | None:
    """Return the mode of a task's session, or None if the mirror does not have the session."""
    return Session.objects.filter(pk=task.session_id).values_list("mode", flat=True).first()


def _own_nodes(session_id: int) -> set[str]:
    return set(SessionNode.objects.of_session(session_id).values_list("address", flat=True))
