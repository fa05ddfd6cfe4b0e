"""Limits the memory that each miner's mailbox uses in Redis.

Redis has no quotas, and a miner that fills the memory would stop the whole network. So the router
reads the used memory every second. It measures the mailboxes if that memory has grown by much, if
Redis is nearly full, or if the last measurement is old. It removes keys that it does not need from
a mailbox that is too large. If the mailbox is still too large, the miner is suspended: its Redis
user and its mailbox are deleted, and it cannot enrol until the operator admits it again.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from mining.enrolment.redis_users import revoke
from mining.models import Assignment, MinerPresence
from mining.models.assignment import UNDECIDED
from mining.node.protocol.names import MAILBOXES, REPORTS_KEY, mailbox_prefix

LOOK_EVERY_S = 1.0
MEASURE_EVERY_S = 60.0
NEARLY_FULL = 0.8
"""The share of `maxmemory` from which Redis counts as nearly full.

From there on, each mailbox may use only an equal part of half of the memory.
"""
LEAST_SHARE_BYTES = 2 * 1024 * 1024
"""The smallest quota of a mailbox, however many mailboxes there are."""
KEPT = timedelta(minutes=10)
"""How long the stream of a finished assignment is kept for clients that still read it."""
KEYS_AT_ONCE = 1_000
_MAILBOXES, _REPORTS = MAILBOXES.encode(), REPORTS_KEY.encode()

logger = logging.getLogger(__name__)


@dataclass
class Mailbox:
    """The sizes of a miner's keys in bytes, by key."""

    sizes: dict[bytes, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


class Watcher:
    """Watches the memory of Redis, and measures the mailboxes when necessary."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._used = 0
        self._measured_at = float("-inf")

    def look(self) -> None:
        """Read the used memory, and enforce the quotas if a measurement is due."""
        used, most = self._memory()
        is_full = bool(most) and used > NEARLY_FULL * most
        has_grown = used - self._used > settings.MAILBOX_MAX_BYTES // 2
        was_lately = time.monotonic() - self._measured_at < MEASURE_EVERY_S
        if was_lately and not has_grown and not is_full:
            return
        self.enforce(most if is_full else None)
        self._used, _ = self._memory()
        self._measured_at = time.monotonic()

    def enforce(self, most: int | None = None) -> None:
        """Cut mailboxes that are too large, and suspend miners whose mailbox stays too large.

        Args:
            most: `maxmemory` in bytes if Redis is nearly full, else None.
        """
        mailboxes = measure(self._client)
        quota = int(settings.MAILBOX_MAX_BYTES)
        if most is not None and mailboxes:
            quota = min(quota, max(LEAST_SHARE_BYTES, most // 2 // len(mailboxes)))
        for address, mailbox in mailboxes.items():
            if mailbox.size <= quota // 2:
                continue
            cut(self._client, address, mailbox)
            left = measure(self._client, address).get(address)
            if left is not None and left.size > quota:
                suspend(
                    address, f"its mailbox had {left.size:,} bytes, and may have {quota:,} here"
                )

    def _memory(self) -> tuple[int, int]:
        info: Any = self._client.info("memory")
        return int(info["used_memory"]), int(info["maxmemory"])


def measure(client: "redis.Redis", address: str | None = None) -> dict[str, Mailbox]:
    """Measure all mailboxes, or that of one address. Return them by address."""
    pattern = mailbox_prefix(address) + "*" if address else MAILBOXES + "*"
    found = defaultdict[str, Mailbox](lambda: Mailbox({}))
    cursor = 0
    while True:
        answer: Any = client.scan(cursor, match=pattern, count=KEYS_AT_ONCE)
        cursor, keys = answer
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            # Measure all elements: a miner could arrange its data so that samples look small.
            pipeline.memory_usage(key, samples=0)
        for key, size in zip(keys, pipeline.execute(), strict=True):
            owner = key.removeprefix(_MAILBOXES).split(b":", 1)[0].decode(errors="replace")
            found[owner].sizes[key] = size or 0
        if cursor == 0:
            return dict(found)


def cut(client: "redis.Redis", address: str, mailbox: Mailbox) -> None:
    """Remove handled reports, and the streams of assignments that ended some time ago."""
    prefix = mailbox_prefix(address).encode()
    presence = MinerPresence.objects.filter(pk=address).first()
    if presence is not None and prefix + _REPORTS in mailbox.sizes:
        try:
            client.xtrim(prefix + _REPORTS, minid=presence.report_cursor, approximate=False)
        except redis.ResponseError:
            client.unlink(prefix + _REPORTS)  # the key is not a stream
    current = _current_streams(address)
    _unlink(
        client,
        (
            key
            for key in mailbox.sizes
            if key.startswith(prefix + b"stream:")
            and key.removeprefix(prefix + b"stream:").decode(errors="replace") not in current
        ),
    )


def suspend(address: str, reason: str) -> None:
    """Suspend a miner: revoke its access and delete its mailbox until the operator admits it."""
    MinerPresence.objects.update_or_create(
        pk=address, defaults={"suspended_at": timezone.now(), "suspended_for": reason[:200]}
    )
    revoke(address)
    logger.error("miner %s is suspended: %s", address, reason)


def let_in_again(addresses: Collection[str]) -> int:
    """Lift suspensions, and return how many. The miners have to enrol again."""
    rows = MinerPresence.objects.filter(pk__in=addresses, suspended_at__isnull=False)
    return rows.update(suspended_at=None, suspended_for="")


def _current_streams(address: str) -> set[str]:
    """Return the keys of a miner's assignments whose streams a client may still read."""
    lately = Q(finished_at__gte=timezone.now() - KEPT)
    mine = Assignment.objects.filter(lately | Q(status__in=UNDECIDED), miner=address)
    return {str(key) for key in mine.values_list("pk", flat=True)}


def _unlink(client: "redis.Redis", keys: Iterable[bytes]) -> None:
    doomed = list(keys)
    for start in range(0, len(doomed), KEYS_AT_ONCE):
        client.unlink(*doomed[start : start + KEYS_AT_ONCE])
