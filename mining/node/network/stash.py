"""Completions that were precommitted, on disk before anybody hears of their hashes.

As `mining.node.disk.stash`: who loses a salt cannot reveal, and who signs two hashes has signed
one too many.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mining.node.disk.files import forget_old, write_once
from mining.node.network.job import NetworkJob


@dataclass(frozen=True)
class Completion:
    """An answer, and the salt that hides it until it is revealed."""

    text: str
    salt: int


class CompletionStash:
    """Completions by session, one file each. Threads and restarts may share a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, job: NetworkJob) -> Completion | None:
        """What was precommitted for a job's session."""
        try:
            return Completion(**json.loads(self._path(job).read_text()))
        except FileNotFoundError:
            return None

    def keep(self, job: NetworkJob, completion: Completion) -> Completion:
        """Keep a completion; the one that is kept already stays, and is returned."""
        try:
            write_once(self._path(job), json.dumps(asdict(completion)))
        except FileExistsError:
            kept = self.find(job)
            assert kept is not None
            return kept
        return completion

    def forget_old(self) -> int:
        """Delete what nobody can ask for any more, and return how many."""
        return forget_old(self._folder)

    def _path(self, job: NetworkJob) -> Path:
        # The seed tells sessions of one number apart, on two sides of a fork.
        name = f"{job.chain_id}-{job.contract.lower()}-{job.number}-{job.seed:064x}"
        return self._folder / f"{name}.json"
