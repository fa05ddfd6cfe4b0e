"""Which miners could take work now: heard of lately, of good standing on chain, not full."""

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
    """A miner that is there, and how many more tasks it takes."""

    candidate: Candidate
    free_slots: int
    is_idle: bool
    """Whether it has no task at all."""
    can_decrypt: bool
    shared: bool
    """Whether it works for sessions that it does not belong to, too."""
    canonical: bool
    software: Collection[str]
    """What it runs, each a name and a version."""

    @property
    def is_free(self) -> bool:
        return self.free_slots > 0


def lock_slots() -> None:
    """Be the only one who gives out slots, until the transaction ends.

    Leases that are given at the same time see each other by it: no slot is given twice. It is a
    lock of its own, so that who gives and who reads the miners' reports never wait for each other.
    """
    lock_for_transaction(SLOTS_LOCK)


def try_lock_slots() -> bool:
    """The same without waiting; False if somebody else is at it."""
    return try_lock_for_transaction(SLOTS_LOCK)


def online_miners(model_identifier: int, now: datetime) -> list[OnlineMiner]:
    """All miners online that serve a model, have good standing and mean to stay.

    What is free counts for whoever has locked the slots.
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
    """How many slots an assignment takes: all of them where nothing may run beside it."""
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
            *("address", "slots", "loaded", "encryption_key", "canonical", "software"),
            *("reputation", "standing", "leases"),
        )
    )


_PRESENT = Prepared(_present)


def without_slots_of(
    miners: Sequence[OnlineMiner], addresses: Collection[str]
) -> list[OnlineMiner]:
    """The same miners, after some of them have been given one more task."""
    return [
        replace(miner, free_slots=miner.free_slots - 1, is_idle=False)
        if miner.candidate.address in addresses
        else miner
        for miner in miners
    ]


def suitable(task: Task, mode: int | None, miners: Sequence[OnlineMiner]) -> list[OnlineMiner]:
    """Those who may work on a task: by its session's mode, the session's own, the shared, or both.

    The session's own come first in a draw. An encrypted task needs miners whose keys are known, and
    one with a grammar needs miners that have the library and version to which it is bound.
    One that draws by another rule than the protocol's is fit where nothing is drawn: at
    temperature 0.
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
    """The mode of a task's session; None for a session that the mirror does not have."""
    return Session.objects.filter(pk=task.session_id).values_list("mode", flat=True).first()


def _own_nodes(session_id: int) -> set[str]:
    return set(SessionNode.objects.of_session(session_id).values_list("address", flat=True))
