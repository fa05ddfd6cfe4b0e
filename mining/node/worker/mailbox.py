"""The miner's side of its mailbox: reports, and the pieces of answers as they are made."""

import json
import time
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from mining.node.errors import NodeError
from mining.node.protocol.job import NetworkFacts
from mining.node.protocol.names import FACTS_KEY, REPORTS_KEY, mailbox_prefix
from mining.node.protocol.reports import write_report
from mining.node.protocol.wire import Malformed, Wire
from mining.node.worker.piece_stream import Entry, PieceStream, StreamMismatch

MAX_REPORTS = 10_000
"""About five hours of heartbeats, should nobody read them."""
STREAM_EXPIRY_S = 7200
"""From an answer's first piece, and again from its end: longer than the longest task."""
MAX_CLOCK_OFFSET_S = 3.0
_RETRIES = 8


class MailboxUnfit(NodeError):
    """The mailbox lacks what a node has to know, or lives in another time."""


class Mailbox:
    """Writes to the keys under `miner:<address>:`, and again when the connection broke."""

    def __init__(self, redis_url: str, address: str) -> None:
        self.prefix = mailbox_prefix(address)
        self._url = redis_url
        self._redis: Any = Redis.from_url(
            redis_url,
            decode_responses=True,
            retry=Retry(ExponentialBackoff(cap=2.0, base=0.05), _RETRIES),
            retry_on_error=[RedisConnectionError, RedisTimeoutError, OutOfMemoryError],
            health_check_interval=30,
        )

    def require_open(self) -> None:
        """Ask once whether Redis takes this miner's user; raise RedisError when it does not."""
        with Redis.from_url(self._url, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()

    def report(self, report: Wire) -> None:
        """Append a report."""
        entry = write_report(report)
        self._redis.xadd(self.prefix + REPORTS_KEY, entry, maxlen=MAX_REPORTS, approximate=True)

    def stream(self, assignment_id: str, max_pieces: int) -> PieceStream:
        """The stream of an assignment's pieces, with what is in it already."""
        key = f"{self.prefix}stream:{assignment_id}"
        return PieceStream(key, max_pieces, self._redis.xrange(key))

    def append(self, entries: Sequence[Entry]) -> list[StreamMismatch | None]:
        """Append entries to streams, all in one go, and say what became of each.

        Raises RedisError when there is no telling, after as many tries as are worth it.
        """
        answers = iter(self._append(entries))
        outcomes = []
        for entry in entries:
            outcomes.append(self._outcome(entry, next(answers)))
            if entry.is_edge:
                next(answers)
        return outcomes

    def _append(self, entries: Sequence[Entry]) -> list[object]:
        """What Redis says to each command. One that has no room for more has, after a while."""
        backoff = ExponentialBackoff(cap=2.0, base=0.05)
        for tries in range(1, _RETRIES + 1):
            answers = self._append_once(entries)
            if not any(isinstance(answer, OutOfMemoryError) for answer in answers):
                break
            time.sleep(backoff.compute(tries))
        return answers

    def _append_once(self, entries: Sequence[Entry]) -> list[object]:
        pipeline = self._redis.pipeline(transaction=False)
        for entry in entries:
            # Numbered, so that one whose confirmation was lost is not appended twice.
            most = entry.max_entries
            pipeline.xadd(entry.key, entry.fields, entry.id, maxlen=most, approximate=True)
            if entry.is_edge:
                pipeline.expire(entry.key, STREAM_EXPIRY_S)
        answers: list[object] = pipeline.execute(raise_on_error=False)
        return answers

    def network(self) -> NetworkFacts:
        """What the router wrote for this node when it made the mailbox; raise MailboxUnfit."""
        text = self._redis.get(self.prefix + FACTS_KEY)
        try:
            return NetworkFacts.from_json(json.loads(text or "null"))
        except (Malformed, ValueError) as error:
            raise MailboxUnfit(
                f"REDIS_URL: the mailbox does not say which network it is of ({error}); have the"
                " router's operator enrol the node again"
            ) from error

    def require_same_time(self) -> None:
        """Raise MailboxUnfit where this clock and the router's are too far apart.

        Deadlines and heartbeats would count as past or as not begun.
        """
        before = time.time()
        seconds, microseconds = self._redis.time()
        ahead_s = (before + time.time()) / 2 - (seconds + microseconds / 1e6)
        if abs(ahead_s) > MAX_CLOCK_OFFSET_S:
            raise MailboxUnfit(
                f"clock: this machine's is {abs(ahead_s):.0f} s"
                f" {'ahead of' if ahead_s > 0 else 'behind'} the router's; set it, by NTP say"
            )

    def waiting(self, queue: str) -> int:
        """How many messages lie in one of the mailbox's queues."""
        return int(self._redis.llen(self.prefix + queue))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _outcome(self, entry: Entry, answer: object) -> StreamMismatch | None:
        if not isinstance(answer, Exception):
            return None
        if not isinstance(answer, ResponseError) or isinstance(answer, OutOfMemoryError):
            raise answer  # of a Redis without room nothing follows for the answer
        if self._redis.xrange(entry.key, entry.id, entry.id) == [(entry.id, entry.fields)]:
            return None
        return StreamMismatch(f"stream: entry {entry.id} was refused ({answer})")
