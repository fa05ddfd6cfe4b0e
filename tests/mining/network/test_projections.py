"""The chain's events as rows of network tasks, nodes' records and rewards."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.mirror import projections
from chain.mirror.records import EventRecord
from mining.models import (
    NetworkCredit,
    NetworkEpoch,
    NetworkNode,
    NetworkPart,
    NetworkRole,
    NetworkTask,
    NetworkTaskState,
)
from tests.mining.test_projections import AT, MINER, OPERATOR, OTHER, event

pytestmark = pytest.mark.django_db


def a_round() -> list[EventRecord]:
    ids = {"id": 1}
    return [
        event("Cognitive", "NodePinged", 0, node=MINER),
        event("Cognitive", "SessionCreated", 1, **ids, addr=MINER),
        event("Cognitive", "SessionPrepareAssigned", 2, **ids, addr=OTHER),
        event("Cognitive", "SessionPrepared", 3, **ids, addr=OTHER),
        event("Cognitive", "SessionStarted", 4, **ids, startTimestamp=5, addrs=[MINER, OTHER]),
        event("Cognitive", "SessionPrecommitted", 5, **ids, addr=MINER),
        event("Cognitive", "SessionAllPrecommitted", 6, **ids, addrs=[MINER], forceEnd=True),
        event("Cognitive", "SessionCommitted", 7, **ids, addr=MINER),
        event("Cognitive", "SessionAllCommitted", 8, **ids, addrs=[MINER]),
        event("Cognitive", "SessionJudged", 9, **ids, validator=OPERATOR, accuraciesBps=[9_000, 0]),
        event("Cognitive", "SessionEnded", 10, **ids, endTimestamp=9),
        event("NodeStats", "OutcomeRecorded", 11, node=MINER, passed=0xF8, failed=0, elapsed=1),
        event("NodeStats", "OutcomeRecorded", 12, node=OTHER, passed=8, failed=16, elapsed=0),
        event("NetworkRewards", "EpochOpened", 13, epoch=7, budget=10**20),
        event("NetworkRewards", "PointsEarned", 14, epoch=7, node=MINER, points=2_000),
        event("NetworkRewards", "PointsEarned", 15, epoch=7, node=MINER, points=9_000),
        event("NetworkRewards", "PointsEarned", 16, epoch=7, node=OTHER, points=3_000),
        event("NetworkRewards", "RewardPaid", 17, epoch=7, node=MINER, amount=10**19),
        event("NetworkRewards", "EpochReleased", 18, epoch=7, amount=3),
    ]


def rows() -> list[object]:
    models = (NetworkTask, NetworkPart, NetworkNode, NetworkEpoch, NetworkCredit)
    ignored = {"id"}
    return [
        sorted(
            tuple((k, str(v)) for k, v in row.items() if k not in ignored)
            for row in model._default_manager.values()
        )
        for model in models
    ]


def test_a_task_shows_its_stages_and_what_its_answers_are_worth() -> None:
    projections.apply(a_round())
    task = NetworkTask.objects.get(pk=1)
    assert task.state == NetworkTaskState.ENDED
    assert task.completers == [MINER.lower(), OTHER.lower()]
    assert (task.accuracies_bps, task.validator) == ([9_000, 0], OPERATOR.lower())
    times = (task.created_at, task.started_at, task.precommitted_at, task.committed_at)
    assert {*times, task.judged_at, task.ended_at} == {AT}
    late = NetworkPart.objects.get(node=OTHER.lower(), role=NetworkRole.COMPLETER)
    assert (late.asked_at, late.done_at, late.revealed_at) == (AT, None, None)


def test_a_nodes_record_counts_answers_and_what_it_missed() -> None:
    projections.apply(a_round())
    good, late = (NetworkNode.objects.get(pk=node.lower()) for node in (MINER, OTHER))
    assert (good.pinged_at, good.right_answers, good.missed_parts) == (AT, 1, 0)
    assert (late.right_answers, late.wrong_answers, late.missed_parts) == (0, 0, 1)


def test_points_add_up_and_become_pay() -> None:
    projections.apply(a_round())
    epoch = NetworkEpoch.objects.get(pk=7)
    assert (epoch.budget_wei, epoch.points) == (10**20, 14_000)
    assert (epoch.paid_wei, epoch.released_wei) == (10**19, 3)
    paid, open_ = (NetworkCredit.objects.get(node=node.lower()) for node in (MINER, OTHER))
    assert (paid.points, paid.paid_wei, paid.paid_at) == (11_000, 10**19, AT)
    assert (open_.points, open_.paid_at) == (3_000, None)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 18), max_size=5))
def test_the_rows_are_the_same_in_whatever_batches_the_events_come(cuts: list[int]) -> None:
    events = a_round()
    projections.rebuild(events)
    expected = rows()
    projections.rebuild([])
    borders = [0, *sorted(cuts), len(events)]
    for start, end in itertools.pairwise(borders):
        projections.apply(events[start:end])
    assert rows() == expected
