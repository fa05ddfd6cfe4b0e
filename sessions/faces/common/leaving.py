"""Clients that leave: an answer that nobody waits for any more ends where it is.

It does not where somebody else follows the task, or where the client has given its task a name
under which it may ask again.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from asgiref.sync import sync_to_async

from sessions.errors import RouterRestarting, SessionsError
from sessions.faces.common.sse import EventStream
from sessions.models import Task
from sessions.stages import early_end

logger = logging.getLogger(__name__)

T = TypeVar("T")
OnEnd = Callable[[], None]


class LiveAnswer(EventStream):
    """Answers as they are made. Closed before their end, they end where they are.

    Args:
        events: makes the events; what it is given is to be called when nothing more is waited for.
        awaited: the tasks that end with this client.
        resumed_within_s: how long the client has to come back and go on.
    """

    def __init__(
        self,
        events: Callable[[OnEnd], AsyncGenerator[bytes]],
        awaited: Sequence[Task],
        *,
        resumed_within_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._awaited = awaited
        self._resumed_within_s = resumed_within_s
        self._loop = asyncio.get_running_loop()
        super().__init__(events(self._forget), headers)

    def close(self) -> None:
        """Called in a thread when the client has all, and when it has left."""
        super().close()
        awaited, self._awaited = self._awaited, ()
        if not awaited:
            return
        if not self._resumed_within_s:
            early_end.leave(awaited)
            return
        with suppress(RuntimeError):  # a process that has stopped ends nobody's answer
            asyncio.run_coroutine_threadsafe(
                _leave_later(awaited, self._resumed_within_s), self._loop
            )

    def _forget(self) -> None:
        self._awaited = ()


async def taken(taking: Awaitable[T], awaited: Callable[[T], Sequence[Task]]) -> T:
    """Have tasks taken; those of a client that leaves meanwhile are not left behind.

    Args:
        awaited: which tasks end with the client.
    """
    work = asyncio.ensure_future(taking)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        try:
            found = await work
        except Exception as error:  # nothing was taken, and nobody is left to be told
            unknown = not isinstance(error, SessionsError)
            logger.info("a client left before it was refused: %s", error, exc_info=unknown)
            raise asyncio.CancelledError from error
        try:
            await sync_to_async(early_end.leave)(awaited(found))
        except Exception:
            logger.exception("a client has left, and its tasks go on")
        raise


@asynccontextmanager
async def waiting_for(awaited: Sequence[Task], *, asks_anew: bool = False) -> AsyncGenerator[None]:
    """What is done inside is for a client that waits; when it leaves, its tasks end.

    Args:
        asks_anew: whether a client that this process sends away as it stops makes new tasks when
            it asks again. Then these end as well: nobody would ever fetch them.
    """
    ending = (asyncio.CancelledError, RouterRestarting) if asks_anew else asyncio.CancelledError
    try:
        yield
    except ending:
        if awaited:
            await sync_to_async(early_end.leave)(awaited)
        raise


async def _leave_later(tasks: Sequence[Task], after_s: float) -> None:
    await asyncio.sleep(after_s)
    await sync_to_async(early_end.leave)(tasks)
