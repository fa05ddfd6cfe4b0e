"""One process leads at a time."""

import psycopg
import pytest
from django.db import connection

from chain.postgres.leadership import Leadership

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_leads_until_it_lets_go() -> None:
    first, second = Leadership("test"), Leadership("test")
    try:
        assert first.held()
        assert not second.held()
        assert Leadership("something else").held()
        first.release()
        assert second.held()
        assert not first.held()
    finally:
        first.release()
        second.release()


def test_who_loses_its_connection_leads_no_more() -> None:
    first, second = Leadership("test"), Leadership("test")
    try:
        assert first.held()
        held_by = first._connection
        assert isinstance(held_by, psycopg.Connection)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [held_by.info.backend_pid])
        assert second.held()
        assert not first.held()
    finally:
        first.release()
        second.release()
