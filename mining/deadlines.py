"""What has to happen to a task, and when: docs/reference/deadlines.md as a pure function.

Deadlines count from the chain's own times, since the contract refuses what comes too early. What
the chain does not show yet cannot be late: only the queue's deadline is the router's own.
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
"""A miner that was not heard of for this long is taken for gone."""
GRACE_WINDOW_S = 300
"""After the queue's deadline, and the precommits': only an oracle can end the stage, and until it
does, assignments and precommits that are late are accepted."""
COMMIT_WINDOW_S = 3600
VERDICT_WINDOW_S = 3600
"""Both stages end by themselves when all is there; these say how long an outage may last."""
CHOICE_WINDOW_S = 5
"""What an oracle has for choosing a late miner's successor, at least."""
DRAW_PERIOD_S = 4
WORK_S = 5.0
"""A place is not drawn for when less than this is left for the work."""
GRACE_S = 1.0
"""The chain's clock is its latest block's: it lags this machine's by up to a block."""
ASK_AGAIN_S = 5.0
"""A reveal that was asked for and has not come is asked for again after this long."""
REACT_WITHIN_S = 2.0
"""How long who hears of the chain's news has to ask for reveals, before the oracle does."""
MAX_DEATHS = 2
"""A task that so many nodes died with, or one so many times, is not given out again. One that the
validator died with so many times is judged without the validator's own work."""
VALIDATE_AGAIN_S = 30.0
"""A validation that has not finished is taken for lost after this long."""


class Step(enum.Enum):
    """What the oracle does to a task or, where it says so, to one of its slots."""

    GIVE_UP = "no miner was free before the queue's deadline"
    SWITCH_SOURCE = "the miner that the client listens to has fallen silent"
    FOLLOW = "the chain has what was done without the router"
    REPLACE = "a slot's miner is late"
    TRY_ALONE = "a node died with the task, which gets one more try with a node to itself"
    DROP = "a node died with the task, which others have done"
    REFUSE = "nodes died with the task, and it is not given out again"
    DRAW = "a miner is late, and the choice of its successor is nobody's any more"
    END_PRECOMMIT = "the precommit phase has passed its deadline"
    ASK_REVEAL = "a slot's miner may reveal"
    END_COMMIT = "the commit phase has passed its deadline"
    VALIDATE = "every answer that can come is there"
    END_TASK = "the task cannot go on"


@dataclass(frozen=True)
class Slot:
    """A place of a task and the miner that holds it. `assigned_at` is the chain's time."""

    assignment_id: UUID
    position: int
    status: AssignmentStatus
    assigned_at: datetime | None
    acked: bool
    precommitted_on_chain: bool = False
    reveal_asked_at: datetime | None = None
    announced_at: datetime | None = None
    """When its stream was made the live one; the latest of a task's slots is it."""
    heard_of_at: datetime | None = None
    deaths: int = 0
    """How often the miner's process died with it."""
    alone: bool = False
    """Whether the miner was given it, or given it again, with a node to itself."""

    @property
    def works(self) -> bool:
        return self.status in _AT_WORK


@dataclass(frozen=True)
class Holder:
    """Who holds a place by the chain's word and has precommitted neither there nor here."""

    miner: str
    assigned_at: datetime


@dataclass(frozen=True)
class OnChain:
    """A task as the mirror has it."""

    status: OnChainStatus
    created_at: datetime
    assigned_at: datetime | None = None
    precommit_ended_at: datetime | None = None
    commit_ended_at: datetime | None = None


@dataclass(frozen=True)
class Situation:
    """All that decides what is due for a task. `chain` is None while the mirror lacks it."""

    status: TaskStatus
    created_at: datetime
    timeout_s: int
    chain: OnChain | None
    slots: tuple[Slot, ...] = ()
    validation_asked_at: datetime | None = None
    holders: tuple[Holder, ...] = ()
    behind: bool = False
    """Whether the mirror shows what the assignments do not: see `chain_catch_up`."""
    deaths: tuple[int, ...] = ()
    """How often each miner's process died with the task: of all that had it, also the replaced."""


@dataclass(frozen=True)
class Action:
    """A step, the time from which on it is due and, if it has one, the time when it is too late.

    What a step is done to is named by `assignment_id` or, where the router may have no assignment
    of that miner in place, by `miner`.
    """

    at: datetime
    step: Step
    assignment_id: UUID | None = None
    until: datetime | None = None
    miner: str = ""


def due(situation: Situation, now: datetime) -> list[Action]:
    """What has to be done now, the earliest first."""
    return [
        action
        for action in agenda(situation)
        if action.at <= now and (action.until is None or now < action.until)
    ]


def agenda(situation: Situation) -> list[Action]:
    """What has to be done now or, if nothing else happens, later; the earliest first."""
    return sorted(_agenda(situation), key=lambda action: action.at)


def live_slot(slots: Sequence[Slot]) -> Slot | None:
    """The slot whose miner the client listens to."""
    announced = [slot for slot in slots if slot.announced_at is not None]
    return max(announced, key=lambda slot: (slot.announced_at, slot.position), default=None)


def successor(slots: Sequence[Slot]) -> Slot | None:
    """The slot that can be listened to in place of the live one: the furthest that is at work.

    It says the same text, by the same rule of sampling.
    """
    live = live_slot(slots)
    able = [
        slot
        for slot in slots
        if slot is not live and slot.status in _CAN_BE_LIVE and slot.announced_at is None
    ]
    return max(able, key=lambda slot: _CAN_BE_LIVE.index(slot.status), default=None)


def ack_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Until when a miner may ack before its place can be given away."""
    return assigned_at + timedelta(seconds=min(ACK_WINDOW_S, timeout_s // 4))


def lease_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Until when a miner may precommit before its place can be given away."""
    return assigned_at + timedelta(seconds=timeout_s // 2)


def choice_deadline(assigned_at: datetime, timeout_s: int) -> datetime:
    """Until when an oracle may choose a late miner's successor; then anyone may have it drawn."""
    window = max(timeout_s // 8, CHOICE_WINDOW_S)
    return assigned_at + timedelta(seconds=timeout_s // 2 + window)


def draw_opening(assigned_at: datetime, timeout_s: int) -> datetime:
    """From when on anyone may have a late miner's successor drawn: the next period's beginning."""
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
    """Whether miners work whose assignment the chain does not show yet."""
    return situation.status not in (TaskStatus.QUEUED, TaskStatus.FAILED)


def _precommit_on_its_way(situation: Situation) -> bool:
    """Whether an answer is there whose precommit the chain does not show yet: it is waited for."""
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
    """One more try when nobody else works on it; after two deaths none.

    One miner alone cannot have a task refused that others still work on.
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
    *(AssignmentStatus.PRECOMMITTED, AssignmentStatus.REVEALED, AssignmentStatus.JUDGED),
)
"""Somebody has done it and lived."""
_CAN_BE_LIVE = (
    *(AssignmentStatus.ACKED, AssignmentStatus.PRECOMMITTED, AssignmentStatus.REVEALED),
)
