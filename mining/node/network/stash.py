"""The completions of network tasks, on disk before they are precommitted.

A node that loses a salt, or signs two hashes for a session, cannot reveal. See
`mining.node.disk.stash`, which does the same for users' tasks.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mining.node.disk.files import forget_old, write_once
from mining.node.network.job import NetworkJob


@dataclass(frozen=True)
class Completion:
    """An answer, and the salt that keeps it secret until it is revealed."""

    text: str
    salt: int


class CompletionStash:
    """The stashed completions, with a file for each session. Threads and restarts may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def find(self, job: NetworkJob) -> Completion | None:
        """Return the completion that was precommitted for a job's session, or None."""
        try:
            return Completion(**json.loads(self._path(job).read_text()))
        except FileNotFoundError:
            return None

    def keep(self, job: NetworkJob, completion: Completion) -> Completion:
        """Store a completion, unless its session has one already. Return the stored one."""
        try:
            write_once(self._path(job), json.dumps(asdict(completion)))
        except FileExistsError:
            kept = self.find(job)
            assert kept is not None
            return kept
        return completion

    def forget_old(self) -> int:
        """Delete the completions of sessions that have ended long ago. Return how many."""
        return forget_old(self._folder)

    def _path(self, job: NetworkJob) -> Path:
        # After a fork, another session may have the same number. Its seed differs.
        name = f"{job.chain_id}-{job.contract.lower()}-{job.number}-{job.seed:064x}"
        return self._folder / f"{name}.json"
