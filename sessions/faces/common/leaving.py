"""Ending a task early when its client disconnects.

The task goes on if another client follows it, or if the client sent an idempotency key with which
it can ask for the answer again.
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
    """A stream of live answers. Closing it before its end ends the tasks that it streams.

    Args:
        events: makes the events. Its argument is a function to call when the answer is complete.
        awaited: the tasks to end when this client disconnects.
        resumed_within_s: how long to wait for the client to resume before ending the tasks.
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
        """End the tasks if the client left before their end. Django calls this in a thread."""
        super().close()
        awaited, self._awaited = self._awaited, ()
        if not awaited:
            return
        if not self._resumed_within_s:
            early_end.leave(awaited)
            return
        with suppress(RuntimeError):  # the event loop has stopped: this process ends no tasks
            asyncio.run_coroutine_threadsafe(
                _leave_later(awaited, self._resumed_within_s), self._loop
            )

    def _forget(self) -> None:
        self._awaited = ()


async def taken(taking: Awaitable[T], awaited: Callable[[T], Sequence[Task]]) -> T:
    """Await the acceptance of tasks, and end these tasks if the client disconnects meanwhile.

    Args:
        awaited: selects the tasks to end from the result of `taking`.
    """
    work = asyncio.ensure_future(taking)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        try:
            found = await work
        except Exception as error:  # no task was accepted, and the client cannot receive the error
            unknown = not isinstance(error, SessionsError)
            logger.info("a client left before it was refused: %s", error, exc_info=unknown)
            raise asyncio.CancelledError from error
        try:
            await sync_to_async(early_end.leave)(awaited(found))
        except Exception:
            logger.exception("a client has left, but its tasks could not be ended")
        raise


@asynccontextmanager
async def waiting_for(awaited: Sequence[Task], *, asks_anew: bool = False) -> AsyncGenerator[None]:
    """Run the body for a client that waits for these tasks. If the client disconnects, end them.

    Args:
        asks_anew: whether the client will create new tasks when it retries after this process
            stops. If so, RouterRestarting ends these tasks too, since no client will fetch them.
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
