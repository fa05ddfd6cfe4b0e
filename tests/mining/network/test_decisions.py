"""The next step of a network task follows from the chain's state."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mining.network.decisions import (
    Action,
    Completer,
    Plan,
    Request,
    Session,
    Situation,
    State,
    Step,
    is_open,
    plan,
)

NODES = ("0xa", "0xb", "0xc")
REQUEST = Request(
    number=4, asked=0, closed=False, deadline=1_060, draw_block=0, seed=9, session=0, creators=NODES
)
SESSION = Session(
    number=2,
    seed=9,
    state=State.CREATE,
    deadline=1_090,
    domain="arithmetic",
    subdomain="addition",
    preparers=NODES,
    turn=1,
    prompt="What is 2 + 2?",
    completers=(),
)
COMPLETERS = (
    Completer("0xa", precommitted=True, committed=True),
    Completer("0xb", precommitted=True, committed=False),
    Completer("0xc", precommitted=False, committed=False),
)


def at(
    request: Request | None = REQUEST, session: Session | None = None, *, block: int = 7
) -> Situation:
    return Situation(block, 1_000, request, session)


def session(state: State, completers: Sequence[Completer] = COMPLETERS) -> Situation:
    return at(replace(REQUEST, session=2), replace(SESSION, state=state, completers=completers))


def test_a_task_is_requested_only_while_all_are_idle_and_none_is_under_way() -> None:
    closed = at(replace(REQUEST, closed=True))
    for situation in (at(None), closed):
        assert not is_open(situation)
        assert plan(situation, 1_000, is_idle=True) == Plan((Action(Step.REQUEST),))
        assert plan(situation, 1_000, is_idle=False) == Plan()
    assert plan(at(), 1_000, is_idle=True).actions == (Action(Step.ASK_CREATE, "0xa"),)


def test_creators_are_drawn_once_the_seeds_block_is_there() -> None:
    drawing = replace(REQUEST, draw_block=8, creators=())
    assert plan(at(drawing, block=7), 1_000, is_idle=False) == Plan(look_at=1_001)
    assert plan(at(drawing, block=8), 1_000, is_idle=False).actions == (Action(Step.NEXT_CREATOR),)


def test_a_late_creators_turn_goes_to_the_next_one() -> None:
    assert plan(at(), 1_060, is_idle=False).look_at == 1_061
    assert plan(at(), 1_061, is_idle=False) == Plan((Action(Step.NEXT_CREATOR),))


def test_each_stage_asks_those_whose_part_is_missing() -> None:
    expected = {
        State.CREATE: [Action(Step.ASK_PREPARE, "0xb")],
        State.PREPARE: [Action(Step.START)],
        State.START: [Action(Step.ASK_COMPLETE, "0xc")],
        State.PRECOMMIT: [Action(Step.ASK_REVEAL, "0xb")],
        State.COMMIT: [Action(Step.JUDGE)],
    }
    for state, actions in expected.items():
        planned = plan(session(state), 1_090, is_idle=True)
        assert list(planned.actions) == actions
        assert planned.look_at == 1_091


def test_a_late_stage_is_forced_on_whichever_it_is() -> None:
    for state in (State.CREATE, State.PREPARE, State.START, State.PRECOMMIT, State.COMMIT):
        assert plan(session(state), 1_091, is_idle=True) == Plan((Action(Step.FORCE),))


@given(
    state=st.sampled_from([s for s in State if s not in (State.REQUEST, State.END)]),
    now=st.integers(0, 3_000),
    parts=st.lists(st.sampled_from([(False, False), (True, False), (True, True)]), max_size=5),
)
def test_nothing_is_asked_after_the_deadline_and_nothing_forced_before(
    state: State, now: int, parts: list[tuple[bool, bool]]
) -> None:
    completers = [Completer(f"0x{n}", *part) for n, part in enumerate(parts)]
    planned = plan(session(state, completers), now, is_idle=True)
    steps = {action.step for action in planned.actions}
    assert (Step.FORCE in steps) == (now > SESSION.deadline)
    assert Step.FORCE not in steps or steps == {Step.FORCE}
    asked = [action.node for action in planned.actions if action.node]
    assert len(asked) == len(set(asked))
    # In every state there is an action now, or a time for the next look.
    assert planned.actions or (planned.look_at or 0) > now
