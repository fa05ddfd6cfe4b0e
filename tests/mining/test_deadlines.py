"""A task's steps and when they are due."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.deadlines import (
    ACK_WINDOW_S,
    ASK_AGAIN_S,
    CHOICE_WINDOW_S,
    COMMIT_WINDOW_S,
    DRAW_PERIOD_S,
    GRACE_S,
    GRACE_WINDOW_S,
    ONLINE_S,
    REACT_WITHIN_S,
    VALIDATE_AGAIN_S,
    VERDICT_WINDOW_S,
    WORK_S,
    Holder,
    OnChain,
    Situation,
    Slot,
    Step,
    agenda,
    due,
)
from mining.models import AssignmentStatus as A
from sessions.models import OnChainStatus as C
from sessions.models import TaskStatus as T

START = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT_S = 60


def at(seconds):
    return START + timedelta(seconds=seconds)


def slot(status, position=0, *, acked=None, **values):
    return Slot(
        assignment_id=UUID(int=position),
        position=position,
        status=status,
        assigned_at=values.pop("assigned_at", START),
        acked=status != A.LEASED if acked is None else acked,
        **values,
    )


def situation(status, chain=None, *slots, **values):
    return Situation(status, START, TIMEOUT_S, chain, tuple(slots), **values)


def assigned(**values):
    return OnChain(C.ASSIGNED, created_at=START, assigned_at=START, **values)


def revealing(status=C.PRECOMMITTED, **values):
    return OnChain(status, START, START, precommit_ended_at=START, **values)


PRECOMMITTED = {"precommitted_on_chain": True}

DECISIONS = {
    "a queued task is given up when its queue is over": (
        situation(T.QUEUED),
        [(TIMEOUT_S, Step.GIVE_UP)],
    ),
    "what waits on chain only is refunded after the contract's own deadline": (
        situation(T.FAILED, OnChain(C.QUEUED, START)),
        [(TIMEOUT_S + GRACE_S, Step.END_TASK)],
    ),
    "what is assigned here is not refunded while the chain may still take the assignment": (
        situation(T.ASSIGNED, OnChain(C.QUEUED, START), slot(A.LEASED, assigned_at=None)),
        [(TIMEOUT_S + GRACE_WINDOW_S + GRACE_S, Step.END_TASK)],
    ),
    "nothing is late that the chain does not show": (
        situation(T.ASSIGNED, None, slot(A.LEASED, assigned_at=None)),
        [],
    ),
    "a slot that the chain does not show yet is not late": (
        situation(T.ASSIGNED, assigned(), slot(A.LEASED, assigned_at=None)),
        [(TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT)],
    ),
    "who has not acked is replaced after the ack's deadline, who has after the lease's": (
        situation(T.ACKED, assigned(), slot(A.LEASED, 0), slot(A.ACKED, 1)),
        [
            (ACK_WINDOW_S + GRACE_S, Step.REPLACE),
            (TIMEOUT_S / 2 + GRACE_S, Step.REPLACE),
            (TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT),
        ],
    ),
    "who gave up keeps its place as long as the contract says": (
        situation(T.ACKED, assigned(), slot(A.FAILED, 0, acked=False), slot(A.FAILED, 1)),
        [
            (ACK_WINDOW_S + GRACE_S, Step.REPLACE),
            (TIMEOUT_S / 2 + GRACE_S, Step.REPLACE),
            (TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT),
        ],
    ),
    "who is still there when the oracle's choice counts no more is replaced by a draw": (
        situation(T.ACKED, assigned(), slot(A.ACKED), holders=(Holder("0x1", START),)),
        [
            (TIMEOUT_S / 2 + GRACE_S, Step.REPLACE),
            # 5/8 of the timeout are 37.5 s; the next period of four seconds begins at 40.
            (40 + GRACE_S, Step.DRAW),
            (TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT),
        ],
    ),
    "what was done without the router is taken over first": (
        situation(T.ACKED, revealing(), slot(A.LEASED, **PRECOMMITTED), behind=True),
        [(0, Step.FOLLOW), (COMMIT_WINDOW_S + GRACE_S, Step.END_COMMIT)],
    ),
    "a task that has failed here follows nobody": (
        situation(T.FAILED, assigned(), slot(A.LEASED), behind=True),
        [(TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT)],
    ),
    "who has precommitted is not replaced": (
        situation(T.ACKED, assigned(), slot(A.PRECOMMITTED, **PRECOMMITTED)),
        [(TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT)],
    ),
    "a precommit that is on its way is waited for as long as the contract takes it": (
        situation(
            T.ACKED, assigned(), slot(A.PRECOMMITTED, 0), slot(A.PRECOMMITTED, 1, **PRECOMMITTED)
        ),
        [(TIMEOUT_S + GRACE_WINDOW_S + GRACE_S, Step.END_PRECOMMIT)],
    ),
    "a task that has failed here is only ended on chain": (
        situation(T.FAILED, assigned(), slot(A.LEASED)),
        [(TIMEOUT_S + GRACE_S, Step.END_PRECOMMIT)],
    ),
    "the client listens to another miner when its own falls silent": (
        situation(
            T.ACKED,
            None,
            slot(A.ACKED, 0, announced_at=START, heard_of_at=at(5)),
            slot(A.ACKED, 1, heard_of_at=at(8)),
        ),
        [(5 + ONLINE_S, Step.SWITCH_SOURCE)],
    ),
    "the client listens to another miner at once when its own gives up": (
        situation(
            T.ACKED,
            None,
            slot(A.FAILED, 0, announced_at=START, heard_of_at=at(5)),
            slot(A.PRECOMMITTED, 1, heard_of_at=at(8)),
        ),
        [(0, Step.SWITCH_SOURCE)],
    ),
    "the client does not listen to who has already been listened to": (
        situation(
            T.ACKED,
            None,
            slot(A.ACKED, 0, announced_at=START),
            slot(A.ACKED, 1, announced_at=at(5), heard_of_at=at(5)),
        ),
        [],
    ),
    "reveals that nobody has asked for are asked for soon, and again": (
        situation(
            T.PRECOMMITTED,
            revealing(),
            slot(A.PRECOMMITTED, 0, **PRECOMMITTED),
            slot(A.PRECOMMITTED, 1, **PRECOMMITTED, reveal_asked_at=START),
        ),
        [
            (REACT_WITHIN_S, Step.ASK_REVEAL),
            (ASK_AGAIN_S, Step.ASK_REVEAL),
            (COMMIT_WINDOW_S + GRACE_S, Step.END_COMMIT),
        ],
    ),
    "whose precommit the chain does not have is not asked": (
        situation(T.PRECOMMITTED, revealing(), slot(A.PRECOMMITTED, 0), slot(A.REVEALED, 1)),
        [(0, Step.VALIDATE), (COMMIT_WINDOW_S + GRACE_S, Step.END_COMMIT)],
    ),
    "validation starts when everyone has revealed, and again when it seems lost": (
        situation(T.COMMITTED, revealing(), slot(A.REVEALED), validation_asked_at=at(1)),
        [(1 + VALIDATE_AGAIN_S, Step.VALIDATE), (COMMIT_WINDOW_S + GRACE_S, Step.END_COMMIT)],
    ),
    "after the commits, who has revealed is judged even if others have not": (
        situation(
            T.PRECOMMITTED,
            revealing(C.COMMITTED, commit_ended_at=at(61)),
            slot(A.REVEALED, 0),
            slot(A.PRECOMMITTED, 1, **PRECOMMITTED),
        ),
        [(61, Step.VALIDATE), (61 + VERDICT_WINDOW_S + GRACE_S, Step.END_TASK)],
    ),
    "a task that is validated waits for its verdicts on chain": (
        situation(T.VALIDATED, revealing(C.COMMITTED, commit_ended_at=START), slot(A.JUDGED)),
        [(VERDICT_WINDOW_S + GRACE_S, Step.END_TASK)],
    ),
    "a task that has ended on chain needs nothing": (
        situation(T.VALIDATED, revealing(C.ENDED, commit_ended_at=START), slot(A.JUDGED)),
        [],
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decision(name):
    given_situation, expected = DECISIONS[name]
    actions = agenda(given_situation)
    assert [(action.at, action.step) for action in actions] == [
        (at(seconds), step) for seconds, step in expected
    ]


def test_what_is_due_is_the_part_of_the_agenda_that_lies_behind():
    case = situation(T.ACKED, assigned(), slot(A.LEASED, 0), slot(A.ACKED, 1))
    assert due(case, at(ACK_WINDOW_S)) == []
    assert [a.step for a in due(case, at(ACK_WINDOW_S + GRACE_S))] == [Step.REPLACE]
    assert len(due(case, at(TIMEOUT_S / 2 + GRACE_S))) == 2
    # The oracle's choice counts for a while only.
    assert [a.step for a in due(case, at(3600))] == [Step.END_PRECOMMIT]


@pytest.mark.parametrize("timeout_s", [10, 16, 20, 30, 60, 3600])
def test_whatever_the_timeout_a_late_miner_can_be_replaced_in_time(timeout_s):
    case = Situation(T.ACKED, START, timeout_s, assigned(), (slot(A.LEASED), slot(A.ACKED, 1)))
    replacements = [action for action in agenda(case) if action.step is Step.REPLACE]
    assert len(replacements) == 2
    for action in replacements:
        assert action.until - action.at >= timedelta(seconds=3), "three blocks of a second"
        assert action.at < at(timeout_s * 3 / 4), "and a quarter of the time for the work"


slots = st.builds(
    slot,
    st.sampled_from(A),
    st.integers(0, 15),
    assigned_at=st.none() | st.just(START),
    precommitted_on_chain=st.booleans(),
    reveal_asked_at=st.none() | st.just(START),
    announced_at=st.none() | st.just(START),
    heard_of_at=st.none() | st.just(START),
)
times = st.none() | st.integers(0, 100).map(at)
situations = st.builds(
    Situation,
    st.sampled_from(T),
    st.just(START),
    st.integers(5, 3600),
    st.none()
    | st.builds(
        OnChain,
        st.sampled_from(C),
        st.just(START),
        assigned_at=times,
        precommit_ended_at=times,
        commit_ended_at=times,
    ),
    st.lists(slots, max_size=16, unique_by=lambda s: s.position).map(tuple),
    times,
    st.lists(st.builds(Holder, st.just("0x1"), st.integers(0, 100).map(at)), max_size=3).map(tuple),
    st.booleans(),
)


@given(situations)
def test_no_step_comes_earlier_than_the_contract_accepts_it(case):
    for action in agenda(case):
        chain = case.chain
        match action.step:
            case Step.END_PRECOMMIT:
                assert action.at > chain.assigned_at + timedelta(seconds=case.timeout_s)
            case Step.END_COMMIT:
                assert action.at > chain.precommit_ended_at + timedelta(seconds=COMMIT_WINDOW_S)
            case Step.REPLACE:
                (late,) = [s for s in case.slots if s.assignment_id == action.assignment_id]
                assert late.status in (A.LEASED, A.ACKED, A.FAILED)
                least = min(ACK_WINDOW_S, case.timeout_s // 4)
                assert action.at > late.assigned_at + timedelta(seconds=least)
                assert action.until <= late.assigned_at + choice(case.timeout_s)
            case Step.DRAW:
                opening = [
                    holder.assigned_at + choice(case.timeout_s)
                    for holder in case.holders
                    if holder.miner == action.miner
                ]
                assert action.at > min(opening)
                assert action.at.timestamp() % DRAW_PERIOD_S == GRACE_S
                deadline = chain.assigned_at + timedelta(seconds=case.timeout_s)
                assert action.until <= deadline - timedelta(seconds=WORK_S)


def choice(timeout_s):
    return timedelta(seconds=timeout_s // 2 + max(timeout_s // 8, CHOICE_WINDOW_S))


@given(situations)
def test_a_task_that_is_open_on_chain_always_has_an_end_in_sight(case):
    chain = case.chain
    complete = (
        chain is not None
        and {
            C.QUEUED: True,
            C.ASSIGNED: chain.assigned_at,
            C.ACKED: chain.assigned_at,
            C.PRECOMMITTED: chain.precommit_ended_at,
            C.COMMITTED: chain.commit_ended_at,
            C.ENDED: None,
        }[chain.status]
        is not None
    )
    if complete:
        ends = {Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK}
        assert ends & {action.step for action in agenda(case)}
