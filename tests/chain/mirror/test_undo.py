"""The cost of a fork depends on the rows that it touches, not on the length of the history."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chain.following.sync import Follower
from chain.mirror import projections, undo
from chain.models import BeforeImage, Block, StoredBatch
from chain.rpc.client import Rpc
from sessions.models import OnChainTask, Session
from tests.anvil import Chain
from tests.chain.following.test_sync import follow, submit
from tests.chain.mirror_rows import mirror, rebuilt_mirror

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork must not fall back to a rebuild from all events."""

    def fail(_: Any) -> None:
        raise AssertionError("rebuilt")

    monkeypatch.setattr(projections, "rebuild", fail)


@pytest.fixture
def follower(chain: Chain) -> Follower:
    return Follower(Rpc(chain.url), chain.deployment)


@pytest.mark.parametrize("depth", [1, 5, 64])
def test_a_fork_restores_the_rows_that_it_orphans(
    chain: Chain, follower: Follower, no_rebuild: None, depth: int
) -> None:
    kept, touched = chain.open_session(), chain.open_session()
    submit(chain, kept, "stays")
    follow(follower)
    before = mirror()
    for number in range(depth):
        submit(chain, touched, f"undone {number}")
        if number % 3 == 0:
            follow(follower)
    follow(follower)
    assert OnChainTask.objects.count() == 1 + depth
    chain.rpc("anvil_reorg", depth, [])
    follow(follower)
    assert mirror() == before


def test_a_fork_inside_a_batch_keeps_what_the_batch_has_below_it(
    chain: Chain, follower: Follower, no_rebuild: None
) -> None:
    session_id = chain.open_session()
    follow(follower)
    submit(chain, session_id, "stays")
    submit(chain, session_id, "undone")
    follow(follower)  # both in one batch
    assert StoredBatch.objects.order_by("-last_block")[0].first_block < chain.w3.eth.block_number
    chain.rpc("anvil_reorg", 1, [])
    follow(follower)
    assert [task.task_data for task in OnChainTask.objects.all()] == ["stays"]
    # It can be undone again, further down.
    chain.rpc("anvil_reorg", 2, [])
    follow(follower)
    assert not OnChainTask.objects.exists()


def test_the_work_does_not_grow_with_the_history(
    chain: Chain, follower: Follower, no_rebuild: None
) -> None:
    session_id = chain.open_session()
    costs = []
    for history in (2, 40):
        for number in range(history):
            submit(chain, session_id, f"history {number}")
        follow(follower)
        submit(chain, session_id, "undone")
        follow(follower)
        chain.rpc("anvil_reorg", 1, [])
        with CaptureQueriesContext(connection) as queries:
            follower.step()
        costs.append(len(queries))
        follow(follower)
    assert costs[0] == costs[1]
    last = StoredBatch.objects.order_by("-last_block")[0]
    assert not last.images.exists()


def test_what_lies_too_deep_is_rebuilt_from_the_events(
    chain: Chain, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "UNDO_BLOCKS", 2)
    session_id = chain.open_session()
    submit(chain, session_id, "stays")
    follow(follower)
    for number in range(6):
        submit(chain, session_id, f"undone {number}")
        follow(follower)
    assert StoredBatch.objects.count() <= 3
    chain.rpc("anvil_reorg", 6, [])
    follow(follower)
    assert [task.task_data for task in OnChainTask.objects.all()] == ["stays"]
    assert mirror() == rebuilt_mirror()


def test_images_of_another_schema_are_not_used(chain: Chain, follower: Follower) -> None:
    session_id = chain.open_session()
    follow(follower)
    submit(chain, session_id, "undone")
    follow(follower)
    BeforeImage.objects.update(rows=[{"session_id": session_id}])  # columns that are new are null
    chain.rpc("anvil_reorg", 1, [])
    follow(follower)
    assert Session.objects.get(pk=session_id).name == "test"
    assert not OnChainTask.objects.exists()


def test_old_images_are_forgotten(
    chain: Chain, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "UNDO_BLOCKS", 5)
    chain.open_session()
    for _ in range(12):
        chain.mine()
        follow(follower)
    last = Block.objects.order_by("-number")[0].number
    assert min(StoredBatch.objects.values_list("last_block", flat=True)) == last - 5
