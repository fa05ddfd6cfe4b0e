"""Why a payment is not taken, in the protocol's words, and what else can go wrong."""

import enum

from sessions.errors import RequestError, SessionsError


class Reason(enum.StrEnum):
    """The codes of x402 for its scheme `exact` on EVM chains, and three of our own at the end."""

    REQUIRED = "payment_required"
    PAYLOAD = "invalid_payload"
    VERSION = "invalid_x402_version"
    SCHEME = "unsupported_scheme"
    NETWORK = "network_mismatch"
    SIGNATURE = "invalid_exact_evm_payload_signature"
    RECIPIENT = "invalid_exact_evm_payload_recipient_mismatch"
    AMOUNT = "invalid_exact_evm_payload_authorization_value_mismatch"
    EXPIRED = "invalid_exact_evm_payload_authorization_valid_before"
    NOT_YET_VALID = "invalid_exact_evm_payload_authorization_valid_after"
    NONCE_USED = "invalid_exact_evm_nonce_already_used"
    BALANCE = "invalid_exact_evm_insufficient_balance"
    SIMULATION = "invalid_exact_evm_transaction_simulation_failed"
    TRANSACTION = "transaction_failed"
    PENDING = "settlement_pending"
    ASSET = "asset_mismatch"
    OTHER_REQUEST = "payment_of_another_request"


class PaymentRefused(SessionsError):
    """A payment that is missing or not good; it is answered with 402 and what would be.

    Args:
        reason: for programs.
        detail: the same for people, with figures.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NotOffered(RequestError):
    """No session here is paid per call, or not this one."""

    code, title, status = "pay_per_call_not_offered", "Not offered per call", 404


class TillEmpty(RequestError):
    """The session that pays the network has too little, whatever the client pays."""

    code, title, status = "pay_per_call_unfunded", "The router's session is not funded", 503
    retry_after_s = 60


class PaymentUncheckable(RequestError):
    """The chain cannot be asked whether a payment is good."""

    code, title, status = "chain_unavailable", "The chain does not answer", 503
    retry_after_s = 5


class SettlementSlow(RequestError):
    """The chain has not made the transfer yet; it may still, and the task goes on."""

    code, title, status = "settlement_pending", "The payment is under way", 503
    retry_after_s = 5
