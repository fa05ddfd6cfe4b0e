"""The miner's side of its mailbox, to which it writes reports and the pieces of its answers."""

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
"""The most reports in the stream: about five hours of heartbeats, if no router reads them."""
STREAM_EXPIRY_S = 7200
"""How long an answer's stream is kept after its first piece, and again after its end.

This is longer than the longest task.
"""
MAX_CLOCK_OFFSET_S = 3.0
_RETRIES = 8


class MailboxUnfit(NodeError):
    """The mailbox lacks the facts about its network, or its clock differs from this machine's."""


class Mailbox:
    """Writes to the Redis keys under `miner:<address>:`. It retries if the connection breaks.

    Args:
        redis_url: the mailbox's URL, with the miner's Redis user.
        address: the miner's address.
    """

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
        """Connect once, without retries. Raises RedisError if Redis refuses this miner's user."""
        with Redis.from_url(self._url, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()

    def report(self, report: Wire) -> None:
        """Append a report to the stream of reports."""
        entry = write_report(report)
        self._redis.xadd(self.prefix + REPORTS_KEY, entry, maxlen=MAX_REPORTS, approximate=True)

    def stream(self, assignment_id: str, max_pieces: int) -> PieceStream:
        """Return the stream of an assignment's pieces, with the entries that it has already."""
        key = f"{self.prefix}stream:{assignment_id}"
        return PieceStream(key, max_pieces, self._redis.xrange(key))

    def append(self, entries: Sequence[Entry]) -> list[StreamMismatch | None]:
        """Append entries to their streams in one round trip.

        Return, for each entry, None if it is appended, or else why it was refused.

        Raises:
            RedisError: Redis does not answer or has no memory, after several attempts.
        """
        answers = iter(self._append(entries))
        outcomes = []
        for entry in entries:
            outcomes.append(self._outcome(entry, next(answers)))
            if entry.is_edge:
                next(answers)
        return outcomes

    def _append(self, entries: Sequence[Entry]) -> list[object]:
        """Return Redis' answer to each command. Try again while Redis is out of memory."""
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
            # The entry has an id, so a retry after a lost reply does not append it twice.
            most = entry.max_entries
            pipeline.xadd(entry.key, entry.fields, entry.id, maxlen=most, approximate=True)
            if entry.is_edge:
                pipeline.expire(entry.key, STREAM_EXPIRY_S)
        answers: list[object] = pipeline.execute(raise_on_error=False)
        return answers

    def network(self) -> NetworkFacts:
        """Return the facts about the network that the router wrote when it made the mailbox.

        Raises:
            MailboxUnfit: the mailbox does not have them.
        """
        text = self._redis.get(self.prefix + FACTS_KEY)
        try:
            return NetworkFacts.from_json(json.loads(text or "null"))
        except (Malformed, ValueError) as error:
            raise MailboxUnfit(
                f"REDIS_URL: the mailbox does not name its network ({error}); ask the router's"
                " operator to enrol the node again"
            ) from error

    def require_same_time(self) -> None:
        """Raise MailboxUnfit if this machine's clock differs too much from the router's.

        Deadlines and heartbeats would otherwise lie in the past or in the future.
        """
        before = time.time()
        seconds, microseconds = self._redis.time()
        ahead_s = (before + time.time()) / 2 - (seconds + microseconds / 1e6)
        if abs(ahead_s) > MAX_CLOCK_OFFSET_S:
            raise MailboxUnfit(
                f"clock: this machine's clock is {abs(ahead_s):.0f} s"
                f" {'ahead of' if ahead_s > 0 else 'behind'} the router's; set it, as by NTP"
            )

    def waiting(self, queue: str) -> int:
        """Return how many messages wait in one of the mailbox's queues."""
        return int(self._redis.llen(self.prefix + queue))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _outcome(self, entry: Entry, answer: object) -> StreamMismatch | None:
        if not isinstance(answer, Exception):
            return None
        if not isinstance(answer, ResponseError) or isinstance(answer, OutOfMemoryError):
            raise answer  # says nothing about this entry, as when Redis is out of memory
        if self._redis.xrange(entry.key, entry.id, entry.id) == [(entry.id, entry.fields)]:
            return None
        return StreamMismatch(f"stream: entry {entry.id} was refused ({answer})")
