"""Decides what a network task needs next. Pure: maps the chain's state to actions.

Deadlines are those of the chain, in Unix seconds. The contract accepts work until a deadline. After
it anyone can force the session to its next stage.
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
    """A request for a virtual block.

    Args:
        number: the number of the request.
        asked: the index of the creator whose turn it is.
        closed: whether the request has ended.
        deadline: until when the creator may create a session.
        draw_block: the block whose hash the seed is made of. It is 0 once the seed is known.
        seed: the seed.
        session: the number of the session, or 0 while there is none.
        creators: the drawn creators.
    """

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
    """A network task. `turn` is the index of the preparer whose turn it is."""

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
    """The chain's state at one block: the latest request and its session.

    `time` is the block's time, in Unix seconds.
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
    """A step, with the node that is asked, if any."""

    step: Step
    node: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do now, and when to look again if nothing happens before (Unix seconds)."""

    actions: tuple[Action, ...] = ()
    look_at: int | None = None


def is_open(situation: Situation) -> bool:
    """Tell whether a network task, or a request for one, is in progress."""
    return situation.request is not None and not situation.request.closed


def plan(situation: Situation, now: int, *, is_idle: bool) -> Plan:
    """Return what the open network task needs now.

    If there is none and `is_idle` is true, the plan is to request one.

    Args:
        situation: the chain's state.
        now: the time, in Unix seconds.
        is_idle: whether a network task is due.
    """
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
        # A transaction in the next block can read this block's hash.
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
