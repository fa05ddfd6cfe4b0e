"""Operations are stored in the transaction that causes them, and wake the sender on commit."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from chain import operations
from chain.models import Operation, OperationStatus
from chain.postgres.wakeup import Listener, notify
from chain.sending import outbox

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_operation_is_its_key() -> None:
    for _ in range(2):
        outbox.enqueue(operations.end_task(3, 1_000_000))
    operation = Operation.objects.get()
    assert operation.key == "end_task:3:1000000"
    assert operation.payload == {"session_id": 3, "task_id": 1_000_000}


def test_of_several_those_that_are_known_are_left_alone_and_failed_ones_tried_again() -> None:
    done, failed, new = (operations.end_task(3, number) for number in (1, 2, 3))
    outbox.enqueue(done, failed)
    Operation.objects.filter(key=done.key).update(status=OperationStatus.CONFIRMED)
    Operation.objects.filter(key=failed.key).update(status=OperationStatus.FAILED)
    outbox.enqueue(new, failed, done)
    assert list(Operation.objects.values_list("key", "status")) == [
        (done.key, OperationStatus.CONFIRMED),
        (failed.key, OperationStatus.PENDING),
        (new.key, OperationStatus.PENDING),
    ]


def test_it_is_taken_back_with_its_transaction() -> None:
    with transaction.atomic():
        outbox.enqueue(operations.end_task(3, 1))
        transaction.set_rollback(True)
    assert not Operation.objects.exists()


def test_a_failed_one_is_tried_again_after_a_while() -> None:
    outbox.enqueue(operations.end_task(3, 1))
    Operation.objects.update(status=OperationStatus.FAILED, attempts=5, error="TooEarly()")
    outbox.enqueue(operations.end_task(3, 1))
    operation = Operation.objects.get()
    assert (operation.status, operation.attempts, operation.error) == ("pending", 0, "")
    assert operation.due_at > timezone.now() + timedelta(seconds=outbox.REOPEN_AFTER_S - 2)


def test_one_that_is_done_is_left_alone() -> None:
    outbox.enqueue(operations.end_task(3, 1))
    Operation.objects.update(status=OperationStatus.CONFIRMED)
    outbox.enqueue(operations.end_task(3, 1))
    assert Operation.objects.get().status == OperationStatus.CONFIRMED


def test_the_listener_is_woken_by_the_commit_and_not_before() -> None:
    with Listener([outbox.CHANNEL, "another"]) as listener:
        with transaction.atomic():
            outbox.enqueue(operations.end_task(3, 1))
            assert listener.wait(0.2) == set()
        assert listener.wait(5) == {outbox.CHANNEL}
        notify("another")
        assert listener.wait(5) == {"another"}
        assert listener.wait(0.05) == set()


def test_a_listener_whose_connection_broke_looks_at_everything_and_goes_on() -> None:
    with Listener(["outbox", "another"]) as listener:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%%' AND pid <> pg_backend_pid()"
            )
        assert listener.wait(5) == {"outbox", "another"}
        notify("another")
        assert listener.wait(5) == {"another"}
