"""The errors of payment per call. Refusals of payments have the protocol's codes."""

import enum

from sessions.errors import RequestError, SessionsError


class Reason(enum.StrEnum):
    """The codes of x402's scheme `exact` on EVM chains. The last three codes are our own."""

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
    """A payment is missing or not valid. The answer is 402, with the terms of a valid payment.

    Args:
        reason: the code, for programs.
        detail: the explanation for people, with figures.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NotOffered(RequestError):
    """This router offers no payment per call, or not for this session."""

    code, title, status = "pay_per_call_not_offered", "Not offered per call", 404


class TillEmpty(RequestError):
    """The session that pays the network has too little balance, whatever the client pays."""

    code, title, status = "pay_per_call_unfunded", "The router's session is not funded", 503
    retry_after_s = 60


class PaymentUncheckable(RequestError):
    """The chain cannot be asked whether a payment is valid."""

    code, title, status = "chain_unavailable", "The chain does not answer", 503
    retry_after_s = 5


class SettlementSlow(RequestError):
    """The chain has not made the transfer yet. It still may, and the task goes on."""

    code, title, status = "settlement_pending", "The payment is under way", 503
    retry_after_s = 5
