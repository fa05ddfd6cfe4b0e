"""What mailboxes take of Redis: measured, cut, and closed where a miner does not keep to its share.

Redis knows no quotas, and one miner that fills it would stop everybody. So its memory is looked at
every second, and the mailboxes are measured when it has grown by much, is nearly full, or has not
been measured for a while. Of a mailbox that is too large, all goes that the router has no use for.
If that is not enough its miner is suspended: it loses its user and its mailbox, and gets no other
until the operator lets it in again.
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
"""Of `maxmemory`. From then on each mailbox may only have its equal part of half of all memory."""
LEAST_SHARE_BYTES = 2 * 1024 * 1024
KEPT = timedelta(minutes=10)
"""How long the stream of an assignment that is over is left to whoever still reads it."""
KEYS_AT_ONCE = 1_000
_MAILBOXES, _REPORTS = MAILBOXES.encode(), REPORTS_KEY.encode()

logger = logging.getLogger(__name__)


@dataclass
class Mailbox:
    """What a miner's keys take, by their names."""

    sizes: dict[bytes, int]

    @property
    def size(self) -> int:
        return sum(self.sizes.values())


class Watcher:
    """Looks at the memory of Redis, and at the mailboxes where that says so."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._used = 0
        self._measured_at = float("-inf")

    def look(self) -> None:
        """Measure if it is time, and make room."""
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
        """Cut what is too large, and suspend whoever has too much all the same.

        Args:
            most: how much memory there is, where it is nearly used up.
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
    """What each mailbox takes, or one of them."""
    pattern = mailbox_prefix(address) + "*" if address else MAILBOXES + "*"
    found = defaultdict[str, Mailbox](lambda: Mailbox({}))
    cursor = 0
    while True:
        answer: Any = client.scan(cursor, match=pattern, count=KEYS_AT_ONCE)
        cursor, keys = answer
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            # All of its parts: a sample would be of those that its miner wants to be seen.
            pipeline.memory_usage(key, samples=0)
        for key, size in zip(keys, pipeline.execute(), strict=True):
            owner = key.removeprefix(_MAILBOXES).split(b":", 1)[0].decode(errors="replace")
            found[owner].sizes[key] = size or 0
        if cursor == 0:
            return dict(found)


def cut(client: "redis.Redis", address: str, mailbox: Mailbox) -> None:
    """Remove what nobody needs: reports that were handled, and streams of what is long over."""
    prefix = mailbox_prefix(address).encode()
    presence = MinerPresence.objects.filter(pk=address).first()
    if presence is not None and prefix + _REPORTS in mailbox.sizes:
        try:
            client.xtrim(prefix + _REPORTS, minid=presence.report_cursor, approximate=False)
        except redis.ResponseError:
            client.unlink(prefix + _REPORTS)  # it is no stream
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
    """Take a miner's mailbox away for good, until the operator lets it in again."""
    MinerPresence.objects.update_or_create(
        pk=address, defaults={"suspended_at": timezone.now(), "suspended_for": reason[:200]}
    )
    revoke(address)
    logger.error("miner %s is suspended: %s", address, reason)


def let_in_again(addresses: Collection[str]) -> int:
    """Lift suspensions; how many. The nodes have to enrol again."""
    rows = MinerPresence.objects.filter(pk__in=addresses, suspended_at__isnull=False)
    return rows.update(suspended_at=None, suspended_for="")


def _current_streams(address: str) -> set[str]:
    """The assignments whose streams somebody may still read."""
    lately = Q(finished_at__gte=timezone.now() - KEPT)
    mine = Assignment.objects.filter(lately | Q(status__in=UNDECIDED), miner=address)
    return {str(key) for key in mine.values_list("pk", flat=True)}


def _unlink(client: "redis.Redis", keys: Iterable[bytes]) -> None:
    doomed = list(keys)
    for start in range(0, len(doomed), KEYS_AT_ONCE):
        client.unlink(*doomed[start : start + KEYS_AT_ONCE])
