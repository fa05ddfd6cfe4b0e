"""A snapshot of the network as JSON, for the dashboard.

It contains public metadata only: no prompts, no results and no keys. Amounts are in wei, as decimal
strings, since JSON numbers are exact only up to 2^53. The number of queries does not depend on the
number of rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Sum
from django.utils import timezone

from chain.models import Block
from mining.deadlines import ONLINE_S
from mining.models import (
    Assignment,
    MinerPresence,
    MinerResult,
    NetworkEpoch,
    NetworkTask,
    Node,
    NodeState,
)
from sessions.models import OnChainTask, Session, Task, TaskStatus
from sessions.stages.task_states import TIMESTAMPS

RECENT_TASKS = 20
RECENT_SESSIONS = 20
RECENT_NETWORK_TASKS = 8
MAX_MINERS = 200
STAGES = [status for status in TaskStatus if status != TaskStatus.FAILED]


@dataclass(frozen=True)
class TaskRef:
    """The identity of a task."""

    session_id: int
    task_id: int


@dataclass(frozen=True)
class BlockView:
    """The latest block in the mirror."""

    number: int
    at: datetime


@dataclass(frozen=True)
class Totals:
    """The escrow, in wei: deposited = balances + reserved + owed + withdrawn."""

    deposited: str
    balances: str
    reserved: str
    owed: str
    withdrawn: str


@dataclass(frozen=True)
class MinerView:
    """A miner, as described by the chain and its last heartbeat."""

    address: str
    state: str
    online: bool
    last_seen_at: datetime | None
    reputation: int
    owed_wei: str
    withdrawn_wei: str
    tokens_per_s: float
    slots: int
    in_flight: int


@dataclass(frozen=True)
class SessionView:
    """A session and its balance."""

    session_id: int
    name: str
    owner: str
    active: bool
    redundancy: int
    balance_wei: str
    reserved_wei: str


@dataclass(frozen=True)
class PartView:
    """One miner's part in one task."""

    miner: str
    status: str
    accuracy_bps: int | None
    output_tokens: int | None
    paid_wei: str
    failure: str


@dataclass(frozen=True)
class SettlementView:
    """A task's money on chain. Until the task is settled, `tx` is empty and `at` is None."""

    reserved_wei: str
    paid_wei: str
    refunded_wei: str
    tx: str
    at: datetime | None


@dataclass(frozen=True)
class TaskView:
    """A task. `recent` is false for a task that is included only because the request named it.

    Outcomes and failures are given as codes, since a miner's error message may quote the prompt.
    """

    session_id: int
    task_id: int
    status: str
    outcome_code: str
    stages: dict[str, datetime | None]
    miners: list[PartView]
    settlement: SettlementView | None
    recent: bool


@dataclass(frozen=True)
class NetworkTaskView:
    """A network task. Once it is judged, `accepted` is the number of answers worth anything."""

    number: int
    state: str
    completers: int
    accepted: int | None
    created_at: datetime | None


@dataclass(frozen=True)
class Snapshot:
    """Everything that the dashboard shows."""

    latest_block: BlockView | None
    totals: Totals
    miners: list[MinerView]
    sessions: list[SessionView]
    tasks: list[TaskView]
    network_tasks: list[NetworkTaskView]
    network_paid_wei: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values. The JSON encoder turns times into ISO strings."""
        return asdict(self)


def take_snapshot(followed: TaskRef | None = None) -> Snapshot:
    """Take a snapshot of the network. It includes the followed task, whatever its age."""
    now = timezone.now()
    block = Block.objects.order_by("-number").first()
    return Snapshot(
        latest_block=BlockView(number=block.number, at=block.timestamp) if block else None,
        totals=_totals(),
        miners=_miners(now),
        sessions=[_session(row) for row in Session.objects.all()[:RECENT_SESSIONS]],
        tasks=_tasks(followed),
        network_tasks=_network_tasks(),
        network_paid_wei=str(
            NetworkEpoch.objects.aggregate(paid=Sum("paid_wei", default=0))["paid"]
        ),
    )


def _network_tasks() -> list[NetworkTaskView]:
    return [
        NetworkTaskView(
            number=task.number,
            state=task.state,
            completers=len(task.completers),
            accepted=sum(worth > 0 for worth in task.accuracies_bps) if task.judged_at else None,
            created_at=task.created_at,
        )
        for task in NetworkTask.objects.order_by("-number")[:RECENT_NETWORK_TASKS]
    ]


def _totals() -> Totals:
    sessions = Session.objects.aggregate(
        deposited=Sum("deposited_wei", default=0),
        withdrawn=Sum("withdrawn_wei", default=0),
        reserved=Sum("reserved_wei", default=0),
        paid=Sum("paid_wei", default=0),
    )
    nodes = Node.objects.aggregate(
        earned=Sum("earned_wei", default=0), withdrawn=Sum("withdrawn_wei", default=0)
    )
    deposited, withdrawn, reserved, paid = (
        int(sessions[name]) for name in ("deposited", "withdrawn", "reserved", "paid")
    )
    earned, collected = int(nodes["earned"]), int(nodes["withdrawn"])
    return Totals(
        deposited=str(deposited),
        balances=str(deposited - withdrawn - reserved - paid),
        reserved=str(reserved),
        owed=str(earned - collected),
        withdrawn=str(withdrawn + collected),
    )


def _miners(now: datetime) -> list[MinerView]:
    addresses = _shown_miners()
    nodes = Node.objects.in_bulk(addresses)
    presences = MinerPresence.objects.in_bulk(addresses)
    views = [
        _miner(address, nodes.get(address), presences.get(address), now) for address in addresses
    ]
    return sorted(views, key=lambda view: (not view.online, -view.reputation, view.address))


def _shown_miners() -> list[str]:
    """Return the miners to show: those seen most recently, then those registered most recently."""
    heard = MinerPresence.objects.order_by(F("last_seen_at").desc(nulls_last=True), "address")
    known = list(heard.values_list("address", flat=True)[:MAX_MINERS])
    others = Node.objects.exclude(address__in=known).order_by(
        F("registered_at").desc(nulls_last=True), "address"
    )
    return known + list(others.values_list("address", flat=True)[: MAX_MINERS - len(known)])


def _miner(
    address: str, node: Node | None, presence: MinerPresence | None, now: datetime
) -> MinerView:
    node = node or Node(address=address)
    presence = presence or MinerPresence(address=address)
    seen_at = presence.last_seen_at
    return MinerView(
        address=address,
        state=NodeState(node.state).label.lower(),
        online=seen_at is not None and now - seen_at <= timedelta(seconds=ONLINE_S),
        last_seen_at=seen_at,
        reputation=node.reputation,
        owed_wei=str(node.owed_wei),
        withdrawn_wei=str(node.withdrawn_wei),
        tokens_per_s=presence.tokens_per_s,
        slots=presence.slots,
        in_flight=presence.in_flight,
    )


def _session(row: Session) -> SessionView:
    return SessionView(
        session_id=row.session_id,
        name=row.name,
        owner=row.owner,
        active=row.is_active,
        redundancy=row.redundancy,
        balance_wei=str(row.balance_wei),
        reserved_wei=str(row.reserved_wei),
    )


def _tasks(followed: TaskRef | None) -> list[TaskView]:
    recent = list(Task.objects.order_by("-id")[:RECENT_TASKS])
    asked_for = _missing(recent, followed)
    rows = recent + asked_for
    if not rows:
        return []
    parts: dict[int, list[Assignment]] = {row.pk: [] for row in rows}
    for part in Assignment.objects.filter(task__in=rows).order_by("position", "leased_at"):
        parts[part.task_id].append(part)
    these = _identities(rows)
    on_chain = {_key(row): row for row in OnChainTask.objects.filter(these)}
    paid = {(*_key(row), row.miner): row.paid_wei for row in MinerResult.objects.filter(these)}
    return [
        TaskView(
            session_id=row.session_id,
            task_id=row.task_id,
            status=row.status,
            outcome_code=row.outcome_code,
            stages={stage.value: getattr(row, TIMESTAMPS[stage]) for stage in STAGES},
            miners=[_part(part, paid.get((*_key(row), part.miner), 0)) for part in parts[row.pk]],
            settlement=_settlement(on_chain.get(_key(row))),
            recent=row not in asked_for,
        )
        for row in rows
    ]


def _missing(recent: Sequence[Task], followed: TaskRef | None) -> list[Task]:
    if followed is None or any(
        _key(row) == (followed.session_id, followed.task_id) for row in recent
    ):
        return []
    return list(Task.objects.filter(session_id=followed.session_id, task_id=followed.task_id))


def _identities(rows: Iterable[Task]) -> Q:
    """Return a condition that selects the mirror's rows of these tasks, by their numbers."""
    by_session: dict[int, list[int]] = {}
    for row in rows:
        by_session.setdefault(row.session_id, []).append(row.task_id)
    condition = Q()
    for session_id, task_ids in by_session.items():
        condition |= Q(session_id=session_id, task_id__in=task_ids)
    return condition


def _key(row: Task | OnChainTask | MinerResult) -> tuple[int, int]:
    return row.session_id, row.task_id


def _part(part: Assignment, paid_wei: int) -> PartView:
    return PartView(
        miner=part.miner,
        status=part.status,
        accuracy_bps=part.accuracy_bps,
        output_tokens=part.output_tokens,
        paid_wei=str(paid_wei),
        failure=part.failure_code,
    )


def _settlement(row: OnChainTask | None) -> SettlementView | None:
    if row is None:
        return None
    return SettlementView(
        reserved_wei=str(row.reserved_wei),
        paid_wei=str(row.paid_wei),
        refunded_wei=str(row.refunded_wei),
        tx=row.end_tx,
        at=row.ended_at,
    )
