"""Collecting what miners report, from each one's mailbox, exactly once.

How far a mailbox has been read is kept in PostgreSQL and moves in the transaction of the reports'
own effects. What lies there together is handled together, unless something is wrong with it. A
miner may do what it likes to its own keys; it must not disturb the others'.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from chain.liveness import REPORTS, tell
from mining.enrolment import enrolled, mailbox_prefix
from mining.errors import ReportRefused
from mining.evidence import accept
from mining.loop import keep_doing
from mining.models import MinerPresence
from mining.network import reports as network_reports
from mining.node.reports import read_report
from mining.node.wire import Malformed

BLOCK_MS = 1_000
BATCH = 64
"""The most entries of one miner that are read before the others' turn."""
TOGETHER = 16
"""The most reports of one miner that are handled in one transaction."""
MAX_KEPT = 10_000
"""The most entries that a mailbox keeps, read or not; the miner itself looks at the last ones."""
MAX_REPORT_BYTES = 1024 * 1024
LOOK_FOR_MINERS_EVERY_S = 2.0

Entry = dict[bytes, bytes]

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Read all mailboxes until stopped."""
    collector = Collector(redis.Redis.from_url(settings.REDIS_URL, protocol=2))
    keep_doing(lambda: collector.collect(BLOCK_MS), stop, beat)


def reports_key(address: str) -> str:
    """The stream of a miner's reports."""
    return mailbox_prefix(address) + "reports"


class Collector:
    """Where the reading of every mailbox is, and the reading itself."""

    def __init__(self, client: "redis.Redis") -> None:
        self.refused = 0
        """Reports that were dropped since the start."""
        self._client = client
        self._cursors: dict[str, str] = {}
        self._looked_at = float("-inf")

    def collect(self, block_ms: int) -> int:
        """Wait up to `block_ms` for reports and handle a batch; how many there were."""
        self._look_for_miners()
        if not self._cursors:
            time.sleep(block_ms / 1000)
            return 0
        keys = {reports_key(address): address for address in self._cursors}
        looked_at = time.time()
        streams: dict[Any, Any] = {key: self._cursors[a] for key, a in keys.items()}
        try:
            answer: Any = self._client.xread(streams, count=BATCH, block=block_ms)
        except redis.ResponseError:
            self._remove_wrong_types(list(keys))
            return 0
        handled = 0
        for key, entries in answer:
            address = keys[key.decode()]
            for start in range(0, len(entries), TOGETHER):
                self._handle_all(address, entries[start : start + TOGETHER])
            self._client.xtrim(key, maxlen=MAX_KEPT, approximate=True)
            handled += len(entries)
        if all(len(entries) < BATCH for _, entries in answer):
            tell(REPORTS, looked_at)
        return handled

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

    def _handle_all(self, address: str, entries: Sequence[tuple[bytes, Entry]]) -> None:
        """Handle reports in one transaction or, where one is to be dropped, each in its own."""
        last = entries[-1][0].decode()
        if len(entries) > 1:
            try:
                with transaction.atomic():
                    _take_in(address, last, [entry for _, entry in entries])
            except (OperationalError, InterfaceError, redis.RedisError, OSError):
                raise
            except Exception as error:
                logger.info("reports of %s are handled one by one: %s", address, error)
            else:
                self._cursors[address] = last
                return
        for entry_id, entry in entries:
            self._handle(address, entry_id.decode(), entry)

    def _handle(self, address: str, entry_id: str, entry: Entry) -> None:
        try:
            with transaction.atomic():
                _take_in(address, entry_id, [entry])
        except (OperationalError, InterfaceError, redis.RedisError, OSError):
            raise  # nothing is wrong with the report: it is read again
        except (ReportRefused, Malformed) as refusal:
            self._drop(address, entry_id)
            logger.warning("a report of %s is refused: %s", address, refusal)
        except Exception:
            # A stranger wrote it: whatever it breaks, it must not stop the others' reports.
            self._drop(address, entry_id)
            logger.exception("a report of %s could not be handled", address)
        self._cursors[address] = entry_id

    def _drop(self, address: str, entry_id: str) -> None:
        self.refused += 1
        _keep_cursor(address, entry_id)

    def _remove_wrong_types(self, keys: list[str]) -> None:
        """A miner made its reports something else than a stream; nobody can read that."""
        for key in keys:
            if self._client.type(key) not in (b"stream", b"none"):
                logger.warning("%s is no stream and is removed", key)
                self._client.unlink(key)


def _take_in(address: str, last_id: str, entries: Sequence[Entry]) -> None:
    # The miner's row before the tasks', so that two who read the same mailbox take turns.
    _keep_cursor(address, last_id)
    for entry in entries:
        texts = _texts(entry)
        if network_reports.is_network_report(texts):
            network_reports.accept(address, texts, timezone.now())
        else:
            accept(address, read_report(texts), timezone.now())


def _keep_cursor(address: str, entry_id: str) -> None:
    changed = MinerPresence.objects.filter(pk=address).update(report_cursor=entry_id)
    if not changed:
        MinerPresence.objects.create(pk=address, report_cursor=entry_id)


def _texts(entry: Entry) -> dict[str, str]:
    size = sum(len(name) + len(value) for name, value in entry.items())
    if size > MAX_REPORT_BYTES:
        raise ReportRefused(f"report: {size} bytes, and at most {MAX_REPORT_BYTES} are read")
    return {name.decode(): value.decode() for name, value in entry.items()}
