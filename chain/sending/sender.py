"""Sends the operations of the outbox to the chain.

A transaction is stored with its hash before it is broadcast. If the process dies between two
steps, the next tick therefore finds the transaction again. One process leads, and the others wait
to take over.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.db.models import Min
from django.utils import timezone
from eth_account.signers.local import LocalAccount

from chain.deployed import keys
from chain.deployed.contracts import Deployment, deployment
from chain.isolation import record_fault
from chain.models import Operation, OperationStatus, Transaction, TransactionStatus
from chain.operations import OperationKind
from chain.postgres.leadership import Leadership
from chain.postgres.wakeup import Listener
from chain.rpc.client import Header, Node, RpcError, RpcInconsistent, RpcRefused, header_of
from chain.rpc.endpoints import endpoints
from chain.sending import journal
from chain.sending.batches import batches, gas_limit
from chain.sending.calls import PAYLOAD_ERRORS, RELAYS, calldata, error_of
from chain.sending.journal import OPEN
from chain.sending.outbox import CHANNEL
from chain.sending.refusals import Refusal, refusal_of, skipped_in
from chain.sending.transactions import Fees, Signed, bumped, fees_at, sign

LOCK = "sender"
GATHER_S = 0.05
"""After a wake-up, wait this long for more operations, so that they share a transaction."""
GATHER_AT_MOST_S = 0.25
"""While more operations arrive, the wait goes on, but no longer than this in all."""
RECEIPTS_EVERY_S = 0.3
LOOK_EVERY_S = 2.0
"""The longest pause between two ticks.

It is needed because a wake-up may be lost with its connection, and because forks have to be
noticed.
"""
MAX_PAUSE_S = 10.0
STUCK_BLOCKS = 4
MAX_IN_FLIGHT = 16
"""The most unmined transactions of one account. Nodes keep no more of one sender's transactions."""
OPERATIONS_AT_ONCE = 1000
MAX_REASON = 500
"""Characters of an error's own words that are kept with an operation."""

logger = logging.getLogger(__name__)


def run(stop: threading.Event, beat: Callable[[], None]) -> None:
    """Send operations until `stop` is set. While the node or the database is away, wait for it."""
    sender = Sender(endpoints(), deployment(), _accounts())
    leadership = Leadership(LOCK)
    pause_s = 1.0
    try:
        with Listener([CHANNEL]) as listener:
            while not stop.is_set():
                beat()
                try:
                    wait_s = sender.tick() if leadership.held() else LOOK_EVERY_S
                    if listener.wait(wait_s):
                        _gather(listener, stop)
                    pause_s = 1.0
                except RpcError as error:
                    logger.warning("%s; trying again in %.0f s", error, pause_s)
                    stop.wait(pause_s)
                    pause_s = min(pause_s * 2, MAX_PAUSE_S)
                except (OperationalError, InterfaceError):
                    logger.exception("the database is away; trying again in %.0f s", pause_s)
                    close_old_connections()
                    stop.wait(pause_s)
                    pause_s = min(pause_s * 2, MAX_PAUSE_S)
    finally:
        leadership.release()


def _gather(listener: Listener, stop: threading.Event) -> None:
    """Wait for operations that are being enqueued now: each transaction has a fixed cost."""
    until = time.monotonic() + GATHER_AT_MOST_S
    while not stop.wait(GATHER_S) and time.monotonic() < until and listener.wait(0):
        pass


def _accounts() -> dict[str, LocalAccount]:
    password = Path(settings.KEYSTORE_PASSWORD_FILE).read_text().strip()
    names = sorted({relay.account for relay in RELAYS.values()})
    return {
        name: keys.load(Path(settings.KEYSTORE_DIR) / f"{name}.json", password) for name in names
    }


@dataclass(frozen=True)
class _Now:
    """The head of the chain, and the fees to offer there. None while gas is too expensive."""

    head: Header
    fees: Fees | None


class Sender:
    """Follows up unfinished transactions, replaces stuck ones, and sends pending operations."""

    def __init__(
        self, rpc: Node, deployment: Deployment, accounts: Mapping[str, LocalAccount]
    ) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._accounts = accounts
        self._by_address = {str(account.address): account for account in accounts.values()}
        self._checked_head = ""
        self._moved_at: dict[str, int] = {}  # account -> last block with one of its transactions
        self._refused: dict[str, RpcRefused] = {}  # account -> why nodes refuse its transactions

    def tick(self) -> float:
        """Do everything that can be done now, and return the pause until the next tick in seconds.

        Raises:
            RpcError: an endpoint failed. The next tick does what this one did not.
        """
        self._rpc.require_chain(self._deployment.chain_id)
        self._refused.clear()
        unsettled = list(
            Transaction.objects.exclude(
                status__in=[TransactionStatus.FINAL, TransactionStatus.DROPPED]
            )
            .defer("calldata", "raw")
            .order_by("account", "nonce")
        )
        pending = list(
            Operation.objects.filter(
                status=OperationStatus.PENDING, due_at__lte=timezone.now()
            ).order_by("id")[:OPERATIONS_AT_ONCE]
        )
        if not unsettled and not pending:
            return self._pause_s(in_flight=False)
        now = self._look()
        self._notice_forks(unsettled, now)
        self._collect_receipts(unsettled)
        for row in unsettled:
            if row.status == TransactionStatus.SIGNED:
                self._broadcast(row, now)
        self._help_stuck(unsettled, now)
        try:
            sent = self._send(pending, unsettled, now)
        except PAYLOAD_ERRORS:
            if not _fail_unsendable(pending):
                raise
            return 0.0  # the others go out with the next look
        for refusal in self._refused.values():
            raise refusal
        if now.fees is None:
            return LOOK_EVERY_S
        return self._pause_s(in_flight=sent or any(row.status in OPEN for row in unsettled))

    # ── The chain's state ────────────────────────────────────────────────────

    def _look(self) -> _Now:
        block, priority = self._rpc.batch(
            [("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])]
        )
        head = header_of(block)
        if head is None:
            raise RpcInconsistent(f"{self._rpc.host}: the node has no latest block")
        fees = fees_at(head.base_fee_wei, int(priority, 16))
        if fees is None:
            logger.warning("gas costs %d wei, which is too expensive: waiting", head.base_fee_wei)
        return _Now(head, fees)

    def _notice_forks(self, rows: list[Transaction], now: _Now) -> None:
        """Find transactions whose blocks are no longer part of the chain, and reopen them."""
        mined = [row for row in rows if row.status == TransactionStatus.MINED]
        if now.head.hash == self._checked_head or not mined:
            return
        top = max(mined, key=lambda row: row.block_number or 0)
        [header] = self._rpc.headers([top.block_number or 0])
        if header is not None and header.hash == top.block_hash:
            # The highest block is unchanged, so all blocks below it are unchanged too.
            journal.record_final(now.head.number)
            self._checked_head = now.head.hash
            return
        numbers = sorted({row.block_number for row in mined if row.block_number is not None})
        headers = self._rpc.headers(numbers)
        known = {number: header for number, header in zip(numbers, headers, strict=True) if header}
        for row in mined:
            header = known.get(row.block_number or 0)
            if header is None and now.head.number >= (row.block_number or 0):
                raise RpcInconsistent(f"{self._rpc.host}: block {row.block_number} is missing")
            if header is None or header.hash != row.block_hash:
                logger.warning("%s: undone by a fork", row)
                journal.record_vanished(row)
        journal.record_final(now.head.number)
        self._checked_head = now.head.hash

    # ── Unfinished transactions ──────────────────────────────────────────────

    def _collect_receipts(self, rows: list[Transaction]) -> None:
        wanted = [(row, tx_hash) for row in rows if row.status in OPEN for tx_hash in row.hashes]
        receipts = self._rpc.batch(
            [("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in wanted]
        )
        for (row, _), receipt in zip(wanted, receipts, strict=True):
            if receipt is not None:
                self._take_receipt(row, receipt)

    def _take_receipt(self, row: Transaction, receipt: dict[str, Any]) -> None:
        relay = RELAYS[OperationKind(row.kind)]
        refusals: Mapping[int, Refusal] | Refusal
        if int(receipt["status"], 16) == 1:
            refusals = skipped_in(receipt, relay.contract, row.contract_address)
        else:
            refusals = self._reason(row, receipt)
            logger.warning("%s (%s) has reverted: %s", row, row.kind, refusals)
        for position, refusal in refusals.items() if isinstance(refusals, Mapping) else ():
            logger.info("%s (%s): element %d skipped: %s", row, row.kind, position, refusal)
        journal.record_mined(row, receipt, refusals)
        self._moved_at[row.account] = int(receipt["blockNumber"], 16)

    def _reason(self, row: Transaction, receipt: dict[str, Any]) -> Refusal:
        """Find out why a transaction reverted, by repeating it with `eth_call`."""
        call = {
            "from": row.account,
            "to": row.contract_address,
            "data": "0x" + bytes(row.calldata).hex(),
            "gas": hex(row.gas_limit),
        }
        try:
            self._rpc.call("eth_call", call, receipt["blockNumber"])
        except RpcRefused as error:
            return refusal_of(bytes.fromhex(error.data.removeprefix("0x")))
        return refusal_of(b"")

    def _broadcast(self, row: Transaction, now: _Now) -> None:
        if row.account in self._refused:
            return  # nodes refused a lower nonce of this account, so they refuse this one too
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + bytes(row.raw).hex())
        except RpcRefused as error:
            if not _is_known(error):
                self._refused[row.account] = error
                return
            # The transaction may be mined, or its nonce used by another: the receipts show which.
            logger.info("%s: %s", row, error.message)
        journal.record_sent(row, now.head.number)

    def _help_stuck(self, rows: list[Transaction], now: _Now) -> None:
        waiting: set[str] = set()
        for row in rows:
            if row.status != TransactionStatus.SENT:
                continue
            is_first = row.account not in waiting
            waiting.add(row.account)
            since = max(row.sent_block or 0, self._moved_at.get(row.account, 0))
            if now.head.number < since + STUCK_BLOCKS:
                continue
            if not is_first:
                self._broadcast(row, now)  # the node may have dropped it
            elif self._nonce_used(row):
                logger.warning("%s: another transaction has used nonce %d", row, row.nonce)
                journal.record_dropped(row)
            else:
                self._replace(row, now)

    def _nonce_used(self, row: Transaction) -> bool:
        return self._count(row.account, "latest") > row.nonce

    def _replace(self, row: Transaction, now: _Now) -> None:
        old = Fees(int(row.max_fee_wei), int(row.priority_fee_wei))
        fees = None if now.fees is None else bumped(old, now.fees)
        if fees is not None:
            signed = self._sign(row, fees)
            logger.warning("%s is stuck; replaced by %s", row, signed.hash)
            journal.record_replacement(row, signed, fees)
        self._broadcast(row, now)

    # ── Pending operations ───────────────────────────────────────────────────

    def _send(self, pending: list[Operation], unsettled: list[Transaction], now: _Now) -> bool:
        if not pending or now.fees is None:
            return False
        in_flight = {
            address: sum(row.account == address and row.status in OPEN for row in unsettled)
            for address in self._by_address
        }
        counted: dict[str, int] = {}
        sent = False
        for batch in batches(pending):
            address = self._accounts[RELAYS[OperationKind(batch[0].kind)].account].address
            if in_flight[address] >= MAX_IN_FLIGHT or address in self._refused:
                continue
            if address not in counted:
                counted[address] = self._count(address, "pending")
            row, fees = self._transaction(batch, address, now.fees), now.fees
            if not journal.record_signed(
                row, batch, counted[address], partial(self._sign, row, fees)
            ):
                continue
            in_flight[address] += 1
            sent = True
            self._broadcast(row, now)
            logger.info("%s: %d × %s, nonce %d", row, len(batch), row.kind, row.nonce)
        return sent

    def _transaction(self, batch: list[Operation], address: str, fees: Fees) -> Transaction:
        kind = OperationKind(batch[0].kind)
        return Transaction(
            account=address,
            kind=kind,
            contract_address=self._deployment.addresses[RELAYS[kind].contract],
            calldata=calldata(kind, [operation.payload for operation in batch]),
            gas_limit=gas_limit(batch),
            max_fee_wei=fees.max_wei,
            priority_fee_wei=fees.priority_wei,
        )

    def _sign(self, row: Transaction, fees: Fees) -> Signed:
        return sign(
            self._by_address[row.account],
            chain_id=self._deployment.chain_id,
            nonce=row.nonce,
            to=row.contract_address,
            calldata=bytes(row.calldata),
            gas_limit=row.gas_limit,
            fees=fees,
        )

    def _count(self, address: str, block: str) -> int:
        """Return how many transactions of an account a node knows."""
        return int(self._rpc.call("eth_getTransactionCount", address, block), 16)

    def _pause_s(self, *, in_flight: bool) -> float:
        if in_flight:
            return RECEIPTS_EVERY_S
        waiting = Operation.objects.filter(status=OperationStatus.PENDING)
        due_at: datetime | None = waiting.aggregate(first=Min("due_at"))["first"]
        if due_at is None:
            return LOOK_EVERY_S
        return min(max((due_at - timezone.now()).total_seconds(), GATHER_S), LOOK_EVERY_S)


def _fail_unsendable(operations: list[Operation]) -> bool:
    """Fail those of which no call can be made, and say whether there are any.

    Each is tried by itself only after one has failed: mostly there is none.
    """
    found = False
    for operation in operations:
        error = error_of(operation.kind, operation.payload)
        if error is None:
            continue
        found = True
        logger.error("%s: no call can be made of it", operation, exc_info=error)
        record_fault("send", str(operation), error, timezone.now())
        journal.record_unsendable(operation, f"no call can be made of it: {error!r}"[:MAX_REASON])
    return found


def _is_known(error: RpcRefused) -> bool:
    """Return whether a refusal means that the node or the chain already has this nonce."""
    text = error.message.lower()
    return any(
        sign in text
        for sign in ("already known", "already imported", "nonce too low", "underpriced")
    )
