"""When is a network task due? While no user waits, and enough nodes have nothing to do."""

from datetime import datetime, timedelta

from django.db.models import Max

from chain.models import Operation
from chain.operations import OperationKind
from mining.deadlines import ONLINE_S
from mining.models import Assignment, MinerPresence, NetworkNode, NetworkTask
from sessions.models import Task

MIN_NODES = 3
"""With fewer, answers could not be compared."""
THERE_S = 780.0
"""Two minutes less than NodeRoll's PRESENCE, so that who is counted is still there at the draw."""


def is_idle(now: datetime) -> bool:
    """Whether no task waits for miners, and at least `MIN_NODES` that can be drawn do nothing."""
    return not Task.objects.queued().exists() and idle_nodes(now) >= MIN_NODES


def idle_nodes(now: datetime) -> int:
    """How many nodes are online, can be drawn, and work on no user's task."""
    online = MinerPresence.objects.filter(
        last_seen_at__gte=now - timedelta(seconds=ONLINE_S), draining=False
    )
    there = NetworkNode.objects.filter(
        address__in=online.values("address"), pinged_at__gt=now - timedelta(seconds=THERE_S)
    )
    working = Assignment.objects.working().filter(miner__in=there.values("address"))
    return there.count() - working.values("miner").distinct().count()


def last_begun() -> datetime | None:
    """When the latest network task was asked for: by this router, or by whoever it was."""
    asked = Operation.objects.filter(kind=OperationKind.REQUEST_NETWORK_TASK)
    times = [
        asked.aggregate(at=Max("created_at"))["at"],
        NetworkTask.objects.aggregate(at=Max("created_at"))["at"],
    ]
    return max((at for at in times if at is not None), default=None)
