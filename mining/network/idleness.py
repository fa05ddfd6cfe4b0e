"""Decides whether a network task is due: no user's task is queued and enough nodes are idle."""

from datetime import datetime, timedelta

from django.db.models import Max

from chain.models import Operation
from chain.operations import OperationKind
from mining.deadlines import ONLINE_S
from mining.models import Assignment, MinerPresence, NetworkNode, NetworkTask
from sessions.models import Task

MIN_NODES = 3
"""The fewest idle nodes for a network task. The answers of fewer nodes could not be compared."""
THERE_S = 780.0
"""A node that has pinged the chain within this time counts as present.

This is two minutes less than NodeRoll's PRESENCE, so that such a node is still present at the draw.
"""


def is_idle(now: datetime) -> bool:
    """Tell whether no task is queued and at least `MIN_NODES` nodes are idle and can be drawn."""
    return not Task.objects.queued().exists() and idle_nodes(now) >= MIN_NODES


def idle_nodes(now: datetime) -> int:
    """Return how many nodes are online, can be drawn and have no user's task."""
    online = MinerPresence.objects.filter(
        last_seen_at__gte=now - timedelta(seconds=ONLINE_S), draining=False
    )
    there = NetworkNode.objects.filter(
        address__in=online.values("address"), pinged_at__gt=now - timedelta(seconds=THERE_S)
    )
    working = Assignment.objects.working().filter(miner__in=there.values("address"))
    return there.count() - working.values("miner").distinct().count()


def last_begun() -> datetime | None:
    """Return when this router or anyone else last requested a network task, or None."""
    requests = Operation.objects.filter(kind=OperationKind.REQUEST_NETWORK_TASK)
    times = [
        requests.aggregate(at=Max("created_at"))["at"],
        NetworkTask.objects.aggregate(at=Max("created_at"))["at"],
    ]
    return max((at for at in times if at is not None), default=None)
