"""What a network task needs next. Pure: the chain's state goes in, actions come out.

Deadlines are the chain's own, in Unix seconds: work is taken up to one, and a stage can be forced
on after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class State(IntEnum):
    """The last stage that a session has passed, by the contract's numbers."""

    REQUEST = 0
    CREATE = 1
    PREPARE = 2
    START = 3
    PRECOMMIT = 4
    COMMIT = 5
    END = 6


@dataclass(frozen=True)
class Request:
    """A request for a virtual block. `asked` is the place of the creator whose turn it is;
    `draw_block` the block that the seed is made of, 0 once it is known; `session` 0 while there
    is none."""

    number: int
    asked: int
    closed: bool
    deadline: int
    draw_block: int
    seed: int
    session: int
    creators: Sequence[str]


@dataclass(frozen=True)
class Completer:
    """A node that was drawn to answer."""

    node: str
    precommitted: bool
    committed: bool


@dataclass(frozen=True)
class Session:
    """A network task. `turn` is the place of the preparer whose turn it is."""

    number: int
    seed: int
    state: State
    deadline: int
    domain: str
    subdomain: str
    preparers: Sequence[str]
    turn: int
    prompt: str
    completers: Sequence[Completer]


@dataclass(frozen=True)
class Situation:
    """What the chain says at one block: the latest request, and the session that it led to.

    `time` is the block's, in Unix seconds.
    """

    block: int
    time: int
    request: Request | None
    session: Session | None


class Step(StrEnum):
    """What can be done for a network task."""

    REQUEST = "request"
    NEXT_CREATOR = "next_creator"
    ASK_CREATE = "ask_create"
    ASK_PREPARE = "ask_prepare"
    START = "start"
    ASK_COMPLETE = "ask_complete"
    ASK_REVEAL = "ask_reveal"
    JUDGE = "judge"
    FORCE = "force"


@dataclass(frozen=True)
class Action:
    """A step, and the node that it asks."""

    step: Step
    node: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do now, and when there is something to do even if nothing happens (Unix seconds)."""

    actions: tuple[Action, ...] = ()
    look_at: int | None = None


def is_open(situation: Situation) -> bool:
    """Whether a network task, or a request for one, is under way."""
    return situation.request is not None and not situation.request.closed


def plan(situation: Situation, now: int, *, is_idle: bool) -> Plan:
    """What a network task needs at a time, or that one is to be requested while all are idle."""
    request, session = situation.request, situation.session
    if request is None or request.closed:
        return Plan((Action(Step.REQUEST),)) if is_idle else Plan()
    if session is None:
        return _for_request(request, situation.block, now)
    if now > session.deadline:
        return Plan((Action(Step.FORCE),))
    return Plan(tuple(_for_session(session)), look_at=session.deadline + 1)


def _for_request(request: Request, block: int, now: int) -> Plan:
    if request.draw_block:
        # The next block's transactions see the hash of this one.
        if block >= request.draw_block:
            return Plan((Action(Step.NEXT_CREATOR),))
        return Plan(look_at=now + 1)
    if now > request.deadline:
        return Plan((Action(Step.NEXT_CREATOR),))
    creator = request.creators[request.asked]
    return Plan((Action(Step.ASK_CREATE, creator),), look_at=request.deadline + 1)


def _for_session(session: Session) -> list[Action]:
    match session.state:
        case State.CREATE:
            return [Action(Step.ASK_PREPARE, session.preparers[session.turn])]
        case State.PREPARE:
            return [Action(Step.START)]
        case State.START:
            return [
                Action(Step.ASK_COMPLETE, completer.node)
                for completer in session.completers
                if not completer.precommitted
            ]
        case State.PRECOMMIT:
            return [
                Action(Step.ASK_REVEAL, completer.node)
                for completer in session.completers
                if completer.precommitted and not completer.committed
            ]
        case State.COMMIT:
            return [Action(Step.JUDGE)]
        case _:
            return []
