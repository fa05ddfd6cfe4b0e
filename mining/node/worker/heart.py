"""Sends the node's heartbeats to the router, and writes them to HOME/status.json for the owner."""

import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import AuthenticationError, RedisError

from mining.node.protocol.reports import NodeStatus
from mining.node.worker.mailbox import Mailbox
from mining.node.worker.miner import Miner

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0
ALIVE_S = 10.0
"""A node whose last heartbeat is older than this counts as not running."""
MAILBOX_CLOSED = 3
"""The exit status of a miner whose password no longer opens its mailbox. It must be restarted."""
QUEUES = ("inference", "control")
_FILE = "status.json"


class Heart:
    """Sends heartbeats from a thread of its own until it is stopped."""

    def __init__(self, miner: Miner, mailbox: Mailbox, home: Path) -> None:
        self._miner = miner
        self._mailbox = mailbox
        self._home = home
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, which sends the first heartbeat at once."""
        self._thread.start()

    def beat_now(self) -> None:
        """Send a heartbeat without waiting for the interval. Signal handlers may call this."""
        self._wanted.set()

    def stop(self) -> None:
        """Stop the thread, after the heartbeat that it may be sending."""
        self._stopped = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.clear()
            self._beat()
            self._wanted.wait(INTERVAL_S)

    def _beat(self) -> None:
        try:
            status = self._miner.beat()
            self._miner.remind()
            waiting = {queue: self._mailbox.waiting(queue) for queue in QUEUES}
            _write(self._home / _FILE, status, waiting)
        except AuthenticationError:
            # Redis has lost its users, or this user's password was changed. Running jobs can no
            # longer be reported, and Celery would retry forever. So the process exits as in a
            # crash, which loses only time. When it is started again, it asks for a new mailbox.
            logger.error("heartbeat: the mailbox no longer accepts this miner; the process exits")
            self._miner.let_go()
            os._exit(MAILBOX_CLOSED)
        except RedisError as error:
            logger.warning(
                "heartbeat: Redis does not answer (%s); trying again", type(error).__name__
            )
        except OSError as error:
            logger.warning("heartbeat: %s cannot be written (%s)", _FILE, error.strerror)


@dataclass(frozen=True)
class LastBeat:
    """A node's last heartbeat, and how many messages waited in each of its queues then."""

    age_s: float
    status: dict[str, Any]
    waiting: dict[str, int]

    @property
    def alive(self) -> bool:
        """Whether the node is running and reaches its mailbox."""
        return self.age_s < ALIVE_S


def last_beat(home: Path) -> LastBeat | None:
    """Return the last heartbeat of the node in a home, or None if there is none."""
    try:
        written = json.loads((home / _FILE).read_text())
        sent_at_s = written["heartbeat"]["sent_at_ms"] / 1000
        return LastBeat(time.time() - sent_at_s, written["heartbeat"], written["waiting"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, status: NodeStatus, waiting: dict[str, int]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"heartbeat": status.to_json(), "waiting": waiting}))
    part.rename(path)
