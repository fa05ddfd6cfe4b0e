"""PostgreSQL advisory locks, which let one process at a time do a piece of work."""

import hashlib
from typing import Any

import psycopg
from django.db import connection

from chain.postgres.wakeup import dedicated_connection


class Leadership:
    """A role that one process holds until it releases it or its database connection breaks."""

    def __init__(self, name: str) -> None:
        self._key = _key(name)
        self._connection: psycopg.Connection[Any] | None = None

    def held(self) -> bool:
        """Return whether this process leads. It takes the lead if no process has it.

        Raises:
            OperationalError: the database is away.
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
        """Give up the lead, so that another process can take it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def lock_for_transaction(name: str) -> None:
    """Wait for the lock of this name, and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(name)])


def try_lock_for_transaction(name: str) -> bool:
    """Hold the lock of this name until the transaction ends. Return False if another holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_key(name)])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _key(name: str) -> int:
    digest = hashlib.sha256(f"cortensor:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
