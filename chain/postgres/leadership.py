"""Locks of PostgreSQL that let one process at a time do what only one may do."""

import hashlib
from typing import Any

import psycopg
from django.db import connection

from chain.postgres.wakeup import dedicated_connection


class Leadership:
    """One process holds it, until it lets go or its database connection breaks."""

    def __init__(self, name: str) -> None:
        self._key = _key(name)
        self._connection: psycopg.Connection[Any] | None = None

    def held(self) -> bool:
        """Whether this process leads; takes the lead when nobody does.

        Raises OperationalError while the database is away.
        """
        if self._connection is not None:
            try:
                self._connection.execute("SELECT 1")
                return True
            except psycopg.OperationalError:
                self.release()
        candidate = dedicated_connection()
        with connection.wrap_database_errors:
            row = candidate.execute("SELECT pg_try_advisory_lock(%s)", [self._key]).fetchone()
        if row is not None and row[0]:
            self._connection = candidate
            return True
        candidate.close()
        return False

    def release(self) -> None:
        """Let another process lead."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def lock_for_transaction(name: str) -> None:
    """Wait until no other transaction holds the lock of that name, and hold it until the end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(name)])


def try_lock_for_transaction(name: str) -> bool:
    """Hold the lock of that name until the transaction ends; False if another one has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_key(name)])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _key(name: str) -> int:
    digest = hashlib.sha256(f"cortensor:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
