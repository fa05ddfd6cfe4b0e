"""No order of events reserves more than a session's balance."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions.errors import InsufficientBalance, cor
from sessions.intake import acceptance
from sessions.intake.prices import TokenPrice, worst_case_wei
from sessions.intake.reservations import promised_to
from sessions.models import OnChainTask, Session, Task
from tests.sessions.factories import make_request, make_session
from tests.sessions.mirror_rows import apply, event

WEI = st.integers(0, 2**200)


@given(
    price=st.builds(TokenPrice, WEI, WEI),
    redundancy=st.integers(1, 16),
    inputs=st.integers(0, 2**32),
    outputs=st.integers(0, 2**32),
    used=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_worst_case_covers_every_payment(
    price: TokenPrice, redundancy: int, inputs: int, outputs: int, used: tuple[float, float]
) -> None:
    reserve = worst_case_wei(
        price, redundancy=redundancy, max_input_tokens=inputs, max_tokens=outputs
    )
    paid = int(inputs * used[0]) * price.input_wei + int(outputs * used[1]) * price.output_wei
    assert redundancy * paid <= reserve


@given(WEI)
def test_an_amount_in_cor_is_exact(wei: int) -> None:
    whole, _, fraction = cor(wei).partition(".")
    assert int(whole) * 10**18 + int(fraction.ljust(18, "0") or 0) == wei
    assert not fraction.endswith("0")


@dataclass
class Escrow:
    """The contract's books for one session, and the submissions that are under way to it."""

    session_id: int
    balance: int = 0
    reserved: dict[int, int] = field(default_factory=dict)
    under_way: list[Task] = field(default_factory=list)

    def deposit(self, amount: int) -> None:
        self.balance += amount
        apply(event("SessionPayment", "SessionDeposited", self._ids() | {"amount": amount}))

    def land(self, task: Task) -> None:
        if task.reserve_wei > self.balance:
            return
        self.balance -= int(task.reserve_wei)
        self.reserved[task.task_id] = int(task.reserve_wei)
        ids = self._ids() | {"taskId": task.task_id}
        submitted = {"taskData": "", "clientReference": ""}
        apply(
            event("Session", "TaskSubmitted", ids | submitted),
            event("SessionPayment", "TaskReserved", ids | reserved(int(task.reserve_wei))),
        )

    def settle(self, task_id: int, share: float) -> None:
        reserved = self.reserved.pop(task_id)
        paid = int(reserved * share)
        self.balance += reserved - paid
        ids = self._ids() | {"taskId": task_id}
        apply(
            event(
                "SessionPayment",
                "TaskSettled",
                ids | settled(paid) | {"refunded": reserved - paid},
            )
        )

    def _ids(self) -> dict[str, int]:
        return {"sessionId": self.session_id}


def settled(paid: int) -> dict[str, Any]:
    return {"payments": [int("11" * 20, 16) << 96 | paid]}


def reserved(amount: int) -> dict[str, Any]:
    return {"taskDigest": "0x" + "22" * 32, "terms": 0, "amount": amount}


STEP = st.one_of(
    st.tuples(st.just("deposit"), st.integers(0, 200)),
    st.tuples(st.just("ask"), st.integers(1, 40)),
    st.tuples(st.just("land"), st.integers(0, 9)),
    st.tuples(st.just("settle"), st.floats(0, 1)),
)


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, max_size=25))
def test_promises_never_pass_the_balance(steps: list[tuple[str, int | float]]) -> None:
    session = make_session(deposited_wei=0)
    escrow = Escrow(session.session_id)
    for name, value in steps:
        match name:
            case "deposit":
                escrow.deposit(int(value))
            case "ask":
                free = escrow.balance - sum(int(task.reserve_wei) for task in escrow.under_way)
                request = make_request(max_tokens=int(value))
                cost = 3 * 2 + int(value) * 3
                if cost <= free:
                    escrow.under_way.append(
                        acceptance.accept(request, session=session, api_key=None)
                    )
                else:
                    with pytest.raises(InsufficientBalance):
                        acceptance.accept(request, session=session, api_key=None)
            case "land" if escrow.under_way:
                escrow.land(escrow.under_way.pop(int(value) % len(escrow.under_way)))
            case "settle" if escrow.reserved:
                escrow.settle(next(iter(escrow.reserved)), float(value))
        row = Session.objects.get(pk=session.pk)
        pending = promised_to(session.session_id).wei
        assert row.balance_wei == escrow.balance
        assert row.balance_wei >= pending == sum(int(t.reserve_wei) for t in escrow.under_way)
        assert int(row.reserved_wei) == sum(escrow.reserved.values())
    settled = OnChainTask.objects.filter(session_id=session.session_id)
    assert sum(int(t.paid_wei) for t in settled) == int(Session.objects.get(pk=session.pk).paid_wei)
