"""Wake-ups between processes by PostgreSQL's NOTIFY, which is delivered on commit only."""

import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import psycopg
from django.db import OperationalError, connection
from psycopg import sql


def notify(*channels: str) -> None:
    """Wake all listeners of these channels once the current transaction is committed."""
    with connection.cursor() as cursor:
        calls = ", ".join(["pg_notify(%s, '')"] * len(channels))
        cursor.execute(f"SELECT {calls}", channels)


class Listener:
    """Waits for notifications on a connection of its own, and reconnects when that breaks.

    The caller has to look for work after every wait, even after a timeout: a notification may be
    lost with its connection.
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
        """Return the notified channels as soon as there is one, or an empty set after the timeout.

        After a reconnect, every channel counts as notified, since notifications may have been
        missed.

        Raises:
            OperationalError: the database is away.
        """
        if self._connection is None or self._connection.closed:
            self._connect()
            return set(self._channels)
        notices = self._notices(timeout_s)
        return set(self._channels) if notices is None else {each.channel for each in notices}

    def wait_for_words(self, timeout_s: float) -> set[str] | None:
        """Return the payloads of all notifications that have arrived, as soon as there is one.

        Return an empty set after the timeout. Return None after a (re)connect, since notifications
        may have been missed.

        Raises:
            OperationalError: the database is away.
        """
        if self._connection is None or self._connection.closed:
            self._connect()
            return None
        words: set[str] = set()
        while notices := self._notices(0.0 if words else timeout_s):
            words |= {each.payload for each in notices}
        return None if notices is None else words

    def _notices(self, timeout_s: float) -> "list[psycopg.Notify] | None":
        """Return the notifications of the first packet, or None after a reconnect."""
        assert self._connection is not None
        try:
            return list(self._connection.notifies(timeout=max(timeout_s, 0), stop_after=1))
        except psycopg.OperationalError:
            self.close()
            self._connect()
            return None

    def close(self) -> None:
        """Close the connection. A later `wait` opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self._connection = dedicated_connection()
        with connection.wrap_database_errors:
            for channel in self._channels:
                self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))


def dedicated_connection() -> "psycopg.Connection[Any]":
    """Open a connection outside of Django's management, in autocommit mode.

    Raises:
        django.db.OperationalError: the database is away.
    """
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context"):
        parameters.pop(name, None)
    with connection.wrap_database_errors:
        return psycopg.connect(**parameters, autocommit=True)
