"""The state machine of an assignment."""

import itertools

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mining.assignment.states import TRANSITIONS, IllegalTransition, advance
from mining.models import Assignment, AssignmentStatus
from tests.mining.conftest import later, make_account, make_task

pytestmark = pytest.mark.django_db


def make_assignment(status):
    now = timezone.now()
    return Assignment.objects.create(
        task=make_task(),
        miner=make_account().address,
        position=0,
        status=status,
        ack_deadline_at=now,
        lease_deadline_at=now,
    )


@pytest.mark.parametrize(("start", "to"), itertools.product(AssignmentStatus, repeat=2))
def test_only_what_the_table_has_is_possible(start, to):
    assignment = make_assignment(start)
    if start == to:
        assert not advance(assignment, to, timezone.now())
    elif to in TRANSITIONS[start]:
        assert advance(assignment, to, timezone.now())
    else:
        with pytest.raises(IllegalTransition, match=f"is {start}"):
            advance(assignment, to, timezone.now())
        to = start
    assignment.refresh_from_db()
    assert assignment.status == to


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(AssignmentStatus), max_size=8))
def test_no_order_of_steps_leads_back(db, steps):
    assignment = make_assignment(AssignmentStatus.LEASED)
    seen = [AssignmentStatus.LEASED]
    for step in steps:
        try:
            if advance(assignment, step, later(0)):
                seen.append(step)
        except IllegalTransition:
            pass
    assert len(set(seen)) == len(seen)
