"""Prepares a router for clients that pay per call (docs/x402.md).

It creates the till, an account that receives the payments, and a session that the till owns.
The module does not use Django, since `make run` uses it as well. It is safe to run again: an
existing session is reused, and its balance is filled up.
"""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.logs import DISCARD
from web3.types import TxReceipt

from chain.deployed.contracts import Deployment, handle
from chain.deployed.keys import load_or_create
from chain.errors import ChainError
from chain.protocol.messages import SigningDomain, TransferWithAuthorization, sign
from chain.sending.calls import TRANSFER
from sessions.faces.x402 import TILL_KEYSTORE

NAME = "x402"
RECEIPT_TIMEOUT_S = 60.0
COLLECTED_WITHIN_S = 600
ACTIVE, EPHEMERAL = 0, 0


class OpeningFailed(ChainError):
    """A transaction failed. The message says which one."""


@dataclass(frozen=True)
class PayPerCall:
    """The till's address, and its session with the session's balance in wei."""

    till: str
    session_id: int
    balance_wei: int


@dataclass(frozen=True)
class SessionTerms:
    """The session's model and redundancy, and the balance in wei that it needs for open tasks."""

    balance_wei: int
    model_identifier: int = 1
    redundancy: int = 1


def open_pay_per_call(
    w3: Web3,
    deployment: Deployment,
    operator: LocalAccount,
    keystore_dir: Path,
    password: str,
    terms: SessionTerms,
) -> PayPerCall:
    """Create the till's key and its session, and fund the session, as far as they are missing.

    Args:
        operator: the account that pays the $COR and the gas.

    Raises:
        OpeningFailed: a transaction failed.
    """
    till = str(load_or_create(keystore_dir / TILL_KEYSTORE, password).address)
    opening = _Opening(w3, deployment, operator)
    session_id = opening.session_of(till, terms) or opening.create(till, terms)
    payment = handle(w3, deployment, "SessionPayment").functions
    held_wei = int(payment.sessionBalance(session_id).call())
    if held_wei < terms.balance_wei:
        opening.deposit(session_id, terms.balance_wei - held_wei)
    return PayPerCall(till, session_id, max(held_wei, terms.balance_wei))


def collect(
    w3: Web3,
    deployment: Deployment,
    operator: LocalAccount,
    keystore_dir: Path,
    password: str,
    keep_wei: int,
) -> int:
    """Move the till's earnings to the operator, and return their amount in wei.

    The till signs an authorization and the operator sends it, so the till needs no gas.

    Args:
        keep_wei: the amount that stays in the till, since it may have to be refunded.

    Raises:
        OpeningFailed: the transaction failed.
    """
    till = load_or_create(keystore_dir / TILL_KEYSTORE, password)
    opening = _Opening(w3, deployment, operator)
    earned_wei = opening.balance_of(till.address) - keep_wei
    if earned_wei > 0:
        opening.take(till, earned_wei, SigningDomain(deployment.chain_id, opening.token))
    return max(earned_wei, 0)


class _Opening:
    """The operator's reads and transactions."""

    def __init__(self, w3: Web3, deployment: Deployment, operator: LocalAccount) -> None:
        self._w3, self._operator = w3, operator
        self._token, self._session, self._payment = (
            handle(w3, deployment, name) for name in ("CortensorToken", "Session", "SessionPayment")
        )

    @property
    def token(self) -> str:
        """The address of $COR."""
        return str(self._token.address)

    def session_of(self, till: str, terms: SessionTerms) -> int | None:
        """Return the till's oldest session with these terms, or None."""
        functions = self._session.functions
        for session in functions.getActiveSessionsByAddress(to_checksum_address(till)).call():
            if (session[11], session[18]) == (terms.redundancy, terms.model_identifier):
                return int(session[0])
        return None

    def create(self, till: str, terms: SessionTerms) -> int:
        """Create a session that the till owns, and return its number."""
        create = self._session.functions.create(
            NAME,
            "{}",
            till,
            1,
            terms.redundancy,
            terms.redundancy,
            1,
            EPHEMERAL,
            False,
            0,
            terms.model_identifier,
            0,
            0,
        )
        receipt = self._transact("Session.create", create)
        [event] = self._session.events.SessionCreated().process_receipt(receipt, errors=DISCARD)
        return int(event["args"]["sessionId"])

    def deposit(self, session_id: int, amount_wei: int) -> None:
        """Deposit the operator's $COR into the session."""
        escrow = self._payment.address
        self._transact("approve", self._token.functions.approve(escrow, amount_wei))
        deposit = self._payment.functions.depositToSession(session_id, amount_wei)
        self._transact("depositToSession", deposit)

    def balance_of(self, holder: str) -> int:
        """Return an account's $COR in wei."""
        return int(self._token.functions.balanceOf(to_checksum_address(holder)).call())

    def take(self, till: LocalAccount, amount_wei: int, domain: SigningDomain) -> None:
        """Move the till's $COR to the operator."""
        transfer = TransferWithAuthorization(
            payer=till.address,
            to=self._operator.address,
            value=amount_wei,
            valid_after=0,
            valid_before=int(time.time()) + COLLECTED_WITHIN_S,
            nonce=secrets.token_bytes(32),
        )
        move = self._token.get_function_by_signature(TRANSFER)(
            transfer.payer,
            transfer.to,
            transfer.value,
            transfer.valid_after,
            transfer.valid_before,
            transfer.nonce,
            sign(transfer, domain, bytes(till.key)),
        )
        self._transact("transferWithAuthorization", move)

    def _transact(self, what: str, call: Any) -> TxReceipt:
        sender = self._operator.address
        count = self._w3.eth.get_transaction_count(sender, "pending")
        signed = self._operator.sign_transaction(
            call.build_transaction({"from": sender, "nonce": count})
        )
        receipt = self._w3.eth.wait_for_transaction_receipt(
            self._w3.eth.send_raw_transaction(signed.raw_transaction),
            timeout=RECEIPT_TIMEOUT_S,
            poll_latency=0.1,
        )
        if receipt["status"] != 1:
            raise OpeningFailed(f"{what} failed: {receipt['transactionHash'].to_0x_hex()}")
        return receipt
