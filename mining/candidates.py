"""Which miners could take work now: heard of lately, of good standing on chain, not full."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Count

from mining.choice import Candidate
from mining.deadlines import ONLINE_S
from mining.models import Assignment, MinerPresence, Node, NodeState
from sessions.models import Session, SessionMode, SessionNode, Task

_STANDING = (NodeState.EPHEMERAL, NodeState.DEDICATED)


@dataclass(frozen=True)
class OnlineMiner:
    """A miner that is there, and how many more tasks it takes."""

    candidate: Candidate
    free_slots: int
    can_decrypt: bool
    shared: bool
    """Whether it works for sessions that it does not belong to, too."""
    canonical: bool

    @property
    def is_free(self) -> bool:
        return self.free_slots > 0


def lock_miners(model_identifier: int, now: datetime) -> list[OnlineMiner]:
    """All miners online that serve a model and mean to stay, locked until the transaction's end.

    The lock makes leases that are given at the same time see each other: no slot is given twice.
    """
    present = list(
        MinerPresence.objects.select_for_update()
        .filter(last_seen_at__gte=now - timedelta(seconds=ONLINE_S))
        .filter(model_identifiers__contains=[model_identifier], draining=False)
        .order_by("address")
    )
    addresses = [presence.address for presence in present]
    nodes = Node.objects.filter(address__in=addresses, state__in=_STANDING).in_bulk()
    leases = _leases(addresses)
    return [
        OnlineMiner(
            Candidate(
                presence.address,
                nodes[presence.address].reputation,
                speed=presence.loaded.get(str(model_identifier)),
            ),
            presence.slots - leases[presence.address],
            can_decrypt=presence.encryption_key != "",
            shared=nodes[presence.address].state != NodeState.DEDICATED,
            canonical=presence.canonical,
        )
        for presence in present
        if presence.address in nodes
    ]


def suitable(task: Task, miners: Sequence[OnlineMiner]) -> list[OnlineMiner]:
    """Those who may work on a task: by its session's mode, the session's own, the shared, or both.

    The session's own come first in a draw. An encrypted task needs miners whose keys are known.
    One that draws by another rule than the protocol's is fit where nothing is drawn: at
    temperature 0.
    """
    mode = Session.objects.filter(pk=task.session_id).values_list("mode", flat=True).first()
    own = _own_nodes(task.session_id) if mode in (SessionMode.DEDICATED, SessionMode.HYBRID) else ()
    return [
        replace(miner, candidate=replace(miner.candidate, dedicated=miner.candidate.address in own))
        for miner in miners
        if (miner.candidate.address in own or (miner.shared and mode != SessionMode.DEDICATED))
        and (miner.can_decrypt or not task.encrypted)
        and (miner.canonical or task.temperature_x100 == 0)
    ]


def _own_nodes(session_id: int) -> set[str]:
    return set(SessionNode.objects.of_session(session_id).values_list("address", flat=True))


def _leases(addresses: Sequence[str]) -> Counter[str]:
    rows = (
        Assignment.objects.working()
        .filter(miner__in=addresses)
        .values_list("miner")
        .annotate(count=Count("id"))
    )
    return Counter(dict(rows.order_by()))
