"""A task is accepted once, with its reservation, or refused with nothing changed."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from chain import storage
from chain.models import Operation
from chain.protocol.digests import task_digest
from sessions.access.callers import Caller
from sessions.access.visibility import find_session
from sessions.errors import (
    IdempotencyKeyTaken,
    InsufficientBalance,
    IntakeError,
    InvalidField,
    ModelNotServed,
    NoMiners,
    RouterNotListed,
    SessionInactive,
    SessionNotFound,
    StorageDown,
    TooFewNodes,
    TooManyTasks,
)
from sessions.intake import acceptance
from sessions.intake.options import GRAMMAR_VERSION, BoundGrammar, GenerationOptions
from sessions.intake.prompts import prompt_of
from sessions.intake.reservations import promised_to
from sessions.intake.task_numbers import LANE_SIZE
from sessions.models import (
    ModelPrice,
    OnChainTask,
    Session,
    SessionMode,
    SessionNode,
    SessionRouter,
    SessionState,
    Task,
    TaskOrigin,
    TaskStatus,
)
from tests.sessions.factories import (
    INPUT_PRICE_WEI,
    OUTPUT_PRICE_WEI,
    OWNER,
    STRANGER,
    make_key,
    make_request,
    make_session,
)
from tests.sessions.ports import (
    CONTEXT_LENGTH,
    DEFAULTS,
    MODEL,
    no_miners_online,
    replace_ports,
)

pytestmark = pytest.mark.django_db(transaction=True)

COST_WEI = 3 * INPUT_PRICE_WEI + 8 * OUTPUT_PRICE_WEI
"""What `make_request()` can cost in a session of redundancy 1."""


def test_a_task_is_queued_with_its_reservation_digest_and_content() -> None:
    session = make_session(redundancy=3)
    key, _ = make_key()
    request = make_request(stop=("\n",), temperature_x100=70, client_reference="order 7")
    task = acceptance.accept(request, session=session, api_key=key, request_id="abc")
    task.refresh_from_db()
    assert (task.status, task.origin) == (TaskStatus.QUEUED, TaskOrigin.REST)
    assert task.task_id == LANE_SIZE
    assert task.reserve_wei == 3 * COST_WEI
    assert (task.api_key, task.request_id) == (key, "abc")
    assert storage.get(task.prompt_cid) == b'{"prompt":"two words","stop":["\\n"]}'
    digest = task_digest(
        bytes.fromhex(session.sid[2:]),
        task.task_id,
        f"ipfs://{task.prompt_cid}",
        0,
        "",
        [8, 70, *DEFAULTS.to_words()[2:]],
        [60],
        "order 7",
        3,
    )
    assert task.task_digest == "0x" + digest.hex()


def test_several_tasks_are_taken_together_or_not_at_all() -> None:
    session = make_session(deposited_wei=2 * COST_WEI)
    with pytest.raises(InsufficientBalance):
        acceptance.accept_all([make_request()] * 3, session=session, api_key=None)
    assert not Task.objects.exists()
    assert len(acceptance.accept_all([make_request()] * 2, session=session, api_key=None)) == 2


def test_no_row_is_locked_while_contents_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, right = list[bool](), storage.put_meanwhile

    def watch(content: bytes) -> tuple[str, Any]:
        seen.append(connection.in_atomic_block)
        return right(content)

    monkeypatch.setattr(storage, "put_meanwhile", watch)
    acceptance.accept_all([make_request()] * 2, session=make_session(), api_key=None)
    assert seen == [False, False]


def test_a_maximum_of_tokens_is_cut_to_the_room_that_the_context_has() -> None:
    session = make_session()
    long = make_request(" ".join(["w"] * 60), max_tokens=128)
    task = acceptance.accept(replace(long, idempotency_key="a"), session=session, api_key=None)
    assert task.max_tokens == CONTEXT_LENGTH - 61
    again = acceptance.accept(replace(long, idempotency_key="a"), session=session, api_key=None)
    assert again == task


def test_options_are_bound_by_the_content() -> None:
    options = GenerationOptions(grammar=BoundGrammar('start: "a"'), logit_bias={5: -100})
    task = acceptance.accept(make_request(options=options), session=make_session(), api_key=None)
    assert prompt_of(task).options == options
    assert task.grammar_reader == f"llguidance/{GRAMMAR_VERSION}"


def test_each_task_gets_the_next_number_of_the_routers_lane() -> None:
    session = make_session()
    SessionRouter.objects.filter(session_id=session.session_id).update(index=4)
    ids = [
        acceptance.accept(make_request(), session=session, api_key=None).task_id for _ in range(3)
    ]
    assert ids == [5 * LANE_SIZE, 5 * LANE_SIZE + 1, 5 * LANE_SIZE + 2]


def test_a_router_without_its_database_takes_no_number_twice() -> None:
    session = make_session()
    OnChainTask.objects.create(session_id=session.session_id, task_id=LANE_SIZE + 41)
    task = acceptance.accept(make_request(), session=session, api_key=None)
    assert task.task_id == LANE_SIZE + 42


def test_the_same_request_under_the_same_key_is_the_same_task() -> None:
    session = make_session()
    request = make_request(idempotency_key="a")
    first = acceptance.accept(request, session=session, api_key=None)
    Session.objects.filter(pk=session.pk).update(state=SessionState.INACTIVE)
    again = acceptance.accept(request, session=Session.objects.get(pk=session.pk), api_key=None)
    assert again == first
    assert Task.objects.count() == 1


def test_another_request_under_the_same_key_is_refused() -> None:
    session = make_session()
    request = make_request(idempotency_key="a")
    acceptance.accept(request, session=session, api_key=None)
    with pytest.raises(IdempotencyKeyTaken) as refusal:
        acceptance.accept(replace(request, prompt="two other"), session=session, api_key=None)
    assert (refusal.value.status, refusal.value.field) == (409, "Idempotency-Key")


def test_two_requests_under_one_reference_are_two_tasks_as_on_chain() -> None:
    session = make_session()
    request = make_request(client_reference="my-app")
    asked = [request, request, replace(request, prompt="another")]
    tasks = [acceptance.accept(one, session=session, api_key=None) for one in asked]
    assert len(set(tasks)) == 3
    assert [task.client_reference for task in tasks] == ["my-app"] * 3
    assert len({task.task_digest for task in tasks}) == 3


def test_a_key_does_not_go_on_chain() -> None:
    request = make_request(idempotency_key="a secret of the client's")
    acceptance.accept(request, session=make_session(), api_key=None)
    assert "a secret" not in json.dumps(list(Operation.objects.values()), default=str)


def test_a_key_of_one_session_is_free_in_another() -> None:
    request = make_request(idempotency_key="a")
    tasks = {acceptance.accept(request, session=make_session(), api_key=None) for _ in range(2)}
    assert len(tasks) == 2


def test_a_dedicated_session_takes_tasks_once_it_has_nodes_enough() -> None:
    session = make_session(mode=SessionMode.DEDICATED, redundancy=2)
    for number in range(2):
        with pytest.raises(TooFewNodes, match=f"has {number} and asks 2") as refusal:
            acceptance.accept(make_request(), session=session, api_key=None)
        assert "addDedicatedNode" in refusal.value.remedy
        SessionNode.objects.create(node_id=f"0x{number}", session_id=session.session_id)
    assert acceptance.accept(make_request(), session=session, api_key=None)


def _no_price(session: Session) -> None:
    ModelPrice.objects.all().delete()


def _unknown_model(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(model_identifier=MODEL + 1)


def _inactive(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(state=SessionState.INACTIVE)


def _router_removed(session: Session) -> None:
    SessionRouter.objects.filter(session_id=session.session_id).update(removed=True)


def _no_task_left(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(max_task_execution_count=1, task_count=1)


def _poor(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(deposited_wei=COST_WEI - 1)


def _as_it_is(session: Session) -> None:
    pass


LONG = " ".join(["word"] * CONTEXT_LENGTH)


@pytest.mark.parametrize(
    ("prepare", "request_values", "error", "status", "words"),
    [
        (_no_price, {}, ModelNotServed, 409, "not served"),
        (_unknown_model, {}, ModelNotServed, 409, "not served"),
        (_inactive, {}, SessionInactive, 409, "deactivated"),
        (_router_removed, {}, RouterNotListed, 403, "on its list"),
        (_no_task_left, {}, TooManyTasks, 409, "may run 1 tasks"),
        (_poor, {}, InsufficientBalance, 402, "has 0.000000000000000029 COR (29 wei) free"),
        (_as_it_is, {"prompt": LONG}, InvalidField, 400, f"65 tokens.*{CONTEXT_LENGTH}"),
        (_as_it_is, {"prompt": "unreadable"}, InvalidField, 400, "cannot be read"),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    prepare: Callable[[Session], None],
    request_values: dict[str, Any],
    error: type[IntakeError],
    status: int,
    words: str,
) -> None:
    session = make_session()
    prepare(session)
    session.refresh_from_db()
    with pytest.raises(error) as refusal:
        acceptance.accept(make_request(**request_values), session=session, api_key=None)
    assert refusal.match(words.replace("(", r"\(").replace(")", r"\)"))
    assert refusal.value.status == status
    assert Task.objects.count() == 0
    assert promised_to(session.session_id).wei == 0


def test_a_balance_that_just_suffices_is_enough_for_one_task() -> None:
    session = make_session(deposited_wei=COST_WEI)
    acceptance.accept(make_request(), session=session, api_key=None)
    with pytest.raises(InsufficientBalance) as refusal:
        acceptance.accept(make_request(), session=session, api_key=None)
    assert refusal.value.extra == {"needed_wei": str(COST_WEI), "available_wei": "0"}


def test_a_session_runs_no_more_tasks_than_it_may_with_those_under_way() -> None:
    session = make_session(max_task_execution_count=3, task_count=2)
    acceptance.accept(make_request(), session=session, api_key=None)
    with pytest.raises(TooManyTasks) as refusal:
        acceptance.accept(make_request(), session=session, api_key=None)
    assert "may run 3 tasks and has run 3" in str(refusal.value)


def test_without_any_miner_a_client_is_told_to_come_back(settings: Settings) -> None:
    replace_ports(miners_online=no_miners_online)
    with pytest.raises(NoMiners) as refusal:
        acceptance.accept(make_request(), session=make_session(), api_key=None)
    assert refusal.value.retry_after_s


def test_a_strangers_session_does_not_exist() -> None:
    session = make_session()
    assert find_session(session.session_id, Caller(OWNER)) == session
    messages = set()
    for session_id, owner in [(session.session_id, STRANGER), (10**9, OWNER)]:
        with pytest.raises(SessionNotFound) as refusal:
            find_session(session_id, Caller(owner))
        messages.add(str(refusal.value).replace(str(session_id), "N"))
    assert len(messages) == 1


def test_a_task_that_the_mirror_shows_is_not_counted_twice() -> None:
    session = make_session()
    task = acceptance.accept(make_request(), session=session, api_key=None)
    assert promised_to(session.session_id).wei == COST_WEI
    OnChainTask.objects.create(session_id=task.session_id, task_id=task.task_id)
    assert promised_to(session.session_id).wei == 0


def test_concurrent_intakes_never_overspend() -> None:
    affordable = 5
    session = make_session(deposited_wei=affordable * COST_WEI + 1)
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        try:
            barrier.wait()
            acceptance.accept(make_request(), session=session, api_key=None)
            outcomes.append("taken")
        except InsufficientBalance:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 3 + ["taken"] * affordable
    ids = sorted(Task.objects.values_list("task_id", flat=True))
    assert ids == [LANE_SIZE + n for n in range(affordable)]


def test_concurrent_repetitions_of_a_reference_make_one_task() -> None:
    session = make_session()
    request = make_request(idempotency_key="once")
    ids: list[int] = []
    barrier = threading.Barrier(4)

    def ask() -> None:
        try:
            barrier.wait()
            ids.append(acceptance.accept(request, session=session, api_key=None).task_id)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids == [LANE_SIZE] * 4


def test_a_disk_that_takes_no_prompt_refuses_and_reserves_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    session = make_session()
    settings.STORAGE_DIR = tmp_path / "full"
    settings.STORAGE_DIR.write_text("no folder")
    with pytest.raises(StorageDown) as refusal:
        acceptance.accept(make_request(), session=session, api_key=None)
    assert str(tmp_path) not in refusal.value.detail
    assert Task.objects.count() == Operation.objects.count() == 0
    assert promised_to(session.session_id).wei == 0
    settings.STORAGE_DIR = tmp_path / "blocks"
    task = acceptance.accept(make_request(), session=session, api_key=None)
    assert task.task_id % LANE_SIZE == 0, "the number that was not used is given again"
    assert storage.get(task.prompt_cid) == make_request().content
