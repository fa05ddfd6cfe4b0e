"""Collects reports from the miners' mailboxes, exactly once.

PostgreSQL stores a cursor for each mailbox. The transaction that stores the effects of reports also
moves the cursor. Reports that arrive together share a transaction; if one of them fails, each gets
its own. A miner may write anything to its own keys, but must not disturb other miners. A mailbox
whose reports cannot be handled at the moment is paused, and none of its reports is lost.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from chain.isolation import Isolation, record_fault
from chain.postgres.liveness import REPORTS, tell
from chain.storage import StorageError
from mining.assignment.mailbox_quota import LOOK_EVERY_S, Watcher
from mining.enrolment.redis_users import enrolled
from mining.errors import ReportRefused
from mining.loop import beside, keep_doing
from mining.models import MinerPresence
from mining.network import reports as network_reports
from mining.node.protocol.names import REPORTS_KEY, mailbox_prefix
from mining.node.protocol.reports import read_report
from mining.node.protocol.wire import Malformed
from mining.reports.effects import accept, prepare
from sessions.streams.bounded_reads import SizedEntry, StreamPage, read_pages

BLOCK_MS = 1_000
BATCH = 64
"""The most entries of one miner that are read in one round."""
TOGETHER = 16
"""The most reports of one miner that are handled in one transaction."""
MAX_KEPT = 10_000
"""The most entries that a mailbox keeps, handled or not. The miner itself reads the last ones."""
MAX_REPORT_BYTES = 1024 * 1024
"""The largest report. The content of a larger one is not read."""
READ_BYTES = 2 * MAX_REPORT_BYTES
"""The most bytes of one miner that are read in one round."""
LOOK_FOR_MINERS_EVERY_S = 2.0
MAX_TRIES = 10
"""After so many tries, which take minutes, a report is dropped: no task waits longer."""

Effect = Callable[[datetime], None]
"""Stores the effect of a report; the argument is the time of the report's handling."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Read all mailboxes until stopped."""
    collector = Collector(redis.Redis.from_url(settings.REDIS_URL, protocol=2))
    watcher = Watcher(redis.Redis.from_url(settings.REDIS_URL, protocol=2))
    # The watcher has a thread of its own: it has to free memory even when Redis is full and the
    # collector cannot go on.
    with beside("mailboxes", watcher.look, LOOK_EVERY_S, stop):
        keep_doing(lambda: collector.collect(BLOCK_MS), stop, beat)


def reports_key(address: str) -> str:
    """Return the key of a miner's stream of reports."""
    return mailbox_prefix(address) + REPORTS_KEY


class Collector:
    """Reads all mailboxes and keeps their cursors."""

    def __init__(self, client: "redis.Redis") -> None:
        self.refused = 0
        """The number of reports that were dropped since the start."""
        self._client = client
        self._cursors: dict[str, str] = {}
        self._looked_at = float("-inf")
        self._isolation = Isolation("collect")

    def collect(self, block_ms: int) -> int:
        """Wait up to `block_ms` for reports and handle a batch. Return how many were handled."""
        self._look_for_miners()
        now = timezone.now()
        listening = [a for a in self._cursors if not self._isolation.rests(a, now)]
        if not listening:
            time.sleep(block_ms / 1000)
            return 0
        looked_at = time.time()
        waiting = self._wait_for_reports(listening, block_ms)
        positions = {reports_key(address): self._cursors[address] for address in waiting}
        pages = read_pages(
            self._client,
            positions,
            entries=BATCH,
            total=READ_BYTES,
            largest=MAX_REPORT_BYTES,
        )
        handled = 0
        for address, (key, page) in zip(waiting, pages.items(), strict=True):
            if isinstance(page, redis.ResponseError):
                self._remove_wrong_type(key)
                continue
            before = self._cursors[address]
            self._isolation.attempt(
                address, f"reports of {address}", partial(self._handle_page, address, page), now
            )
            if self._cursors[address] == before:
                self._give_up_at_last(address, page)
                continue
            self._client.xtrim(key, maxlen=MAX_KEPT, approximate=True)
            handled += len(page.entries)
        # A paused mailbox is not among the pages, so it does not make the router seem to lag.
        if all(isinstance(page, StreamPage) and page.is_last for page in pages.values()):
            tell(REPORTS, looked_at)
        return handled

    def _wait_for_reports(self, addresses: Sequence[str], block_ms: int) -> list[str]:
        """Return the addresses whose mailboxes have new entries."""
        keys = {reports_key(address): address for address in addresses}
        streams: dict[Any, Any] = {key: self._cursors[a] for key, a in keys.items()}
        try:
            # Only tell which streams have entries. An entry may be very large, so `read_pages`
            # reads their contents, with limits.
            answer: Any = self._client.xread(streams, count=1, block=block_ms)
        except redis.OutOfMemoryError:
            raise
        except redis.ResponseError:
            for key in keys:
                self._remove_wrong_type(key)
            return []
        return [keys[key.decode()] for key, _ in answer]

    def _handle_page(self, address: str, page: StreamPage) -> None:
        for start in range(0, len(page.entries), TOGETHER):
            self._handle_all(address, page.entries[start : start + TOGETHER])

    def _give_up_at_last(self, address: str, page: StreamPage) -> None:
        """Drop the first report of a page that could not be handled, after MAX_TRIES tries."""
        if page.entries and self._isolation.times(address) >= MAX_TRIES:
            logger.error("a report of %s is dropped after %d tries", address, MAX_TRIES)
            self._drop(address, page.entries[0].id)
            self._isolation.forget(address, f"reports of {address}")

    def _look_for_miners(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_FOR_MINERS_EVERY_S:
            return
        addresses = enrolled()
        new = [address for address in addresses if address not in self._cursors]
        known = {p.address: p.report_cursor for p in MinerPresence.objects.filter(pk__in=new)}
        self._cursors = {
            address: self._cursors.get(address) or known.get(address, "0-0")
            for address in addresses
        }
        self._looked_at = time.monotonic()

    def _handle_all(self, address: str, entries: Sequence[SizedEntry]) -> None:
        """Handle reports in one transaction or, if that fails, each in its own."""
        last = entries[-1].id
        if len(entries) > 1:
            try:
                _take_in(address, last, [_prepared(address, entry) for entry in entries])
            except _MAY_PASS:
                raise
            except Exception as error:
                logger.info("reports of %s are handled one by one: %s", address, error)
            else:
                self._cursors[address] = last
                return
        for entry in entries:
            self._handle(address, entry)

    def _handle(self, address: str, entry: SizedEntry) -> None:
        try:
            _take_in(address, entry.id, [_prepared(address, entry)])
            self._cursors[address] = entry.id
        except _MAY_PASS:
            raise  # the report is not the cause, so it will be read again
        except (ReportRefused, Malformed) as refusal:
            self._drop(address, entry.id)
            logger.warning("a report of %s is refused: %s", address, refusal)
        except Exception as error:
            # The miner's input is untrusted: no report may stop those of other miners.
            self._drop(address, entry.id)
            logger.exception("a report of %s could not be handled", address)
            record_fault("collect", f"a report of {address}", error, timezone.now())

    def _drop(self, address: str, entry_id: str) -> None:
        self.refused += 1
        _keep_cursor(address, entry_id)
        self._cursors[address] = entry_id

    def _remove_wrong_type(self, key: str) -> None:
        """Remove a reports key that a miner has made something else than a stream."""
        if self._client.type(key) not in (b"stream", b"none"):
            logger.warning("%s is not a stream and is removed", key)
            self._client.unlink(key)


_MAY_PASS = (OperationalError, InterfaceError, redis.RedisError, OSError, StorageError)
"""Errors that the report usually did not cause: a deadlock, a full disk, an unavailable store."""


def _prepared(address: str, entry: SizedEntry) -> Effect:
    """Do the slow part of a report's handling, and return the part for the transaction."""
    texts = _texts(entry)
    if network_reports.is_network_report(texts):
        return partial(network_reports.accept, address, texts)
    return partial(accept, address, prepare(address, read_report(texts)))


@transaction.atomic
def _take_in(address: str, last_id: str, effects: Sequence[Effect]) -> None:
    # Update the miner's row before the tasks' rows. Its lock makes two collectors that read the
    # same mailbox take turns.
    _keep_cursor(address, last_id)
    for effect in effects:
        effect(timezone.now())


def _keep_cursor(address: str, entry_id: str) -> None:
    changed = MinerPresence.objects.filter(pk=address).update(report_cursor=entry_id)
    if not changed:
        MinerPresence.objects.create(pk=address, report_cursor=entry_id)


def _texts(entry: SizedEntry) -> dict[str, str]:
    if entry.size > MAX_REPORT_BYTES:
        raise ReportRefused(f"report: {entry.size} bytes, and at most {MAX_REPORT_BYTES} are read")
    try:
        return {name.decode(): value.decode() for name, value in entry.fields.items()}
    except UnicodeDecodeError as error:
        raise ReportRefused(f"report: it is not UTF-8 ({error.reason})") from error
