"""Plans when the oracle examines each task next.

The plan is in memory. A process that starts examines all tasks.
"""

import heapq
from collections.abc import Collection
from datetime import datetime


class Agenda:
    """The known tasks' keys, each with the time of its next examination.

    `plan`, and `due` for each task that it returns, take logarithmic time in the number of tasks.
    """

    def __init__(self) -> None:
        self._at: dict[int, datetime] = {}
        self._queue: list[tuple[datetime, int]] = []
        """A heap. An entry whose time differs from the one in `_at` is outdated and ignored."""

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: int) -> bool:
        return key in self._at

    def plan(self, key: int, at: datetime) -> None:
        """Plan the next examination of a task, in place of an earlier plan."""
        if self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._queue, (at, key))
            if len(self._queue) > 2 * len(self._at) + 64:
                self._queue = [(at, key) for key, at in self._at.items()]
                heapq.heapify(self._queue)

    def plan_all(self, at: datetime) -> None:
        """Plan an examination of every known task."""
        self._at = dict.fromkeys(self._at, at)
        self._queue = [(at, key) for key in self._at]
        heapq.heapify(self._queue)

    def drop(self, keys: Collection[int]) -> None:
        """Forget tasks that have ended."""
        for key in keys:
            self._at.pop(key, None)

    def due(self, now: datetime, most: int) -> list[int]:
        """Return the keys of at most `most` tasks that are due, the longest due first.

        The caller has to plan or drop each of them.
        """
        keys: dict[int, None] = {}
        while self._queue and self._queue[0][0] <= now and len(keys) < most:
            at, key = heapq.heappop(self._queue)
            if self._at.get(key) == at:
                keys[key] = None
        return list(keys)

    @property
    def next_at(self) -> datetime | None:
        """When the next examination is due, or None if there are no tasks."""
        while self._queue and self._at.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None
