"""Finds tasks by pairs of session and task numbers."""

import pytest
from django.db import connection
from django.db.models import Q

from sessions.models import Task, numbered
from tests.mining.conftest import make_session, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def crossed():
    """Tasks of two sessions with the same task numbers, as every router's lanes have them."""
    first, second = make_session(), make_session()
    return [
        make_task(session, task_id=task_id)
        for session in (first, second)
        for task_id in (1_000_001, 1_000_002)
    ]


def test_only_the_very_pairs_are_found(crossed):
    wanted = {(task.session_id, task.task_id) for task in (crossed[0], crossed[3])}
    assert set(Task.objects.filter(numbered(wanted))) == {crossed[0], crossed[3]}
    assert set(Task.objects.exclude(numbered(wanted))) == {crossed[1], crossed[2]}
    both = numbered(wanted) | Q(pk=crossed[1].pk)
    assert set(Task.objects.open().filter(both)) == {crossed[0], crossed[1], crossed[3]}


def test_no_pairs_find_nothing(crossed):
    assert not Task.objects.filter(numbered(set())).exists()


def test_the_pairs_are_looked_up_in_the_index():
    session = make_session()
    first = make_task(session)
    Task.objects.bulk_create(
        Task(
            session_id=session.session_id + number % 50,
            task_id=2_000_000 + number,
            task_digest="0x",
            origin="rest",
            task_data="",
            inline=True,
            max_tokens=1,
            max_input_tokens=1,
            model_identifier=1,
        )
        for number in range(5_000)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {Task._meta.db_table}")
    plan = Task.objects.filter(numbered({(first.session_id, first.task_id)})).explain()
    assert "task_identity" in plan
    assert "Seq Scan" not in plan
