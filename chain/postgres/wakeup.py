"""Waking another process by PostgreSQL's NOTIFY, which is delivered on commit only."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import psycopg
from django.db import OperationalError, connection
from psycopg import sql


def notify(*channels: str) -> None:
    """Wake whoever listens to any of them, once the current transaction has been committed."""
    with connection.cursor() as cursor:
        calls = ", ".join(["pg_notify(%s, '')"] * len(channels))
        cursor.execute(f"SELECT {calls}", channels)


class Listener:
    """Waits for notifications, on a connection of its own that is made again when it breaks.

    Whoever waits must look for work after every wait: a notification may be lost with its
    connection.
    """

    def __init__(self, channels: Sequence[str]) -> None:
        self._channels = list(channels)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> "Listener":
        with contextlib.suppress(OperationalError):  # `wait` tries again
            self._connect()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def wait(self, timeout_s: float) -> set[str]:
        """Return the channels that were notified, as soon as there is one; empty after the timeout.

        A broken connection is made again, and every channel counts as notified then, since
        nobody knows what was missed. Raises OperationalError while the database is away.
        """
        if self._connection is None or self._connection.closed:
            self._connect()
            return set(self._channels)
        notices = self._notices(timeout_s)
        return set(self._channels) if notices is None else {each.channel for each in notices}

    def wait_for_words(self, timeout_s: float) -> set[str] | None:
        """Return what the notices said, as soon as there is one, and of all that have come by then.

        None where nobody knows what was missed, since the connection had to be made (again).
        Raises OperationalError while the database is away.
        """
        if self._connection is None or self._connection.closed:
            self._connect()
            return None
        words: set[str] = set()
        while notices := self._notices(0.0 if words else timeout_s):
            words |= {each.payload for each in notices}
        return None if notices is None else words

    def _notices(self, timeout_s: float) -> "list[psycopg.Notify] | None":
        """Those of the first packet; None where the connection broke and was made again."""
        assert self._connection is not None
        try:
            return list(self._connection.notifies(timeout=max(timeout_s, 0), stop_after=1))
        except psycopg.OperationalError:
            self.close()
            self._connect()
            return None

    def close(self) -> None:
        """Close the connection; a later `wait` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self._connection = dedicated_connection()
        with connection.wrap_database_errors:
            for channel in self._channels:
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))


def dedicated_connection() -> "psycopg.Connection[Any]":
    """A connection outside of Django's pool, in autocommit; raise django's OperationalError."""
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    with connection.wrap_database_errors:
        return psycopg.connect(**parameters, autocommit=True)
