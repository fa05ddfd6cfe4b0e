"""The results of a miner, on disk before they are precommitted.

A miner that signed two hashes for a task, or lost the salt of one, could not reveal. So a result is
stashed before it is reported, and every repeated report is of the same result.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mining.node.disk.files import forget_old, write_once


class StashError(Exception):
    """Base class: a result cannot be stored or found."""


class NotStashed(StashError):
    """The assignment has no stashed result."""


class AlreadyStashed(StashError):
    """The assignment has a result already, which cannot be replaced."""


@dataclass(frozen=True)
class Result:
    """The result of an assignment. The precommitted hash binds `data`, and the commit reveals it.

    `content` is the result as canonical JSON, or its envelope if it is sealed. `data` is that text
    itself, or its content address. `task_digest` is in hex without 0x.
    """

    assignment_id: str
    session_id: int
    task_id: int
    task_digest: str
    chain_id: int
    queue_address: str
    content: str
    data: str


class Stash:
    """The stashed results, with a file for each assignment. Threads and restarts may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, result: Result) -> None:
        """Store a result. Once this returns, it survives a crash.

        Raises:
            AlreadyStashed: the assignment has a result already.
        """
        try:
            write_once(self._path(result.assignment_id), json.dumps(asdict(result)))
        except FileExistsError:
            raise AlreadyStashed(
                f"assignment {result.assignment_id}: it has a result already; report that one"
            ) from None

    def get(self, assignment_id: str) -> Result:
        """Return an assignment's result. Raises NotStashed."""
        try:
            return Result(**json.loads(self._path(assignment_id).read_text()))
        except FileNotFoundError:
            raise NotStashed(f"assignment {assignment_id}: it has no precommitted result") from None

    def __iter__(self) -> Iterator[Result]:
        for path in sorted(self._folder.glob("*.json")):
            yield Result(**json.loads(path.read_text()))

    def mark_answered(self, assignment_id: str) -> None:
        """Remember that the router has received the precommit of an assignment's result."""
        if self._path(assignment_id).exists():
            self._answered(assignment_id).touch()

    def unanswered(self, younger_than_s: float) -> list[str]:
        """Return the recent assignments whose precommits the router may not have received.

        Args:
            younger_than_s: the largest age of a result, in seconds.
        """
        since = time.time() - younger_than_s
        return [
            path.stem
            for path in self._folder.glob("*.json")
            if path.stat().st_mtime > since and not self._answered(path.stem).exists()
        ]

    def forget_old(self) -> int:
        """Delete the results of tasks that have ended long ago. Return how many."""
        return forget_old(self._folder)

    def _path(self, assignment_id: str) -> Path:
        return self._folder / f"{assignment_id}.json"

    def _answered(self, assignment_id: str) -> Path:
        return self._folder / f"{assignment_id}.answered"
