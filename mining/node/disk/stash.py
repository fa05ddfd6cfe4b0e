"""What was precommitted, on disk before anybody hears of it.

A miner that signed two hashes for one task, or lost the salt of one, could not reveal. So a result
is stashed first and reported then; whoever asks again gets the same one.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mining.node.disk.files import forget_old, write_once


class StashError(Exception):
    """Base: a result cannot be kept or found."""


class NotStashed(StashError):
    """This assignment has no result here."""


class AlreadyStashed(StashError):
    """This assignment has a result, and no other may take its place."""


@dataclass(frozen=True)
class Result:
    """A result as it is bound: `data` is what the hash binds and the commit reveals."""

    assignment_id: str
    session_id: int
    task_id: int
    task_digest: str
    chain_id: int
    queue_address: str
    content: str
    data: str


class Stash:
    """Results by assignment, one file each. Threads and restarts may share a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, result: Result) -> None:
        """Keep a result, safe from a crash once this returns; raise AlreadyStashed."""
        try:
            write_once(self._path(result.assignment_id), json.dumps(asdict(result)))
        except FileExistsError:
            raise AlreadyStashed(
                f"assignment {result.assignment_id}: its result is fixed; report that one"
            ) from None

    def get(self, assignment_id: str) -> Result:
        """Find a result; raise NotStashed."""
        try:
            return Result(**json.loads(self._path(assignment_id).read_text()))
        except FileNotFoundError:
            raise NotStashed(f"assignment {assignment_id}: nothing was precommitted") from None

    def __iter__(self) -> Iterator[Result]:
        for path in sorted(self._folder.glob("*.json")):
            yield Result(**json.loads(path.read_text()))

    def mark_answered(self, assignment_id: str) -> None:
        """Remember that the router has heard of a result's precommit."""
        if self._path(assignment_id).exists():
            self._answered(assignment_id).touch()

    def unanswered(self, younger_than_s: float) -> list[str]:
        """The assignments of such age whose precommits the router may not have heard of."""
        since = time.time() - younger_than_s
        return [
            path.stem
            for path in self._folder.glob("*.json")
            if path.stat().st_mtime > since and not self._answered(path.stem).exists()
        ]

    def forget_old(self) -> int:
        """Delete results that nobody can ask for any more, and return how many."""
        return forget_old(self._folder)

    def _path(self, assignment_id: str) -> Path:
        return self._folder / f"{assignment_id}.json"

    def _answered(self, assignment_id: str) -> Path:
        return self._folder / f"{assignment_id}.answered"
