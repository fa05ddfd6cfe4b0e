"""Queries that are compiled once and run often."""

import pytest
from django.db import transaction
from django.db.models import BigIntegerField, CharField, Count, QuerySet, Sum
from django.db.transaction import TransactionManagementError

from chain import operations
from chain.models import Block, Operation
from chain.postgres.prepared import Parameter, Prepared, totals
from chain.sending import outbox

pytestmark = pytest.mark.django_db


def above(number: int | Parameter) -> "QuerySet[Block]":
    return Block.objects.filter(number__gt=number).order_by("number")


@pytest.fixture(autouse=True)
def blocks(django_db_setup: None, db: None) -> None:
    Block.objects.bulk_create(
        Block(number=number, hash=f"0x{number}", parent_hash="0x", timestamp="2026-01-01T00:00Z")
        for number in range(5)
    )


def test_it_is_written_once_and_asked_with_any_values() -> None:
    written: list[Parameter] = []

    def write() -> "QuerySet[Block, tuple[int, str]]":
        written.append(Parameter("number", BigIntegerField()))
        return above(written[-1]).values_list("number", "hash")

    prepared = Prepared(write)
    for number in (3, 1, 9, 3):
        assert prepared.rows(number=number) == list(above(number).values_list("number", "hash"))
    assert len(written) == 1


def test_a_whole_object_is_the_one_that_the_query_gives_first() -> None:
    prepared = Prepared(lambda: above(Parameter("number", BigIntegerField())))
    found = prepared.first(number=2)
    assert found == Block.objects.get(number=3)
    assert found is not None
    assert found.timestamp == Block.objects.get(number=3).timestamp
    assert prepared.first(number=4) is None


def test_a_whole_object_has_its_fields_own_types_and_can_be_saved() -> None:
    outbox.enqueue(operations.end_task(3, 1))
    prepared = Prepared(lambda: Operation.objects.filter(key=Parameter("key", CharField())))
    found, meant = prepared.first(key="end_task:3:1"), Operation.objects.get()
    assert found is not None
    values = [
        (getattr(each, f.attname) for f in Operation._meta.concrete_fields)
        for each in (found, meant)
    ]
    assert list(values[0]) == list(values[1])
    found.attempts = 4
    found.save()
    assert Operation.objects.get().attempts == 4


@pytest.mark.django_db(transaction=True)
def test_rows_are_locked_within_a_transaction_only() -> None:
    prepared = Prepared(lambda: Block.objects.select_for_update().filter(number=1))
    with transaction.atomic():
        assert prepared.first() is not None
    with pytest.raises(TransactionManagementError):
        prepared.first()


def test_totals_are_one_row_even_of_nothing() -> None:
    prepared = Prepared(
        lambda: totals(
            above(Parameter("number", BigIntegerField())), sum=Sum("number"), count=Count("number")
        )
    )
    assert prepared.rows(number=2) == [(7, 2)]
    assert prepared.rows(number=4) == [(None, 0)]


def test_a_value_that_is_not_given_is_missed() -> None:
    with pytest.raises(KeyError, match="number"):
        Prepared(lambda: above(Parameter("number", BigIntegerField()))).rows()
