"""The heartbeat: to the router through the mailbox, and to HOME/status.json for the owner."""

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
"""A node that has not beaten for longer is taken for gone."""
MAILBOX_CLOSED = 3
"""The exit status of a miner whose password opens nothing any more; start it again."""
QUEUES = ("inference", "control")
_FILE = "status.json"


class Heart:
    """Beats in a thread of its own until it is stopped."""

    def __init__(self, miner: Miner, mailbox: Mailbox, home: Path) -> None:
        self._miner = miner
        self._mailbox = mailbox
        self._home = home
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat, at once."""
        self._thread.start()

    def beat_now(self) -> None:
        """Beat without waiting for the interval. A signal handler may call it."""
        self._wanted.set()

    def stop(self) -> None:
        """Beat no more, and wait for the beat that may be under way."""
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
            # Redis has forgotten its users, or this one's password was changed. Nothing that runs
            # can be reported any more, and Celery would try on for ever: end, as by a crash, which
            # loses nothing but time. Whoever starts this process again gets it a new mailbox.
            logger.error("heartbeat: the mailbox is closed to this miner; it ends")
            self._miner.let_go()
            os._exit(MAILBOX_CLOSED)
        except RedisError as error:
            logger.warning("heartbeat: Redis does not answer (%s); trying on", type(error).__name__)
        except OSError as error:
            logger.warning("heartbeat: %s cannot be written (%s)", _FILE, error.strerror)


@dataclass(frozen=True)
class LastBeat:
    """What a running node has last said of itself, and how many messages wait for it."""

    age_s: float
    status: dict[str, Any]
    waiting: dict[str, int]

    @property
    def alive(self) -> bool:
        """Whether the node still runs and reaches its mailbox."""
        return self.age_s < ALIVE_S


def last_beat(home: Path) -> LastBeat | None:
    """The last heartbeat of the node in a home, None if there never was one."""
    try:
        told = json.loads((home / _FILE).read_text())
        sent_at_s = told["heartbeat"]["sent_at_ms"] / 1000
        return LastBeat(time.time() - sent_at_s, told["heartbeat"], told["waiting"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, status: NodeStatus, waiting: dict[str, int]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"heartbeat": status.to_json(), "waiting": waiting}))
    part.rename(path)
