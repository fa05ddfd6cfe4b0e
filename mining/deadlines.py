"""Computes a task's steps and when they are due: docs/reference/deadlines.md as pure functions.

Deadlines count from the chain's times, since the contract refuses calls that come too early. A
stage that the chain does not show yet cannot be late. Only the queue's deadline counts from the
router's time.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mining.models import AssignmentStatus
from sessions.models import OnChainStatus, TaskStatus

ACK_WINDOW_S = 10
ONLINE_S = 10.0
"""A miner is online if its last heartbeat is at most this old."""
GRACE_WINDOW_S = 300
"""The contract's window after the deadlines of the queue and of the precommits.

In this window only an oracle can end the stage. Until it does, the contract accepts late
assignments and precommits.
"""
COMMIT_WINDOW_S = 3600
VERDICT_WINDOW_S = 3600
"""The contract's longest commit and verdict stages, which bridge an outage.

Normally these stages end as soon as all reveals or the verdict have arrived.
"""
CHOICE_WINDOW_S = 5
"""The shortest time that an oracle has to choose a late miner's replacement."""
DRAW_PERIOD_S = 4
WORK_S = 5.0
"""No replacement is drawn if less than this time is left for its work."""
GRACE_S = 1.0
"""Added to the contract's deadlines: the chain's time is that of its latest block, which lags this
machine's clock by up to a block."""
ASK_AGAIN_S = 5.0
"""How long after a request to reveal it is repeated."""
REACT_WITHIN_S = 2.0
"""How long the process `react` has to ask for reveals before the oracle does."""
MAX_DEATHS = 2
"""After so many deaths of nodes, of one node or of several, a task is not leased again.

After so many deaths of the validator, a task is judged without the validator's own work.
"""
VALIDATE_AGAIN_S = 30.0
"""A validation that has not finished after this long is requested again."""


class Step(enum.Enum):
    """The oracle's steps for a task or one of its slots. The values say why a step is due."""

    GIVE_UP = "no miner was free before the queue's deadline"
    SWITCH_SOURCE = "the miner whose stream the client follows has fallen silent"
    FOLLOW = "the chain shows changes that the router did not make"
    REPLACE = "a slot's miner is late"
    TRY_ALONE = "a node died on the task, which gets a second try, alone on its node"
    DROP = "a node died on the task, which other nodes have survived"
    REFUSE = "nodes died on the task, and it is not leased again"
    DRAW = "a miner is late, and the oracle's time to choose a replacement has passed"
    END_PRECOMMIT = "the precommit phase has passed its deadline"
    ASK_REVEAL = "a slot's miner may reveal"
    END_COMMIT = "the commit phase has passed its deadline"
    VALIDATE = "no more answers can arrive"
    END_TASK = "the task cannot go on"


@dataclass(frozen=True)
class Slot:
    """A place of a task and the miner that holds it. `assigned_at` is the time on chain."""

    assignment_id: UUID
    position: int
    status: AssignmentStatus
    assigned_at: datetime | None
    acked: bool
    precommitted_on_chain: bool = False
    reveal_asked_at: datetime | None = None
    announced_at: datetime | None = None
    """When the client was told to follow this miner's stream. The slot with the latest time is the
    live one."""
    heard_of_at: datetime | None = None
    """When the miner sent its last heartbeat."""
    deaths: int = 0
    """How many times the miner's process died while it worked on the task."""
    alone: bool = False
    """Whether the miner has to run the task without other jobs beside it."""

    @property
    def works(self) -> bool:
        return self.status in _AT_WORK


@dataclass(frozen=True)
class Holder:
    """A miner that holds a place on chain and has not precommitted, on chain or to the router."""

    miner: str
    assigned_at: datetime


@dataclass(frozen=True)
class OnChain:
    """The state of a task in the mirror."""

    status: OnChainStatus
    created_at: datetime
    assigned_at: datetime | None = None
    precommit_ended_at: datetime | None = None
    commit_ended_at: datetime | None = None


@dataclass(frozen=True)
class Situation:
    """The facts that decide a task's steps. `chain` is None if the mirror lacks the task."""

    status: TaskStatus
    created_at: datetime
    timeout_s: int
    chain: OnChain | None
    slots: tuple[Slot, ...] = ()
    validation_asked_at: datetime | None = None
    holders: tuple[Holder, ...] = ()
    behind: bool = False
    """Whether the assignments are behind the mirror: see `chain_catch_up`."""
    deaths: tuple[int, ...] = ()
    """The numbers of deaths, for each miner that died on the task, replaced miners included."""


@dataclass(frozen=True)
class Action:
    """A step and when it is due.

    Args:
        at: when the step becomes due.
        step: the step.
        assignment_id: the assignment that the step concerns, if it concerns one.
        until: when it is too late for the step, or None if it is never too late.
        miner: the miner that the step concerns, if the router may have no assignment of it.
    """

    at: datetime
    step: Step
    assignment_id: UUID | None = None
    until: datetime | None = None
    miner: str = ""


def due(situation: Situation, now: datetime) -> list[Action]:
    """Return the actions that are due now, the earliest first."""
    return [
        action
        for action in agenda(situation)
        if action.at <= now and (action.until is None or now < action.until)
    ]


def agenda(situation: Situation) -> list[Action]:
    """Return the actions that are due now or become due if nothing changes, the earliest first."""
    return sorted(_agenda(situation), key=lambda action: action.at)


def live_slot(slots: Sequence[Slot]) -> Slot | None:
    """Return the live slot, whose stream the client follows, or None."""
    announced = [slot for slot in slots if slot.announced_at is not None]
    return max(announced, key=lambda slot: (slot.announced_at, slot.position), default=None)


def successor(slots: Sequence[Slot]) -> Slot | None:
    """Return the slot whose stream can replace the live one, or None if there is none.

    It is the slot that has come furthest. Its text is the same, since all miners of a task sample
    by the same rule.
    """
    live = live_slot(slots)
    able = [
        slot
        for slot in slots
        if slot is not live and slot.status in _CAN_BE_LIVE and slot.announced_at is None
    ]
    return max(able, key=lambda slot: _CAN_BE_LIVE.index(slot.status), default=None)


def ack_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Return until when a miner has to ack; later it can be replaced."""
    return assigned_at + timedelta(seconds=min(ACK_WINDOW_S, timeout_s // 4))


def lease_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Return until when a miner has to precommit; later it can be replaced."""
    return assigned_at + timedelta(seconds=timeout_s // 2)


def choice_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Return until when an oracle may choose a late miner's replacement.

    After that, anyone may have the contract draw the replacement.
    """
    window = max(timeout_s // 8, CHOICE_WINDOW_S)
    return assigned_at + timedelta(seconds=timeout_s // 2 + window)


def draw_opening(assigned_at: datetime, timeout_s: int) -> datetime:
    """Return when anyone may have the contract draw a late miner's replacement.

    It is the start of the draw period that follows the choice deadline.
    """
    period = int(choice_deadline(assigned_at, timeout_s).timestamp()) // DRAW_PERIOD_S + 1
    return datetime.fromtimestamp(period * DRAW_PERIOD_S, assigned_at.tzinfo)


def _agenda(situation: Situation) -> Iterator[Action]:
    timeout = timedelta(seconds=situation.timeout_s)
    grace = timedelta(seconds=GRACE_S)
    chain = situation.chain
    if situation.status == TaskStatus.QUEUED:
        yield Action(situation.created_at + timeout, Step.GIVE_UP)
    elif situation.status in (TaskStatus.ASSIGNED, TaskStatus.ACKED):
        yield from _switch(situation)
    if situation.deaths and not situation.status.is_final:
        yield from _after_deaths(situation)
    if chain is None:
        return
    if situation.behind and not situation.status.is_final:
        yield Action(chain.assigned_at or chain.created_at, Step.FOLLOW)
    if chain.status == OnChainStatus.QUEUED:
        wait = timedelta(seconds=GRACE_WINDOW_S if _is_assigned_here(situation) else 0)
        yield Action(chain.created_at + timeout + wait + grace, Step.END_TASK)
    elif chain.status in (OnChainStatus.ASSIGNED, OnChainStatus.ACKED) and chain.assigned_at:
        wait = timedelta(seconds=GRACE_WINDOW_S if _precommit_on_its_way(situation) else 0)
        yield Action(chain.assigned_at + timeout + wait + grace, Step.END_PRECOMMIT)
        if not situation.status.is_final and sum(situation.deaths) < MAX_DEATHS:
            yield from _replacements(situation, until=chain.assigned_at + timeout)
            yield from _draws(situation, until=chain.assigned_at + timeout)
    elif chain.status == OnChainStatus.PRECOMMITTED and chain.precommit_ended_at:
        window = timedelta(seconds=COMMIT_WINDOW_S)
        yield Action(chain.precommit_ended_at + window + grace, Step.END_COMMIT)
        yield from _reveals(situation, chain.precommit_ended_at)
    elif chain.status == OnChainStatus.COMMITTED and chain.commit_ended_at:
        window = timedelta(seconds=VERDICT_WINDOW_S)
        yield Action(chain.commit_ended_at + window + grace, Step.END_TASK)
        yield from _validation(situation, chain.commit_ended_at)


def _is_assigned_here(situation: Situation) -> bool:
    """Return whether the router has assigned a task that is still queued on chain."""
    return situation.status not in (TaskStatus.QUEUED, TaskStatus.FAILED)


def _precommit_on_its_way(situation: Situation) -> bool:
    """Return whether the router has a precommit that the chain does not show yet."""
    return any(
        slot.status in _HAS_ANSWERED and not slot.precommitted_on_chain for slot in situation.slots
    )


def _switch(situation: Situation) -> Iterator[Action]:
    live = live_slot(situation.slots)
    if live is None or live.status not in _MAY_BE_LATE or successor(situation.slots) is None:
        return
    if live.status == AssignmentStatus.FAILED:
        yield Action(situation.created_at, Step.SWITCH_SOURCE, live.assignment_id)
    elif live.heard_of_at is not None:
        silent_at = live.heard_of_at + timedelta(seconds=ONLINE_S)
        yield Action(silent_at, Step.SWITCH_SOURCE, live.assignment_id)


def _after_deaths(situation: Situation) -> Iterator[Action]:
    """Yield the actions after deaths of nodes on a task.

    A task gets one more try if no other miner works on it, and none after MAX_DEATHS deaths. A
    single miner cannot cause the refusal of a task that other miners still work on.
    """
    at = situation.created_at
    dead = [slot for slot in situation.slots if slot.works and slot.deaths]
    untouched = [slot for slot in situation.slots if slot.works and not slot.deaths]
    if sum(situation.deaths) < MAX_DEATHS:
        if not untouched:
            yield from (
                Action(at, Step.TRY_ALONE, slot.assignment_id) for slot in dead if not slot.alone
            )
    elif any(slot.status in _IS_HARMLESS for slot in situation.slots):
        yield from (Action(at, Step.DROP, slot.assignment_id) for slot in dead)
    elif len(situation.deaths) > 1 or not untouched:
        yield Action(at, Step.REFUSE)
    else:
        yield from (Action(at, Step.DROP, slot.assignment_id) for slot in dead)


def _replacements(situation: Situation, until: datetime) -> Iterator[Action]:
    for slot in situation.slots:
        if slot.assigned_at is None or slot.status not in _MAY_BE_LATE:
            continue
        deadline = lease_deadline if slot.acked else ack_deadline
        at = deadline(slot.assigned_at, situation.timeout_s) + timedelta(seconds=GRACE_S)
        last = choice_deadline(slot.assigned_at, situation.timeout_s) - timedelta(seconds=GRACE_S)
        if at < min(until, last):
            yield Action(at, Step.REPLACE, slot.assignment_id, last)


def _draws(situation: Situation, until: datetime) -> Iterator[Action]:
    last = until - timedelta(seconds=WORK_S)
    for holder in situation.holders:
        opening = draw_opening(holder.assigned_at, situation.timeout_s)
        at = opening + timedelta(seconds=GRACE_S)
        if at < last:
            yield Action(at, Step.DRAW, until=last, miner=holder.miner)


def _reveals(situation: Situation, precommit_ended_at: datetime) -> Iterator[Action]:
    missing = [
        slot
        for slot in situation.slots
        if slot.status == AssignmentStatus.PRECOMMITTED and slot.precommitted_on_chain
    ]
    for slot in missing:
        asked = slot.reveal_asked_at
        wait_s = ASK_AGAIN_S if asked else REACT_WITHIN_S
        at = (asked or precommit_ended_at) + timedelta(seconds=wait_s)
        yield Action(at, Step.ASK_REVEAL, slot.assignment_id)
    if not missing:
        yield from _validation(situation, precommit_ended_at)


def _validation(situation: Situation, since: datetime) -> Iterator[Action]:
    revealed = any(slot.status == AssignmentStatus.REVEALED for slot in situation.slots)
    if revealed and not situation.status.is_final and situation.status != TaskStatus.VALIDATED:
        asked = situation.validation_asked_at
        at = asked + timedelta(seconds=VALIDATE_AGAIN_S) if asked else since
        yield Action(at, Step.VALIDATE)


_HAS_ANSWERED = (AssignmentStatus.PRECOMMITTED, AssignmentStatus.REVEALED)
_MAY_BE_LATE = (AssignmentStatus.LEASED, AssignmentStatus.ACKED, AssignmentStatus.FAILED)
_AT_WORK = (AssignmentStatus.LEASED, AssignmentStatus.ACKED)
_IS_HARMLESS = (
    AssignmentStatus.PRECOMMITTED,
    AssignmentStatus.REVEALED,
    AssignmentStatus.JUDGED,
)
"""The states that prove that a miner has run the task and survived."""
_CAN_BE_LIVE = (
    AssignmentStatus.ACKED,
    AssignmentStatus.PRECOMMITTED,
    AssignmentStatus.REVEALED,
)
"""The states of a slot that can become the live one, in order of progress."""
