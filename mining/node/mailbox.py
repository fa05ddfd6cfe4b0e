"""The miner's side of its mailbox: reports, and the pieces of an answer as they are made."""

import json
import time
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from mining.node.errors import NodeError
from mining.node.generation import GenerationResult
from mining.node.job import Malformed, NetworkFacts, Wire, write_report
from mining.node.sampling import TokenLogprobs

MAX_REPORTS = 10_000
"""About five hours of heartbeats, should nobody read them."""
STREAM_EXPIRY_S = 3600
MAX_CLOCK_OFFSET_S = 3.0
_RETRIES = 8


class MailboxUnfit(NodeError):
    """The mailbox lacks what a node has to know, or lives in another time."""


class StreamMismatch(Exception):
    """What was streamed before is not the beginning of what is generated now."""

    code = "stream_mismatch"


class Mailbox:
    """Writes to the keys under `miner:<address>:`, and again when the connection broke."""

    def __init__(self, redis_url: str, address: str) -> None:
        self.prefix = f"miner:{address.lower()}:"
        self._url = redis_url
        self._redis: Any = Redis.from_url(
            redis_url,
            decode_responses=True,
            retry=Retry(ExponentialBackoff(cap=2.0, base=0.05), _RETRIES),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
            health_check_interval=30,
        )

    def require_open(self) -> None:
        """Ask once whether Redis takes this miner's user; raise RedisError when it does not."""
        with Redis.from_url(self._url, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()

    def report(self, report: Wire) -> None:
        """Append a report."""
        entry = write_report(report)
        self._redis.xadd(self.prefix + "reports", entry, maxlen=MAX_REPORTS, approximate=True)

    def stream(self, assignment_id: str, max_pieces: int) -> "PieceStream":
        """The stream of an assignment's pieces, with what is in it already."""
        return PieceStream(self._redis, f"{self.prefix}stream:{assignment_id}", max_pieces)

    def network(self) -> NetworkFacts:
        """What the router wrote for this node when it made the mailbox; raise MailboxUnfit."""
        text = self._redis.get(self.prefix + "network")
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


class PieceStream:
    """An answer on its way to whoever follows it.

    A job that is delivered again, after a crash say, is generated again from the same seed. What
    a client may have read is not sent twice: the beginning that is there already is passed over.
    """

    def __init__(self, redis: Any, key: str, max_pieces: int) -> None:
        self._redis = redis
        self._key = key
        # Twice and some more: trimming must never reach an answer's own beginning.
        self._max_entries = 2 * max_pieces + 16
        entries: Sequence[tuple[str, dict[str, str]]] = redis.xrange(key)
        self._last = int(entries[-1][0].split("-")[0]) if entries else 0
        self._passed_over = "".join(entry.get("text", "") for _, entry in entries)
        self._ended = any("done" in entry for _, entry in entries)

    def add(self, text: str, logprobs: Sequence[TokenLogprobs] = ()) -> None:
        """Append a piece; raise StreamMismatch."""
        known, self._passed_over = self._passed_over[: len(text)], self._passed_over[len(text) :]
        if not text.startswith(known):
            raise StreamMismatch("stream: this run differs from what was streamed before")
        if text[len(known) :]:
            told = {"logprobs": json.dumps([each.to_json() for each in logprobs])}
            self._append({"text": text[len(known) :], **(told if logprobs else {})})

    def done(self, result: GenerationResult) -> None:
        """Append the end of an answer that is complete; raise StreamMismatch."""
        if self._passed_over:
            raise StreamMismatch("stream: this run is shorter than what was streamed before")
        if self._ended:
            return
        self._append(
            {
                "done": "1",
                "finish_reason": result.finish_reason.value,
                "prompt_tokens": str(result.prompt_tokens),
                "completion_tokens": str(result.completion_tokens),
            }
        )

    def failed(self, code: str) -> None:
        """Append the end of an answer that will not be completed."""
        self._append({"failed": code})

    def _append(self, entry: dict[str, str]) -> None:
        # Entries are numbered, so that one whose confirmation was lost is not appended twice.
        self._last += 1
        number = f"{self._last}-0"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xadd(self._key, entry, id=number, maxlen=self._max_entries, approximate=True)
        pipeline.expire(self._key, STREAM_EXPIRY_S)
        added, _ = pipeline.execute(raise_on_error=False)
        if not isinstance(added, Exception):
            return
        if not isinstance(added, ResponseError):
            raise added
        if self._redis.xrange(self._key, number, number) != [(number, entry)]:
            raise StreamMismatch(f"stream: entry {number} was refused ({added})")
